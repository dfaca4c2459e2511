"""How two scans come to the grid of a network, and to each other."""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np

from common import errors, grids
from common import train_state as ts
from samcl import cases, scans, specs

# Of images that no task of the run says anything about.
_PERCENTILE = 99.5


class Placed(NamedTuple):
  """A pair as the network sees it.

  Attributes:
    batch: of one pair, without labels and landmarks.
    fixed, moving: the network's grid on either image.
  """

  batch: ts.Batch
  fixed: grids.Grid
  moving: grids.Grid


def place(
  fixed: scans.Scan,
  moving: scans.Scan,
  *,
  shape: Sequence[int],
  spec: specs.Spec | None,
  align: str,
) -> Placed:
  """Brings two scans to a grid of `shape`.

  Args:
    fixed, moving: the two images.
    shape: of the network's grid.
    spec: of the task that says how images are prepared. Where None intensities
      are clipped at their percentile 99.5. Without it, or where the task keeps
      the spacing of its files, the fixed image is as large as the grid.
    align: 'world' takes the places that the files say; 'centre' first puts the
      centre of one image on that of the other, as in training.

  Raises:
    InputError: an unknown alignment; the images or their masks have no place
      in common; the task prepares images by the ending of their names, and one
      of these has none.
  """
  fixed_grid = _on_fixed(fixed, tuple(shape), spec)
  moving_grid = _on_moving(fixed_grid, fixed, moving, align)

  def prepare(fixed: scans.Scan, moving: scans.Scan) -> ts.Batch:
    return {
      **_prepare('fixed', fixed, fixed_grid, spec),
      **_prepare('moving', moving, moving_grid, spec),
    }

  batch = prepare(fixed, moving)
  if not _overlap(batch):
    bare = (dataclasses.replace(scan, mask=None) for scan in (fixed, moving))
    if _overlap(prepare(*bare)):
      raise errors.InputError(
        f'{moving.path}: mask: found no place in common with what counts in '
        f'{fixed.path}, allowed masks that overlap'
      )
    raise errors.InputError(
      f'{moving.path}: affine: found a volume from {_span(moving)}, which has '
      f'no place in common with {fixed.path}, from {_span(fixed)} mm, allowed '
      'images that overlap; --align=centre puts one on the other'
    )
  return Placed(batch, fixed_grid, moving_grid)


def _overlap(batch: ts.Batch) -> bool:
  return bool((batch['fixed_mask'] & batch['moving_mask']).any())


def _on_fixed(
  fixed: scans.Scan, shape: tuple[int, ...], spec: specs.Spec | None
) -> grids.Grid:
  grid = fixed.volume.grid
  if spec is not None and spec.axes is not None:
    stored = fixed.volume.stored.grid
    grid = grids.Grid(
      tuple(stored.shape[axis] for axis in spec.axes),
      stored.affine[:, [*spec.axes, 3]],
    )
  spacing = None if spec is None else spec.spacing
  if spacing is None:
    spacing = np.multiply(grid.shape, grid.spacing) / shape
  return grids.network_grid(grid, tuple(spacing), shape)


def _on_moving(
  grid: grids.Grid, fixed: scans.Scan, moving: scans.Scan, align: str
) -> grids.Grid:
  """The grid on the moving image, given that on the fixed one."""
  if align == 'world':
    return grid
  if align != 'centre':
    raise errors.InputError(f'--align: found {align!r}, allowed: world, centre')
  affine = grid.affine.copy()
  affine[:3, 3] += _centre(moving) - _centre(fixed)
  return grids.Grid(grid.shape, affine)


def _centre(scan: scans.Scan) -> np.ndarray:
  grid = scan.volume.grid
  return grids.transform_points((np.array(grid.shape) - 1) / 2, grid.affine)


def _span(scan: scans.Scan) -> str:
  """Where in the world a volume lies, for messages."""
  grid = scan.volume.grid
  corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(grid.shape) - 1)
  places = np.round(grids.transform_points(corners, grid.affine))
  low, high = places.min(axis=0).tolist(), places.max(axis=0).tolist()
  return f'{low} to {high}'


def _prepare(
  side: str, scan: scans.Scan, grid: grids.Grid, spec: specs.Spec | None
) -> ts.Batch:
  """The part of a batch of one pair that is of one image."""
  volume, intensity = scan.volume, cases.Intensity(None, _PERCENTILE)
  if spec is not None:
    intensity = spec.intensity_of(scan.name)
    if spec.intensity and intensity == cases.Intensity(None, None):
      raise errors.InputError(
        f'{scan.path}: name: found {scan.name!r}, allowed one that ends with '
        f'{" or ".join(spec.intensity)}: task {spec.name} prepares images by it'
      )
  inside = scan.mask
  if inside is None:
    known = np.ones(volume.grid.shape, bool)
    if spec is not None and spec.mask == 'nonzero':
      known = volume.data != 0
    inside = dataclasses.replace(volume, data=known.astype(np.uint8))
  return {
    side: cases.prepare_image(volume, grid, intensity)[None],
    f'{side}_mask': grids.resample(inside, grid, 0).data[None],
    f'{side}_label': np.zeros((1, *grid.shape), np.uint8),
    f'{side}_landmarks': np.zeros((1, 1, 3), np.float32),
    'landmark_weight': np.zeros((1, 1), np.float32),
  }
