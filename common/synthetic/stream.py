"""The synthetic stream on disk: folders of NIfTI files as real data have."""

from collections.abc import Mapping, Sequence
from concurrent import futures
import os
import pathlib
from typing import Any

import numpy as np

from common import errors
from common.synthetic import folder as folder_lib
from common.synthetic import tasks

DEFAULT_SHAPE = (40, 32, 40)
NUM_LANDMARKS = 28
_VERSION = 1
_SPLITS = ('train', 'val')


def write_stream(
  root: pathlib.Path,
  *,
  shape: Sequence[int] = DEFAULT_SHAPE,
  num_train: int,
  num_test: int,
  seed: int,
) -> None:
  """Writes four registration tasks, or keeps those that are there already.

  `root/TASK/{images,labels,masks,landmarks}` with `pairs.csv` and
  `label_names.csv` are what the reader of pair lists takes; `root/stream.json`
  has the parameters. The folder appears when it is complete.

  Args:
    root: the folder; it must not exist, be empty, or hold this very stream.
    shape: of every volume, in RAS order, at least 8 along each axis.
    num_train: training pairs of each task.
    num_test: validation pairs of each task, of other people.
    seed: another seed, other people.

  Raises:
    InputError: `root` holds something else or cannot be written, or a
      parameter is out of range.
  """
  manifest = _manifest(shape, num_train, num_test, seed)
  folder_lib.write_once(
    root, manifest, lambda path: _write_tasks(path, manifest)
  )


def ground_truth(
  task: str, fixed: str, moving: str, *, shape: Sequence[int], seed: int
) -> np.ndarray:
  """The true displacement (x, y, z, 3) of a pair, voxels of the RAS arrays.

  `moving(p + u(p))` shows what `fixed(p)` does. `fixed` and `moving` are names
  of `pairs.csv`; every voxel has its displacement, also where it leads outside
  the moving image.
  """
  return tasks.ground_truth(
    tasks.by_name(task), fixed, moving, shape=shape, seed=seed
  )


def list_pairs(task: str, split: str, count: int) -> list[tuple[str, str]]:
  """Names of the fixed and moving cases of a split.

  Between people: each one with the next, the last with the first.
  """
  described = tasks.by_name(task)
  people = max(count, 2)
  step = 1 if described.between_people else 0
  return [
    (
      f'{split}_{i:03d}{described.fixed.suffix}',
      f'{split}_{(i + step) % people:03d}{described.moving.suffix}',
    )
    for i in range(count)
  ]


def _manifest(
  shape: Sequence[int], num_train: int, num_test: int, seed: int
) -> dict[str, Any]:
  shape = [int(size) for size in shape]
  if len(shape) != 3 or min(shape) < 8:
    raise errors.InputError(
      f'shape: found {shape}, allowed three whole numbers, 8 or more'
    )
  counts = folder_lib.check_counts(
    num_train=num_train, num_test=num_test, seed=seed
  )
  names = [task.name for task in tasks.TASKS]
  return {'version': _VERSION, 'tasks': names, 'shape': shape} | counts


def _write_tasks(root: pathlib.Path, manifest: Mapping[str, Any]) -> None:
  shape, seed = tuple(manifest['shape']), manifest['seed']
  cases = []
  for task in tasks.TASKS:
    folder = root / task.name
    pairs = {
      split: list_pairs(task.name, split, manifest[key])
      for split, key in zip(_SPLITS, ('num_train', 'num_test'), strict=True)
    }
    _write_tables(folder, task, pairs, shape, seed)
    names = sorted({n for rows in pairs.values() for row in rows for n in row})
    cases += [(folder, task, name, shape, seed) for name in names]
  with futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
    for done in [pool.submit(_write_case, *case) for case in cases]:
      done.result()


def _write_tables(
  folder: pathlib.Path,
  task: tasks.Task,
  pairs: Mapping[str, list[tuple[str, str]]],
  shape: tuple[int, ...],
  seed: int,
) -> None:
  folder.mkdir()
  rows = []
  for split, names in pairs.items():
    for fixed, moving in names:
      row = {'fixed': fixed, 'moving': moving, 'split': split}
      if task.has_landmarks:
        row['landmarks'] = fixed.removesuffix(task.fixed.suffix) + '.csv'
        path = folder / 'landmarks' / row['landmarks']
        _write_landmarks(path, task, fixed, moving, shape, seed)
      rows.append(row)
  folder_lib.save_table(folder / 'pairs.csv', list(rows[0]), rows)
  if task.label_names:
    labels = [
      {'value': value, 'name': name}
      for value, name in enumerate(task.label_names, 1)
    ]
    folder_lib.save_table(folder / 'label_names.csv', ['value', 'name'], labels)


def _write_landmarks(
  path: pathlib.Path,
  task: tasks.Task,
  fixed: str,
  moving: str,
  shape: tuple[int, ...],
  seed: int,
) -> None:
  """Voxel indices of the files as they are stored."""
  both = tasks.landmarks(
    task, fixed, moving, shape=shape, seed=seed, count=NUM_LANDMARKS
  )
  columns = {}
  for side, name, points in zip(
    ('fixed', 'moving'), (fixed, moving), both, strict=True
  ):
    order, flips = folder_lib.layout(task.scan(name).orientation)
    for column, (axis, flip) in enumerate(zip(order, flips, strict=True)):
      values = shape[axis] - 1 - points[:, axis] if flip else points[:, axis]
      columns[f'{side}_{"xyz"[column]}_vox'] = values
  rows = [
    {name: f'{values[i]:.6f}' for name, values in columns.items()}
    for i in range(len(both[0]))
  ]
  folder_lib.save_table(path, list(columns), rows)


def _write_case(
  folder: pathlib.Path,
  task: tasks.Task,
  name: str,
  shape: tuple[int, ...],
  seed: int,
) -> None:
  rendered = tasks.render(task, name, shape=shape, seed=seed)
  arrays = {'images': rendered.image, 'masks': rendered.mask}
  if task.label_names:
    arrays['labels'] = rendered.label
  affine, orientation = task.affine(shape), task.scan(name).orientation
  for kind, array in arrays.items():
    path = folder / kind / f'{name}.nii.gz'
    folder_lib.save_oriented(path, array, affine, orientation)
