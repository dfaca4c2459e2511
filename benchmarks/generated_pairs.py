"""What the generated pairs of a run of smg are worth.

    python -m smg.train --config=configs/smg_synthetic.py --workdir=runs/smg
    python benchmarks/generated_pairs.py --workdir=runs/smg

Trains, each for the same number of steps: a classifier of sites on real images,
a segmenter on the real pairs of all sites, and one on generated pairs alone.
The last line is one JSON object:

    site_recognised   share of generated images whose site the classifier names
    site_of_real      the same of real test images
    joint_on_real     Dice of the first segmenter on real test cases
    joint_on_generated  and on generated pairs, unselected
    pair_ratio        the latter / the former
    generated_only    Dice of the second segmenter on real test cases
    training_ratio    generated_only / joint_on_real
"""

import argparse
import functools
import json
import pathlib

from common import malloc


def main() -> None:
  args = _parse()
  malloc.restart()
  import jax
  from ml_collections import config_dict
  import numpy as np

  from common import trainer
  from smg import setup

  config = config_dict.ConfigDict(
    json.loads((args.workdir / 'config.json').read_text('utf-8'))
  )
  problem = setup.create_problem(config)
  state, _ = trainer.restore(problem, config, args.workdir)
  sites = range(len(problem.stream))
  real = [_real(problem, site) for site in sites]
  generated = []
  for site in sites:
    image, label, _ = problem.generator.sample_pairs(
      state, site, args.num, jax.random.key(1000 + site)
    )
    generated.append({'image': np.asarray(image), 'label': np.asarray(label)})
  report = _recognise(problem, real, generated, args)
  report |= _segment(problem, real, generated, args)
  print(json.dumps({k: round(v, 4) for k, v in report.items()}))


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--num', type=int, default=96)
  parser.add_argument('--steps', type=int, default=500)
  parser.add_argument('--batch', type=int, default=16)
  return parser.parse_args()


def _real(problem, site: int):
  station = problem.sites[site]
  return station.load_train(range(station.num_train()))


def _train(loss, params, parts, args, lr: float = 2e-3):
  """Plain descent on batches drawn over all sites alike."""
  import jax
  import numpy as np

  from common import methods, optim, train_state

  schedule = optim.create_schedule('cosine', lr=lr, num_steps=[args.steps])
  tx = optim.create_optimizer('adam', schedule=schedule)
  step = methods.get('sequential').make_step(loss, tx, methods.Settings())
  state, rng = train_state.create_state(params, tx), np.random.default_rng(0)
  for i in range(args.steps):
    chosen = [
      (site, rng.integers(len(parts[site]['image'])))
      for site in rng.integers(len(parts), size=args.batch)
    ]
    batch = {
      name: np.stack([parts[site][name][case] for site, case in chosen])
      for name in ('image', 'label')
    }
    batch['site'] = np.array([site for site, _ in chosen], np.int32)
    state, metrics = step(state, batch, jax.random.key(i))
    if i % 100 == 0 or i + 1 == args.steps:
      print(f'step {i}: loss {float(metrics["loss/total"]):.3f}', flush=True)
  return state.params


def _recognise(problem, real, generated, args) -> dict[str, float]:
  """A classifier of sites: shares of images that it names rightly."""
  from flax import linen as nn
  import jax
  import jax.numpy as jnp
  import numpy as np
  import optax

  from smg import unet

  class Classifier(nn.Module):
    @nn.compact
    def __call__(self, x):
      for i, features in enumerate((16, 32, 64)):
        x = unet.Block(features, stride=2, name=f'block_{i}')(x)
      return nn.Dense(len(real))(x.mean(axis=tuple(range(1, x.ndim - 1))))

  network = Classifier()
  params = network.init(jax.random.key(0), real[0]['image'][:1])['params']

  def loss(params, batch, key):
    del key
    logits = network.apply({'params': params}, batch['image'])
    value = optax.softmax_cross_entropy_with_integer_labels(
      logits, batch['site']
    ).mean()
    return value, {'loss/total': value}

  params = _train(loss, params, real, args)
  classify = jax.jit(
    lambda x: jnp.argmax(network.apply({'params': params}, x), axis=-1)
  )

  def share(images) -> float:
    return float(
      np.mean([(classify(x) == i).mean() for i, x in enumerate(images)])
    )

  tests = [problem.real_images(site)[1] for site in range(len(real))]
  return {
    'site_recognised': share([part['image'] for part in generated]),
    'site_of_real': share(tests),
  }


def _segment(problem, real, generated, args) -> dict[str, float]:
  """Segmenters trained on real and on generated pairs."""
  import jax
  import numpy as np

  from common import metrics
  from common import problem as problem_lib

  start = problem.init(jax.random.key(0))
  train = functools.partial(_train, problem.loss, start)
  joint, alone = train(real, args), train(generated, args)

  def on_real(params) -> float:
    return float(
      np.mean(
        [
          problem_lib.score(problem.evaluate(params, site), 'dice')
          for site in range(len(real))
        ]
      )
    )

  on_generated = []
  for part in generated:
    found = problem.segment(joint, part['image'])
    scores = [
      metrics.dice_per_label(a, b, problem.classes)
      for a, b in zip(part['label'], found, strict=True)
    ]
    on_generated.append(np.nanmean(scores))
  of_joint, of_alone = on_real(joint), on_real(alone)
  return {
    'joint_on_real': of_joint,
    'joint_on_generated': float(np.mean(on_generated)),
    'pair_ratio': float(np.mean(on_generated)) / of_joint,
    'generated_only': of_alone,
    'training_ratio': of_alone / of_joint,
  }


if __name__ == '__main__':
  main()
