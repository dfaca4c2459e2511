"""Scores where the data are: labels warped on the fixed image's own grid."""

import numpy as np
from scipy import ndimage

from common import grids, volumes
from samcl import tasks as tasks_lib


def warp_label(
  task: tasks_lib.Task, number: int, displacement: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Fixed label and warped moving label of a validation pair.

  The displacement is interpolated from the network grid, the moving label is
  taken at the nearest voxel, so neither label is ever resampled by itself.

  Args:
    task: of the pair.
    number: of the pair in `task.val`.
    displacement: (x, y, z, 3), voxels of the network grid.

  Returns:
    Two arrays on the grid of the fixed image, in canonical orientation.
  """
  pair = task.val[number]
  native = task.native(pair)
  fixed = volumes.load_volume(pair.fixed.label, 'label')
  moving = volumes.load_volume(pair.moving.label, 'label')
  shift = grids.restore_displacement(
    displacement, native.fixed, native.moving, native.original
  )
  voxels = np.moveaxis(np.indices(native.original.shape), 0, -1)
  world = grids.transform_points(voxels, native.original.affine) + shift
  target = grids.transform_points(world, np.linalg.inv(moving.grid.affine))
  warped = ndimage.map_coordinates(
    moving.data, np.moveaxis(target, -1, 0), order=0, mode='nearest'
  )
  return fixed.data, warped
