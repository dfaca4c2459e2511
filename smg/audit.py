"""Looks for training images in what a run generates.

    python -m smg.audit --config=… --workdir=…

Writes privacy.json and figures/privacy.png into the workdir of a finished run
of `smg`, and prints one line per site.
"""

import json
import pathlib

from ml_collections import config_dict

from common import app


def main(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
  import jax

  from common import errors, files, trainer
  from smg import privacy, setup

  if config.method != 'smg':
    raise errors.InputError(
      f'config.method: found {config.method!r}, allowed: smg, which generates'
    )
  problem = setup.create_problem(config)
  state, _ = trainer.restore(problem, config, workdir)
  audits = {}
  for site, name in enumerate(problem.stream):
    training, held_out = problem.real_images(site)
    key = jax.random.fold_in(jax.random.key(config.seed), site)
    image, _ = problem.generator.sample(
      state.generator, site, len(training), key
    )
    audits[name] = privacy.audit(image, held_out, training)
  found = {name: one.to_json() for name, one in audits.items()}
  files.write_text(workdir / 'privacy.json', json.dumps(found, indent=2) + '\n')
  privacy.draw(workdir / 'figures' / 'privacy.png', audits)
  for name, one in found.items():
    print(
      f'{name}: {one["share_closer"]:.3f} of the generated images are nearer to'
      f' a training image than 99 % of the held-out ones (correlation'
      f' {one["limit"]:.3f}); medians {one["generated"][2]:.3f} and'
      f' {one["held_out"][2]:.3f}'
    )


if __name__ == '__main__':
  app.run(main, section='sites')
