"""Displacement fields in millimetres: warping images, moving points.

A field belongs to the voxel grid of one image and says, for each of its points
p in world coordinates (mm, RAS+), where in another image the same place is: at
p + d(p). Between voxels it is interpolated linearly; beyond the grid it is that
of the nearest voxel. What is computed of a field is computed slab by slab: a
whole-body CT has a hundred million voxels.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
import dataclasses

import numpy as np
from scipy import ndimage

from common import grids

_CLOSE = 0.01  # voxels
_MOST_STEPS = 30
_SLAB = 2**20  # voxels


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
  """Vectors (x, y, z, 3), mm in RAS+, on a grid (x, y, z).

  Fields that are made here have single precision.
  """

  vectors: np.ndarray
  grid: grids.Grid

  def move(self, points: np.ndarray) -> np.ndarray:
    """p + d(p) of points (..., 3), mm in RAS+."""
    voxels = grids.transform_points(points, np.linalg.inv(self.grid.affine))
    return points + _sample(self.vectors, voxels, 1)

  def warp(
    self, volume: grids.Volume, order: int = 1, *, fill: float = 0.0
  ) -> grids.Volume:
    """`volume` (x, y, z) pulled back to the grid of the field.

    Args:
      volume: on any grid.
      order: 1 for linear interpolation, 0 for the nearest voxel.
      fill: where p + d(p) lies in no voxel of the volume.
    """
    to_voxels = np.linalg.inv(volume.grid.affine)
    middle = (np.array(volume.grid.shape) - 1) / 2
    data = np.empty(self.grid.shape + volume.data.shape[3:], volume.data.dtype)
    for slab, places in _slabs(self.grid):
      voxels = grids.transform_points(places + self.vectors[slab], to_voxels)
      inside = (np.abs(voxels - middle) <= middle + grids.EDGE).all(axis=-1)
      inside = inside.reshape(inside.shape + (1,) * (data.ndim - 3))
      found = _sample(volume.data, voxels, order)
      data[slab] = np.where(inside, found, data.dtype.type(fill))
    return grids.Volume(data, self.grid.affine)

  def determinant(self) -> np.ndarray:
    """det(I + dd/dp), (x, y, z); differences are one-sided at the border.

    It is the local change of volume, and negative where space folds. An axis of
    a single voxel has no differences.
    """
    to_mm = np.linalg.inv(self.grid.affine[:3, :3])
    found = np.empty(self.grid.shape)
    for slab, _ in _slabs(self.grid):
      # With a neighbour on either side, where there is one.
      first = max(slab.start - 1, 0)
      vectors = self.vectors[first : slab.stop + 1].astype(np.float64)
      gradient = np.stack([_difference(vectors, a) for a in range(3)], axis=-1)
      own = slice(slab.start - first, slab.stop - first)
      found[slab] = np.linalg.det(np.eye(3) + gradient[own] @ to_mm)
    return found

  def then(self, second: 'Field') -> 'Field':
    """The field that moves as this one does, and then as `second` does."""

    def vectors(slab: slice, places: np.ndarray) -> np.ndarray:
      return second.move(places + self.vectors[slab]) - places

    return _make(self.grid, vectors)

  def on(self, grid: grids.Grid) -> 'Field':
    """The same field on another grid."""
    return _make(grid, lambda _, places: self.move(places) - places)

  def inverse(
    self, grid: grids.Grid, start: np.ndarray | None = None
  ) -> 'Field':
    """The field on `grid` that undoes this one, where it does not fold.

    e = -d(q + e), repeated from `start` (x, y, z, 3) or 0 for every voxel until
    its step is no longer than a hundredth of one, at most thirty times (Chen et
    al., "A simple fixed-point approach to invert a deformation field", Medical
    Physics 2008).
    """
    enough = _CLOSE * min(grid.spacing)

    def vectors(slab: slice, places: np.ndarray) -> np.ndarray:
      places = places.reshape(-1, 3)
      found = np.zeros_like(places)
      if start is not None:
        found[:] = start[slab].reshape(-1, 3)
      moving = np.arange(len(places))
      for _ in range(_MOST_STEPS):
        at = places[moving] + found[moving]
        step = self.move(at) - places[moving]
        found[moving] -= step
        moving = moving[np.abs(step).max(axis=-1) > enough]
        if not moving.size:
          break
      return found.reshape(-1, *grid.shape[1:], 3)

    return _make(grid, vectors)


def _make(
  grid: grids.Grid, vectors: Callable[[slice, np.ndarray], np.ndarray]
) -> Field:
  """The field whose vectors at the places (n, y, z, 3) of a slab are given."""
  found = np.empty((*grid.shape, 3), np.float32)
  for slab, places in _slabs(grid):
    found[slab] = vectors(slab, places)
  return Field(found, grid)


def _slabs(grid: grids.Grid) -> Iterator[tuple[slice, np.ndarray]]:
  """Ranges of x, and the world coordinates of their voxels, (n, y, z, 3)."""
  x, y, z = grid.shape
  thick = max(1, _SLAB // (y * z))
  for start in range(0, x, thick):
    slab = slice(start, min(start + thick, x))
    indices = np.moveaxis(np.mgrid[slab, :y, :z].astype(np.float64), 0, -1)
    yield slab, grids.transform_points(indices, grid.affine)


def _difference(vectors: np.ndarray, axis: int) -> np.ndarray:
  if vectors.shape[axis] == 1:
    return np.zeros_like(vectors)
  return np.gradient(vectors, axis=axis)


def _sample(data: np.ndarray, voxels: np.ndarray, order: int) -> np.ndarray:
  """Values of (x, y, z) or (x, y, z, c) at voxel coordinates (..., 3)."""
  coordinates = voxels.reshape(-1, 3).T
  channels = data.reshape(*data.shape[:3], -1)

  def sample(c: int) -> np.ndarray:
    return ndimage.map_coordinates(
      channels[..., c], coordinates, order=order, mode='nearest'
    )

  # SciPy interpolates without holding Python's lock.
  with futures.ThreadPoolExecutor() as pool:
    found = list(pool.map(sample, range(channels.shape[-1])))
  return np.stack(found, axis=-1).reshape(voxels.shape[:-1] + data.shape[3:])
