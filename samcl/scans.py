"""Volumes that somebody brings to be registered, checked at the door."""

import dataclasses
import pathlib

import numpy as np

from common import errors, grids, volumes

# Edges of what is scanned, mm: a mouse's knee, a tall patient.
_EXTENT = (5.0, 3000.0)
# An image with so few different values, all of them whole, is a label map.
_FEW_VALUES = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
  """One of two volumes.

  Attributes:
    path: of the file, for messages; its name may say what modality it is.
    volume: the image.
    mask: what counts, on the grid of the image; None for all of it.
  """

  path: pathlib.Path
  volume: grids.Volume
  mask: grids.Volume | None = None

  @property
  def name(self) -> str:
    """The file name up to its first dot."""
    return self.path.name.partition('.')[0]


def load(
  path: pathlib.Path,
  *,
  mask: pathlib.Path | None = None,
  index: int | None = None,
) -> Scan:
  """Reads an image and, where there is one, its mask.

  Args:
    path: see `volumes.load_volume`.
    mask: on the grid of the image.
    index: of a volume in a 4-D file.

  Raises:
    InputError: as `volumes.load_volume`; the image is a single slice, seems to
      be a label map, or has a size that no patient has.
  """
  volume = volumes.load_volume(path, index=index)
  shape = volume.grid.shape
  if min(shape) < 2:
    raise errors.InputError(
      f'{path}: shape: found {shape}, a single slice, allowed a volume: the '
      'network is 3-D'
    )
  _check_extent(path, volume.grid)
  _check_is_image(path, volume.data)
  inside = None
  if mask is not None:
    inside = load_beside(mask, 'mask', volume, path)
  return Scan(path, volume, inside)


def load_beside(
  path: pathlib.Path, kind: str, image: grids.Volume, of: pathlib.Path
) -> grids.Volume:
  """A 'mask' or 'label' on the grid of the image that was read from `of`."""
  return volumes.require_grid(path, volumes.load_volume(path, kind), image, of)


def _check_extent(path: pathlib.Path, grid: grids.Grid) -> None:
  low, high = _EXTENT
  edges = np.multiply(grid.shape, grid.spacing)
  if low <= edges.max() <= high:
    return
  seems = 'metres' if edges.max() < low else 'micrometres'
  raise errors.InputError(
    f'{path}: spacing: found {np.round(grid.spacing, 6).tolist()}, which makes '
    f'the volume {np.round(edges, 4).tolist()} mm wide, allowed {low:g} to '
    f'{high:g} mm: the file seems to be in {seems}'
  )


def _check_is_image(path: pathlib.Path, data: np.ndarray) -> None:
  if (data != np.round(data)).any():
    return
  values = np.unique(data)
  if values.size <= _FEW_VALUES:
    raise errors.InputError(
      f'{path}: values: found only {values.size} different whole numbers, '
      'allowed an image: this seems to be a label map'
    )
