"""Folders of tiny NIfTI files to make registration tasks of."""

import pathlib
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from common import errors
from samcl import tasks

SHAPE = (8, 10, 6)
RAS = np.diag([1.0, 2.0, 1.5, 1.0])
LAS = np.array(  # stored x runs to the left, oblique by 10 degrees about z
  [
    [-np.cos(0.17), -2 * np.sin(0.17), 0, 4],
    [-np.sin(0.17), 2 * np.cos(0.17), 0, -9],
    [0, 0, 1.5, 2],
    [0, 0, 0, 1],
  ]
)


def save(path: pathlib.Path, data: np.ndarray, affine: np.ndarray) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  nib.save(nib.Nifti1Image(data, affine), path)


def write_case(
  root: pathlib.Path,
  name: str,
  seed: int,
  *,
  affine: np.ndarray = RAS,
  shape: tuple[int, int, int] = SHAPE,
  places: tuple[str, str, str] = ('images', 'labels', 'masks'),
) -> np.ndarray:
  rng = np.random.default_rng(seed)
  image = rng.integers(1, 200, shape).astype(np.int16)
  label = rng.integers(0, 3, shape).astype(np.uint8)
  mask = (image > 40).astype(np.uint8)
  for place, data in zip(places, (image, label, mask), strict=True):
    save(root / place / f'{name}.nii.gz', data, affine)
  return image


def write_points(path: pathlib.Path, points: list[list[float]]) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  names = [f'{s}_{a}_vox' for s in ('fixed', 'moving') for a in 'xyz']
  rows = [['group', *names], *[['a', *map(str, row)] for row in points]]
  path.write_text(''.join(','.join(row) + '\n' for row in rows))


POINTS = [[1, 2, 3, 2, 3, 4], [6.5, 8, 0.5, 5, 7.25, 1]]


def task_fields(root: pathlib.Path, **fields: Any) -> dict[str, Any]:
  return {'name': 'brain', 'format': 'pairs', 'root': str(root)} | fields


def load_task(
  root: pathlib.Path,
  shape: tuple[int, int, int] = SHAPE,
  **fields: Any,
) -> tasks.Task:
  return tasks.load_tasks([task_fields(root, **fields)], shape=shape)[0]


def refuses(
  root: pathlib.Path,
  *parts: str,
  shape: tuple[int, int, int] = SHAPE,
  load: bool = False,
  **fields: Any,
) -> None:
  """One line that names what was found and what is allowed, and the parts.

  At the start, or, with `load`, only when the volumes are read.
  """
  if load:
    task = load_task(root, shape, **fields)
  with pytest.raises(errors.InputError) as caught:
    if load:
      task.load('train', [0])
    else:
      load_task(root, shape, **fields)
  message = str(caught.value)
  assert '\n' not in message
  for part in ('found', 'allowed', *parts):
    assert part in message
