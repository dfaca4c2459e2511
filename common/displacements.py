"""Displacement fields in millimetres: warping images, moving points.

A field belongs to the voxel grid of one image and says, for each of its points
p in world coordinates (mm, RAS+), where in another image the same place is: at
p + d(p). Between voxels it is interpolated linearly; beyond the grid it is that
of the nearest voxel.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from common import grids

_CLOSE = 0.01  # voxels
_MOST_STEPS = 30


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
  """Vectors (x, y, z, 3), mm in RAS+, on a grid (x, y, z)."""

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
    targets = _centres(self.grid) + self.vectors
    voxels = grids.transform_points(targets, np.linalg.inv(volume.grid.affine))
    last = np.array(volume.grid.shape) - 1
    inside = (np.abs(voxels - last / 2) <= last / 2 + grids.EDGE).all(axis=-1)
    data = _sample(volume.data, voxels, order)
    data = np.where(inside, data, data.dtype.type(fill))
    return grids.Volume(data, self.grid.affine)

  def determinant(self) -> np.ndarray:
    """det(I + dd/dp), (x, y, z); differences are one-sided at the border.

    It is the local change of volume, and negative where space folds. An axis of
    a single voxel has no differences.
    """
    gradient = np.stack(
      [
        np.gradient(self.vectors, axis=axis)
        if self.grid.shape[axis] > 1
        else np.zeros_like(self.vectors)
        for axis in range(3)
      ],
      axis=-1,
    )
    by_mm = gradient @ np.linalg.inv(self.grid.affine[:3, :3])
    return np.linalg.det(np.eye(3) + by_mm)

  def then(self, second: 'Field') -> 'Field':
    """The field that moves as this one does, and then as `second` does."""
    start = _centres(self.grid)
    return Field(second.move(start + self.vectors) - start, self.grid)

  def on(self, grid: grids.Grid) -> 'Field':
    """The same field on another grid."""
    start = _centres(grid)
    return Field(self.move(start) - start, grid)

  def inverse(
    self, grid: grids.Grid, start: np.ndarray | None = None
  ) -> 'Field':
    """The field on `grid` that undoes this one, where it does not fold.

    e = -d(q + e), repeated from `start` (x, y, z, 3) or 0 until no step is
    longer than a hundredth of a voxel, at most thirty times (Chen et al., "A
    simple fixed-point approach to invert a deformation field", Medical Physics
    2008).
    """
    place = _centres(grid)
    found = np.zeros_like(place) if start is None else start
    enough = _CLOSE * min(grid.spacing)
    for _ in range(_MOST_STEPS):
      at = place + found
      step = self.move(at) - at + found
      found = found - step
      if np.abs(step).max() <= enough:
        break
    return Field(found, grid)


def _centres(grid: grids.Grid) -> np.ndarray:
  """World coordinates of every voxel, (x, y, z, 3)."""
  indices = np.moveaxis(np.indices(grid.shape, dtype=np.float64), 0, -1)
  return grids.transform_points(indices, grid.affine)


def _sample(data: np.ndarray, voxels: np.ndarray, order: int) -> np.ndarray:
  """Values of (x, y, z) or (x, y, z, c) at voxel coordinates (..., 3)."""
  coordinates = voxels.reshape(-1, 3).T
  channels = data.reshape(*data.shape[:3], -1)
  found = [
    ndimage.map_coordinates(
      channels[..., c], coordinates, order=order, mode='nearest'
    )
    for c in range(channels.shape[-1])
  ]
  return np.stack(found, axis=-1).reshape(voxels.shape[:-1] + data.shape[3:])
