"""Volumes that somebody brings to be registered, checked at the door."""

import dataclasses
import pathlib

from common import errors, files, grids, volumes, voxels


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
    """The file's name without its type."""
    return files.stem(self.path)


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
  voxels.require_scan(path, volume)
  inside = None
  if mask is not None:
    inside = load_beside(mask, 'mask', volume, path)
  return Scan(path, volume, inside)


def load_beside(
  path: pathlib.Path, kind: str, image: grids.Volume, of: pathlib.Path
) -> grids.Volume:
  """A 'mask' or 'label' on the grid of the image that was read from `of`."""
  return volumes.require_grid(path, volumes.load_volume(path, kind), image, of)
