"""What instance optimisation adds to the network, on pairs never trained on.

    python benchmarks/refinement.py --workdir=runs/demo

registers the validation pairs of every task of a run of samcl.train twice, as
the network says and after 50 steps of descent, and scores both on the files'
own grids. The last line is one JSON object: for each task the means of both.
"""

import argparse
import json
import pathlib

import numpy as np

from common import displacements, grids, metrics, volumes
from samcl import cases, registrar, scans, tasks


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--steps', type=int, default=50)
  args = parser.parse_args()
  network = registrar.Registrar.load(args.workdir)
  config = json.loads((args.workdir / 'config.json').read_text())
  folder = pathlib.Path(config['data']['folder'])
  found = {}
  for task in tasks.load_tasks(
    [
      {'name': name, **config['tasks'][name]}
      | {'root': folder / config['tasks'][name].get('root', name)}
      for name in (*config['stream'], *config['unseen'])
    ],
    shape=config['data']['shape'],
  ):
    rows = {'network': [], 'refined': []}
    for pair in task.val:
      fixed, moving = _scan(pair.fixed), _scan(pair.moving)
      for name, steps in (('network', 0), ('refined', args.steps)):
        one = network.register(fixed, moving, task=task.name, refine=steps)
        rows[name].append(
          {
            'similarity': one.similarity[1],
            'dice': _dice(pair, one.displacement, task.labels),
            'folding': metrics.folding_fraction(one.displacement.determinant()),
            'inverse_gap_voxels': _gap(one),
          }
        )
    found[task.name] = {
      name: {
        key: round(float(np.mean([row[key] for row in some])), 5)
        for key in some[0]
      }
      for name, some in rows.items()
    }
    print(task.name, found[task.name], flush=True)
  print(json.dumps({'steps': args.steps, 'tasks': found}))


def _scan(case: cases.Case) -> scans.Scan:
  return scans.load(case.image, mask=case.mask)


def _dice(
  pair: cases.Pair, displacement: displacements.Field, labels: tuple[int, ...]
) -> float:
  fixed, moving = (
    volumes.load_volume(case.label, 'label')
    for case in (pair.fixed, pair.moving)
  )
  warped = displacement.warp(moving, 0)
  return float(
    np.nanmean(metrics.dice_per_label(fixed.data, warped.data, labels))
  )


def _gap(found: registrar.Registration) -> float:
  """Mean distance from where a voxel comes back to, in voxels."""
  grid = found.displacement.grid
  places = np.moveaxis(np.indices(grid.shape), 0, -1)
  start = grids.transform_points(places, grid.affine)
  back = found.inverse.move(found.displacement.move(start))
  return float(np.linalg.norm((back - start) / grid.spacing, axis=-1).mean())


if __name__ == '__main__':
  main()
