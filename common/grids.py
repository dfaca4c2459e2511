"""Volumes, the voxel grids they live on, and the way from grid to grid."""

import dataclasses
from typing import Any

import numpy as np
from scipy import ndimage

_EXACT = 1e-2  # voxels; closer than this a grid counts as the same
# Half a voxel and what rounding adds: files hold affines in single precision.
EDGE = 0.5 + 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
  """Voxel centres in space: world (mm, RAS+) = affine @ [index, 1]."""

  shape: tuple[int, int, int]
  affine: np.ndarray  # (4, 4)

  @property
  def spacing(self) -> tuple[float, float, float]:
    """Distance of neighbouring voxel centres along each axis, mm."""
    return tuple(float(s) for s in np.linalg.norm(self.affine[:3, :3], axis=0))

  def to(self, other: 'Grid') -> np.ndarray:
    """(4, 4) matrix from voxels of this grid to voxels of `other`."""
    return np.linalg.solve(other.affine, self.affine)

  def matches(self, other: 'Grid') -> bool:
    """Same shape, and no corner is off by more than 0.01 voxel."""
    if self.shape != other.shape:
      return False
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(self.shape) - 1)
    error = transform_points(corners, self.to(other)) - corners
    return bool(np.abs(error).max() < _EXACT)


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
  """How a file holds its volume, before reorientation."""

  grid: Grid
  header: Any  # known to `volumes` only
  orientation: np.ndarray  # (3, 2) canonical axis and flip of each stored axis


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
  """An array (x, y, z) in canonical orientation and its place in space."""

  data: np.ndarray
  affine: np.ndarray
  stored: Stored | None = None

  @property
  def grid(self) -> Grid:
    return Grid(tuple(int(s) for s in self.data.shape[:3]), self.affine)


def transform_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """Applies an affine (4, 4) to points (..., 3)."""
  return points @ matrix[:3, :3].T + matrix[:3, 3]


def network_grid(
  grid: Grid,
  spacing: tuple[float, float, float] | None,
  shape: tuple[int, int, int],
) -> Grid:
  """The grid of `shape` and `spacing` (mm) centred on `grid`, same axes.

  Along an axis whose spacing is kept (always, where `spacing` is None) voxels
  are kept too: of S voxels T are cropped from S//2 - T//2, or (T - S)//2 are
  added before. Along other axes the two centres coincide.
  """
  size, target = np.array(grid.shape), np.array(shape)
  step = np.ones(3) if spacing is None else np.array(spacing) / grid.spacing
  keep = np.abs(step - 1) * np.maximum(size, target) < _EXACT
  step = np.where(keep, 1.0, step)
  whole = np.where(
    size < target, -((target - size) // 2), size // 2 - target // 2
  )
  start = np.where(keep, whole, (size - 1) / 2 - step * (target - 1) / 2)
  to_source = np.diag(np.append(step, 1.0))
  to_source[:3, 3] = start
  return Grid(tuple(int(t) for t in shape), grid.affine @ to_source)


def resample(
  volume: Volume,
  grid: Grid,
  order: int,
  *,
  fill: float = 0.0,
  antialias: bool = False,
) -> Volume:
  """`volume` (x, y, z) or (x, y, z, c) on another grid, `fill` outside it.

  Where the grids differ by whole voxels, flips and swapped axes only, values
  are copied; else they are interpolated (order 0 nearest, 1 linear). A target
  voxel is inside if its centre lies in some source voxel. `antialias` first
  blurs axes that get coarser by f with a Gaussian whose full width at half
  maximum is sqrt(f^2 - 1) source voxels.
  """
  matrix = grid.to(volume.grid)
  if _is_exact(matrix, grid.shape):
    data = _copy(volume.data, np.round(matrix).astype(int), grid.shape, fill)
  else:
    data = _interpolate(volume.data, matrix, grid.shape, order, fill, antialias)
  return Volume(data, grid.affine)


def transpose(volume: Volume, axes: tuple[int, int, int]) -> Volume:
  """Reorders the array axes; every voxel keeps its place in space.

  The result is no longer canonical and forgets how it was stored; `restore`
  brings it back.
  """
  columns = [*axes, 3]
  rest = tuple(range(3, volume.data.ndim))
  data = np.ascontiguousarray(volume.data.transpose(*axes, *rest))
  return Volume(data, volume.affine[:, columns])


def covered(image: Grid, grid: Grid) -> float:
  """The share of the voxels of `image` whose centre lies on `grid`."""
  there = Volume(np.ones(grid.shape, np.uint8), grid.affine)
  return float(resample(there, image, 0).data.mean())


def restore(
  data: np.ndarray, grid: Grid, like: Volume, order: int, *, fill: float = 0.0
) -> Volume:
  """An array on the network grid, brought to the grid of `like` for saving."""
  volume = resample(Volume(data, grid.affine), like.grid, order, fill=fill)
  return dataclasses.replace(volume, stored=like.stored)


def restore_displacement(
  displacement: np.ndarray, fixed: Grid, moving: Grid, original: Grid
) -> np.ndarray:
  """A network displacement as millimetres (RAS+) on the original fixed grid.

  Network voxel q of the fixed image matches network voxel q + u(q) of the
  moving one, so d = A_moving (q + u(q)) - A_fixed q. Outside the network grid
  u is that of the nearest voxel inside.

  Args:
    displacement: (x, y, z, 3), voxels of the network grid.
    fixed: the network grid placed on the fixed image.
    moving: the network grid placed on the moving image.
    original: the fixed image's own grid.

  Returns:
    (x, y, z, 3), float32.
  """
  channels = np.moveaxis(displacement, -1, 0).astype(np.float64)
  found = np.empty((*original.shape, 3), np.float32)
  for x in range(original.shape[0]):
    plane = np.mgrid[x : x + 1, : original.shape[1], : original.shape[2]]
    indices = np.moveaxis(plane, 0, -1)
    q = transform_points(indices, original.to(fixed))
    u = [
      ndimage.map_coordinates(
        channel, np.moveaxis(q, -1, 0), order=1, mode='nearest'
      )
      for channel in channels
    ]
    there = transform_points(q + np.stack(u, axis=-1), moving.affine)
    found[x] = (there - transform_points(indices, original.affine))[0]
  return found


def _is_exact(matrix: np.ndarray, shape: tuple[int, ...]) -> bool:
  """Whether voxels fall on voxels: a signed permutation and whole offsets."""
  whole = np.round(matrix)
  error = np.abs(matrix - whole)
  linear = np.abs(whole[:3, :3])
  permutation = (linear.sum(0) == 1).all() and (linear.sum(1) == 1).all()
  drift = error[:3, :3] @ np.array(shape) + error[:3, 3]
  return bool(permutation and drift.max() < _EXACT)


def _copy(
  data: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...], fill: float
) -> np.ndarray:
  source_axes = np.abs(matrix[:3, :3]).argmax(axis=0)  # of each target axis
  data = data.transpose(*source_axes, *range(3, data.ndim))
  places, indices = [], []
  for axis, source in enumerate(source_axes):
    index = matrix[source, axis] * np.arange(shape[axis]) + matrix[source, 3]
    inside = (index >= 0) & (index < data.shape[axis])
    places.append(np.flatnonzero(inside))
    indices.append(index[inside])
  out = np.full(tuple(shape) + data.shape[3:], fill, data.dtype)
  out[np.ix_(*places)] = data[np.ix_(*indices)]
  return out


def _interpolate(
  data: np.ndarray,
  matrix: np.ndarray,
  shape: tuple[int, ...],
  order: int,
  fill: float,
  antialias: bool,
) -> np.ndarray:
  if data.ndim == 4:
    return np.stack(
      [
        _interpolate(channel, matrix, shape, order, fill, antialias)
        for channel in np.moveaxis(data, -1, 0)
      ],
      axis=-1,
    )
  linear, offset = matrix[:3, :3], matrix[:3, 3]
  if antialias:
    factor = np.linalg.norm(linear, axis=1)
    width = np.sqrt(np.maximum(factor**2 - 1, 0))
    data = ndimage.gaussian_filter(
      data, width / np.sqrt(8 * np.log(2)), mode='nearest'
    )
  out = ndimage.affine_transform(
    data, linear, offset, shape, order=order, mode='nearest', prefilter=False
  )
  return np.where(
    _inside(matrix, shape, data.shape), out, data.dtype.type(fill)
  )


def _inside(
  matrix: np.ndarray, shape: tuple[int, ...], source: tuple[int, ...]
) -> np.ndarray:
  """bool `shape`: target voxels whose centre is in a voxel of the source."""
  inside = np.ones(shape, bool)
  x, y, z = np.ogrid[tuple(slice(s) for s in shape)]
  for row, size in zip(matrix[:3], source, strict=True):
    at = row[0] * x + row[1] * y + row[2] * z + row[3]
    inside &= (at >= -EDGE) & (at <= size - 1 + EDGE)
  return inside
