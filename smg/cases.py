"""One case of a segmentation site: its files, and its way to the network grid.

Everything is one geometry: a PNG is a volume (rows, columns, 1) whose voxels
are 1 apart, and a 2-D stream turns a volume so that its slice axis comes last,
keeps that axis as it is, and fits the other two to the network grid.
Intensities are scaled to [0, 1] before the volume is resampled.
"""

import dataclasses
import pathlib

import numpy as np

from common import errors, grids, rasters, volumes, voxels
from smg import specs

_PERCENTILES = {'nifti': (0.5, 99.5), 'png': None}


@dataclasses.dataclass(frozen=True)
class Case:
  """The files of one case; without a label everything is background.

  `index` is of a volume in a 4-D image.
  """

  name: str
  image: pathlib.Path
  label: pathlib.Path | None = None
  mask: pathlib.Path | None = None
  index: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
  """A case on the network grid; n slices of shape s, in 3-D one volume.

  image: float32 (n, *s, c) in [0, 1], 0 outside the file's extent.
  label: uint8 (n, *s), classes.
  mask: uint8 (n, *s), 1 inside the file's mask and its extent.
  grid: of the network volume; in a 2-D stream the slice axis is the last.
  original: the file's own grid, canonical, without its values.
  label_values: see `specs.Spec`.
  """

  image: np.ndarray
  label: np.ndarray
  mask: np.ndarray
  grid: grids.Grid
  original: grids.Volume
  label_values: tuple[tuple[int, int], ...] | None

  @property
  def spacing(self) -> tuple[float, float, float]:
    """Of `grid`, mm (pixels for png): of np.moveaxis(label, 0, -1) in 2-D."""
    return self.grid.spacing

  def restore(self, label: np.ndarray) -> grids.Volume:
    """Classes (n, *s) on the file's own grid, nearest; 0 beyond the network's.

    To save: `volumes.save_volume(path, volume.data, like=volume)`, or for a
    png `rasters.save_label(path, volume.data[..., 0])`.

    Raises:
      ValueError: the label has another shape than the network's grid.
    """
    if label.shape != self.label.shape:
      raise ValueError(f'restore: {label.shape}, must be {self.label.shape}')
    data = np.moveaxis(label, 0, -1) if label.ndim == 3 else label[0]
    return grids.restore(data, self.grid, self.original, 0)

  def restore_maps(self, maps: np.ndarray) -> grids.Volume:
    """Maps (n, *s, k) on the file's own grid, linear; 0 beyond the network's.

    The values are (x, y, z, k).
    """
    data = np.moveaxis(maps, 0, -2) if maps.ndim == 4 else maps[0]
    return grids.restore(data, self.grid, self.original, 1)

  def to_file_values(self, label: np.ndarray) -> np.ndarray:
    """Classes as the first value that the site's files have for them.

    A class that they do not tell becomes background.
    """
    if self.label_values is None:
      return label
    first = {c: value for value, c in reversed(self.label_values)}
    top = max(first.values())
    kind = np.uint8 if top < 256 else np.int32
    out = np.full(label.shape, first.get(0, 0), kind)
    for c, value in first.items():
      out[label == c] = value
    return out


def prepare(
  case: Case,
  spec: specs.Spec,
  shape: tuple[int, ...],
  classes: tuple[int, ...],
  *,
  is_trusted: bool = True,
) -> Prepared:
  """Reads a case and brings it to the network grid, centre on centre.

  Args:
    case: what to read.
    spec: of its site.
    shape: of the network grid, two numbers for slices, three for volumes.
    classes: the classes that a label may have beside 0.
    is_trusted: False where somebody brings the image, see
      `voxels.require_scan`.

  Raises:
    InputError: as `volumes.load_volume` or `rasters.load_raster`; label or
      mask are on another grid than the image; a label has an undeclared value;
      shape has three numbers and the image a single slice.
  """
  image = load_image(case, spec)
  if not is_trusted:
    voxels.require_scan(case.image, image)
  if len(shape) == 3 and min(image.grid.shape) < 2:
    raise errors.InputError(
      f'{case.image}: shape: found {image.grid.shape}, a single slice in a 3-D'
      ' stream (mixed 2-D and 3-D), allowed two or more voxels along each axis'
    )
  label = np.zeros(image.grid.shape, np.uint8)
  if case.label is not None:
    label = _load_beside(case.label, 'label', spec, case, image)
    label = _to_classes(label, case.label, spec, classes)
  mask = np.ones(image.grid.shape, np.uint8)
  if case.mask is not None:
    mask = _load_beside(case.mask, 'mask', spec, case, image).data
  scaled = scale(image.data, spec)
  axes = (0, 1, 2)
  if len(shape) == 2:
    axes = (*(a for a in axes if a != spec.slice_axis), spec.slice_axis)
  turned = {
    name: grids.transpose(dataclasses.replace(image, data=data), axes)
    for name, data in (('image', scaled), ('label', label), ('mask', mask))
  }
  grid = network_grid(turned['mask'].grid, spec.spacing, shape)
  arrays = {}
  for name, volume in turned.items():
    order = 1 if name == 'image' else 0
    volume = grids.resample(volume, grid, order, antialias=order == 1)
    arrays[name] = _as_slices(volume.data, len(shape))
  nothing = np.broadcast_to(np.uint8(0), image.grid.shape)
  return Prepared(
    **arrays,
    grid=grid,
    original=dataclasses.replace(image, data=nothing),
    label_values=spec.label_values,
  )


def network_grid(
  grid: grids.Grid, spacing: tuple[float, ...] | None, shape: tuple[int, ...]
) -> grids.Grid:
  """The network grid on `grid`; a shape of two keeps the last axis as it is.

  Without `spacing` the fitted axes get the largest of size * spacing / shape,
  so that the side that needs most room just fits.
  """
  size, own = grid.shape, grid.spacing
  num = len(shape)
  if spacing is None:
    fit = max(n * s / t for n, s, t in zip(size, own, shape, strict=False))
    spacing = (fit,) * num
  return grids.network_grid(grid, (*spacing, *own[num:]), (*shape, *size[num:]))


def scale(data: np.ndarray, spec: specs.Spec) -> np.ndarray:
  """Intensities (x, y, z) or (x, y, z, 3) in [0, 1], float32 (x, y, z, c).

  Where the percentiles coincide the extremes of the image take their place;
  an image that is constant has been refused.
  """
  percentiles = spec.percentiles or _PERCENTILES[spec.format]
  if percentiles is None:
    low, high = 0, np.iinfo(data.dtype).max
  else:
    low, high = np.percentile(data[data > data.min()], percentiles)
    if not low < high:
      low, high = float(data.min()), float(data.max())
  scaled = np.clip((data.astype(np.float64) - low) / (high - low), 0, 1)
  return scaled.astype(np.float32).reshape(*data.shape[:3], -1)


def load_image(case: Case, spec: specs.Spec) -> grids.Volume:
  """The image in the values of its file; a png has a single slice."""
  return _load(case.image, 'image', spec, case.index)


def _load(
  path: pathlib.Path, kind: str, spec: specs.Spec, index: int | None = None
) -> grids.Volume:
  if spec.format == 'nifti':
    return volumes.load_volume(path, kind, index=index)
  data = rasters.load_raster(path, kind, spec.channels)
  return grids.Volume(data[:, :, None], np.eye(4))


def _load_beside(
  path: pathlib.Path,
  kind: str,
  spec: specs.Spec,
  case: Case,
  image: grids.Volume,
) -> grids.Volume:
  """A label or mask, which has to be on the grid of its image."""
  volume = _load(path, kind, spec)
  return volumes.require_grid(path, volume, image, case.image)


def _to_classes(
  label: grids.Volume,
  path: pathlib.Path,
  spec: specs.Spec,
  classes: tuple[int, ...],
) -> np.ndarray:
  """uint8 classes of the values of a file."""
  pairs = spec.label_values or tuple((c, c) for c in classes)
  to_class = {0: 0, **dict(pairs)}
  unknown = np.setdiff1d(label.data, list(to_class))
  if unknown.size:
    field = 'classes' if spec.label_values is None else 'label_values'
    raise errors.InputError(
      f'{path}: label: found {unknown[:10].tolist()},'
      f' allowed {sorted(to_class)} (field "{field}")'
    )
  out = np.zeros(label.data.shape, np.uint8)
  for value, c in to_class.items():
    out[label.data == value] = c
  return out


def _as_slices(data: np.ndarray, dimensions: int) -> np.ndarray:
  if dimensions == 3:
    return data[None]
  return np.ascontiguousarray(np.moveaxis(data, 2, 0))
