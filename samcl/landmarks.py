"""Corresponding points of an image pair, from file to network grid."""

import pathlib

import numpy as np

from common import errors, grids, tables
from samcl import cases

_SIDES = ('fixed', 'moving')


def read_points(pair: cases.Pair) -> tuple[np.ndarray, np.ndarray]:
  """Corresponding points of both images as the files have them, (k, 3) each.

  Raises:
    InputError: a file is missing, has no points, a missing column or a value
      that is no finite number; or the two files differ in length.
  """
  if pair.landmarks is not None:
    columns = [f'{side}_{axis}_vox' for side in _SIDES for axis in 'xyz']
    points = _read_table(pair.landmarks, columns)
    return points[:, :3], points[:, 3:]
  if not pair.has_landmarks:
    return np.zeros((0, 3)), np.zeros((0, 3))
  fixed = _read_table(pair.fixed.landmarks, None)
  moving = _read_table(pair.moving.landmarks, None)
  if fixed.shape != moving.shape:
    raise errors.InputError(
      f'{pair.moving.landmarks}: points: found {len(moving)},'
      f' allowed {len(fixed)}, as in {pair.fixed.landmarks}'
    )
  return fixed, moving


def place_points(
  points: np.ndarray,
  case: cases.Case,
  prepared: cases.Prepared,
  *,
  refinement: int = 1,
  must_be_on_network_grid: bool,
  path: pathlib.Path,
) -> np.ndarray:
  """Points of a file (k, 3) as voxels of the network grid, float32.

  Args:
    points: voxel indices of the image file as it is stored or, with
      `refinement` m > 1, of a grid m times finer over the same voxel centres:
      index q is voxel q (S - 1) / (m S - 1).
    case: the image that the points belong to.
    prepared: the same image on the network grid.
    refinement: m.
    must_be_on_network_grid: whether a point cut off by the network grid is an
      error: so for fixed points, where the displacement is sampled.
    path: the file, for messages.

  Raises:
    InputError: a point lies outside the image or is cut off.
  """
  size = np.array(prepared.stored.shape)
  voxels = points * (size - 1) / (refinement * size - 1)
  _check_inside(path, voxels, points, size, f'the voxels of {case.image}')
  placed = grids.transform_points(voxels, prepared.stored.to(prepared.grid))
  if must_be_on_network_grid:
    size = np.array(prepared.grid.shape)
    where = 'the network grid: enlarge "shape" or "spacing"'
    _check_inside(path, placed, points, size, where)
  return placed.astype(np.float32)


def _check_inside(
  path: pathlib.Path,
  voxels: np.ndarray,
  points: np.ndarray,
  size: np.ndarray,
  where: str,
) -> None:
  outside = ((voxels < -0.5) | (voxels > size - 0.5)).any(axis=1)
  if outside.any():
    row = int(outside.argmax())
    raise errors.InputError(
      f'{path}: landmark {row + 1}: found {points[row].tolist()} = voxel'
      f' {np.round(voxels[row], 2).tolist()}, allowed -0.5 to'
      f' {(size - 0.5).tolist()}, {where}'
    )


def _read_table(path: pathlib.Path, columns: list[str] | None) -> np.ndarray:
  """Numbers (k, c): the named columns, or three columns without a header."""
  if columns is None:
    rows = tables.read_rows(path)
  else:
    found = tables.read_columns(path, columns)
    rows = [[row[name] for name in columns] for row in found]
  width = 3 if columns is None else len(columns)
  table = [_numbers(path, i, row, width) for i, row in enumerate(rows, 1)]
  return np.array(table, np.float64).reshape(-1, width)


def _numbers(
  path: pathlib.Path, number: int, row: list[str], width: int
) -> list[float]:
  try:
    values = [float(value) for value in row]
  except ValueError:
    values = []
  if len(values) != width or not np.isfinite(values).all():
    raise errors.InputError(
      f'{path}: row {number}: found {row}, allowed {width} finite numbers'
    )
  return values
