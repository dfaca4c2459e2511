"""What the values of a volume have to be, by what they stand for."""

import pathlib

import numpy as np

from common import errors, grids

# Edges of what is scanned, mm: a mouse's knee, a tall patient.
_EXTENT = (5.0, 3000.0)
# An image with so few different values, all of them whole, is a label map.
_FEW_VALUES = 64


def select(
  path: pathlib.Path, data: np.ndarray, index: int | None
) -> np.ndarray:
  """One 3-D volume of a 3-D or 4-D array.

  Raises:
    InputError: it has fewer or more axes, or no volume of that number.
  """
  while data.ndim > 3 and data.shape[-1] == 1:
    data = data[..., 0]
  if data.ndim == 4:
    if index is None or not 0 <= index < data.shape[3]:
      raise errors.InputError(
        f'{path}: index: found {"none" if index is None else index} for a 4-D '
        f'file of shape {data.shape}, allowed index 0 to {data.shape[3] - 1}:'
        ' choose one of its volumes (--help has the option)'
      )
    return data[..., index]
  if data.ndim != 3:
    raise errors.InputError(
      f'{path}: dimensions: found {data.ndim} with shape {data.shape},'
      ' allowed 3'
    )
  if index not in (None, 0):
    raise errors.InputError(
      f'{path}: index: found {index} for a 3-D file, allowed 0'
    )
  return data


def require_finite(path: pathlib.Path, data: np.ndarray) -> np.ndarray:
  """`data`, which was read from `path`.

  Raises:
    InputError: a value is NaN or infinite.
  """
  bad = data.size - int(np.isfinite(data).sum())
  if bad:
    raise errors.InputError(
      f'{path}: values: found {bad} that are NaN or infinite, allowed none'
    )
  return data


def require_scan(path: pathlib.Path, volume: grids.Volume) -> None:
  """Makes sure that an image that somebody brings can be one of a patient.

  Raises:
    InputError: its size is one that no patient has, as where units are
      mistaken, or its values are those of a label map.
  """
  grid, data = volume.grid, volume.data
  low, high = _EXTENT
  edges = np.multiply(grid.shape, grid.spacing)
  if not low <= edges.max() <= high:
    seems = 'metres' if edges.max() < low else 'micrometres'
    raise errors.InputError(
      f'{path}: spacing: found {np.round(grid.spacing, 6).tolist()}, which '
      f'makes the volume {np.round(edges, 4).tolist()} mm wide, allowed '
      f'{low:g} to {high:g} mm: the file seems to be in {seems}'
    )
  if (data != np.round(data)).any():
    return
  values = np.unique(data)
  if values.size <= _FEW_VALUES:
    raise errors.InputError(
      f'{path}: values: found only {values.size} different whole numbers, '
      'allowed an image: this seems to be a label map'
    )


def _check_image(path: pathlib.Path, data: np.ndarray) -> np.ndarray:
  with np.errstate(over='ignore'):
    data = require_finite(path, data.astype(np.float32))
  if data.min() == data.max():
    raise errors.InputError(
      f'{path}: values: found only {data.flat[0]:g},'
      ' allowed an image with at least two different values'
    )
  return data


def _check_label(path: pathlib.Path, data: np.ndarray) -> np.ndarray:
  if data.dtype.kind == 'f':
    require_finite(path, data)
    if (data != np.round(data)).any():
      found = data[data != np.round(data)].flat[0]
      raise errors.InputError(
        f'{path}: label: found {found:g}, allowed whole numbers'
      )
  if data.min() < 0 or data.max() >= 2**31:
    found = data.min() if data.min() < 0 else data.max()
    raise errors.InputError(
      f'{path}: label: found {found:g}, allowed 0 to {2**31 - 1}'
    )
  return data.astype(np.uint8 if data.max() < 256 else np.int32)


def _check_mask(path: pathlib.Path, data: np.ndarray) -> np.ndarray:
  mask = (require_finite(path, data) != 0).astype(np.uint8)
  if not mask.any():
    raise errors.InputError(
      f'{path}: mask: found only 0, allowed at least one voxel that is not 0'
    )
  return mask


# Kind of a volume -> (path, values) -> values of the type for that kind.
CHECKS = {'image': _check_image, 'label': _check_label, 'mask': _check_mask}
