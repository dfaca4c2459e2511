"""One image of a registration task: its files, and its way to the network grid.

Order of preparation, as the authors': intensities are clipped, then the volume
is brought to the network grid, then scaled to [0, 1] by its own extremes.
"""

import dataclasses
import pathlib

import numpy as np

from common import errors, grids, volumes


@dataclasses.dataclass(frozen=True)
class Intensity:
  """What is clipped before the image is scaled to [0, 1].

  clip: (lower, upper) in the image's own unit, e.g. Hounsfield units; voxels
    outside the volume get the smallest value that remains.
  upper_percentile: values above this percentile are set to it; voxels outside
    the volume get 0, the background of magnetic resonance images.
  """

  clip: tuple[float, float] | None = None
  upper_percentile: float | None = None


@dataclasses.dataclass(frozen=True)
class Case:
  """The files of one image.

  mask: file of the region that counts; without it the voxels of the image that
    are not 0 (`mask_nonzero`), else all voxels of the image.
  axes: take the array axes as the file stores them, in this order, instead of
    the canonical ones: for files whose affine does not tell the truth.
  landmarks: file of points of this image alone, rows (x, y, z), no header.
  """

  name: str
  image: pathlib.Path
  label: pathlib.Path | None = None
  mask: pathlib.Path | None = None
  mask_nonzero: bool = False
  landmarks: pathlib.Path | None = None
  intensity: Intensity = Intensity()
  axes: tuple[int, int, int] | None = None

  @property
  def files(self) -> tuple[pathlib.Path, ...]:
    """Every file that the case needs."""
    files = (self.image, self.label, self.mask, self.landmarks)
    return tuple(file for file in files if file is not None)


@dataclasses.dataclass(frozen=True)
class Pair:
  """Two images to register.

  landmarks: one file with the points of both, columns fixed_x_vox, ...,
    moving_z_vox; without it both cases may have a file of their own.
  """

  fixed: Case
  moving: Case
  landmarks: pathlib.Path | None = None

  @property
  def name(self) -> str:
    return f'{self.fixed.name}__{self.moving.name}'

  @property
  def files(self) -> tuple[pathlib.Path, ...]:
    extra = () if self.landmarks is None else (self.landmarks,)
    return self.fixed.files + self.moving.files + extra

  @property
  def has_landmarks(self) -> bool:
    both = self.fixed.landmarks and self.moving.landmarks
    return bool(self.landmarks or both)


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
  """A case on the network grid.

  image: float32 (x, y, z) in [0, 1]; mask: uint8 0/1; label: uint8.
  grid: the network grid placed on this image.
  original: the image's own grid, canonical; stored: as the file has it.
  """

  image: np.ndarray
  mask: np.ndarray
  label: np.ndarray
  grid: grids.Grid
  original: grids.Grid
  stored: grids.Grid


def prepare(
  case: Case,
  *,
  shape: tuple[int, int, int],
  spacing: tuple[float, float, float] | None,
  labels: tuple[int, ...],
) -> Prepared:
  """Reads a case and brings it to the network grid, centre on centre.

  Args:
    case: what to read.
    shape: of the network grid.
    spacing: of the network grid, mm; None keeps the voxels of the file.
    labels: the values that a label may have beside 0.

  Raises:
    InputError: as `volumes.load_volume`; a label or mask is on another grid
      than its image; a label value is not in `labels`.
  """
  volume = volumes.load_volume(case.image)
  mask = _mask(case, volume)
  label = _label(case, volume, labels)
  turned = _turn(volume, case.axes)
  grid = grids.network_grid(turned.grid, spacing, shape)
  return Prepared(
    image=prepare_image(turned, grid, case.intensity),
    mask=grids.resample(mask, grid, 0).data,
    label=grids.resample(label, grid, 0).data,
    grid=grid,
    original=volume.grid,
    stored=volume.stored.grid,
  )


def prepare_image(
  volume: grids.Volume, grid: grids.Grid, intensity: Intensity
) -> np.ndarray:
  """Clips, resamples (linear, blurred where it gets coarser), scales to [0, 1].

  An image that is constant after clipping and cropping becomes 0 everywhere.
  """
  data = volume.data
  if intensity.clip is not None:
    data = np.clip(data, *intensity.clip)
  fill = data.min()
  if intensity.upper_percentile is not None:
    top = np.percentile(data, intensity.upper_percentile)
    data, fill = np.minimum(data, top), 0.0
  data = dataclasses.replace(volume, data=data.astype(np.float32))
  data = grids.resample(data, grid, 1, fill=fill, antialias=True).data
  low, high = data.min(), data.max()
  return (data - low) / (high - low) if high > low else np.zeros_like(data)


def _turn(
  volume: grids.Volume, axes: tuple[int, int, int] | None
) -> grids.Volume:
  if axes is None:
    return volume
  as_stored = grids.resample(volume, volume.stored.grid, 0)
  return grids.transpose(as_stored, axes)


def _mask(case: Case, image: grids.Volume) -> grids.Volume:
  if case.mask is not None:
    return _on_grid_of(case, image, case.mask, 'mask')
  inside = image.data != 0 if case.mask_nonzero else np.ones(image.grid.shape)
  return dataclasses.replace(image, data=inside.astype(np.uint8))


def _label(
  case: Case, image: grids.Volume, labels: tuple[int, ...]
) -> grids.Volume:
  if case.label is None:
    return dataclasses.replace(image, data=np.zeros(image.grid.shape, np.uint8))
  label = _on_grid_of(case, image, case.label, 'label')
  unknown = np.setdiff1d(label.data, (0, *labels))
  if unknown.size:
    raise errors.InputError(
      f'{case.label}: label: found {unknown[:10].tolist()},'
      f' allowed 0 and {list(labels)} (field "labels")'
    )
  return dataclasses.replace(label, data=label.data.astype(np.uint8))


def _on_grid_of(
  case: Case, image: grids.Volume, path: pathlib.Path, kind: str
) -> grids.Volume:
  volume = volumes.load_volume(path, kind)
  return volumes.require_grid(path, volume, image, case.image)
