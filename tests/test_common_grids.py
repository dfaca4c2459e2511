"""Grids: which voxel goes where, by hand-derived numbers."""

import numpy as np
import pytest

from common import grids


def _volume(shape: tuple[int, ...], spacing=(1.0, 1.0, 1.0)) -> grids.Volume:
  """Values that name their voxel: 100 x + 10 y + z."""
  x, y, z = np.indices(shape)
  affine = np.diag([*spacing, 1.0])
  affine[:3, 3] = (-5.0, 7.0, 11.0)
  return grids.Volume((100 * x + 10 * y + z).astype(np.float32), affine)


def _centred(volume, shape, fill=0.0) -> grids.Volume:
  """Each axis cropped or padded on its own."""
  grid = grids.network_grid(volume.grid, None, shape)
  return grids.resample(volume, grid, 0, fill=fill)


@pytest.mark.parametrize(
  ('size', 'target', 'first'),
  [
    (5, 8, -1),
    (5, 9, -2),
    (6, 9, -1),
    (8, 5, 2),
    (9, 5, 2),
    (9, 4, 2),
    (7, 7, 0),
  ],
)
def test_crop_or_pad_starts_where_the_formula_says(
  size: int, target: int, first: int
) -> None:
  volume = grids.Volume(np.arange(1.0, size + 1).reshape(1, size, 1), np.eye(4))
  out = _centred(volume, (1, target, 1), fill=-9).data[0, :, 0]
  wanted = [
    i + 1 if 0 <= i < size else -9 for i in range(first, first + target)
  ]
  np.testing.assert_array_equal(out, wanted)


def test_crop_and_pad_mix_over_the_axes_and_keep_places() -> None:
  volume = _volume((5, 9, 4), (2.0, 0.5, 1.5))
  out = _centred(volume, (8, 4, 4))
  assert out.data.shape == (8, 4, 4)
  # x is padded by 1 before, y is cropped from 4 - 2 = 2, z is kept.
  np.testing.assert_array_equal(out.data[1:6], volume.data[:, 2:6])
  assert not out.data[0].any()
  assert not out.data[6:].any()
  np.testing.assert_allclose(out.affine[:3, 3], (-5 - 2.0, 7 + 2 * 0.5, 11))


def test_network_grid_of_another_spacing_shares_the_centre() -> None:
  grid = _volume((9, 20, 5), (1.5, 1.0, 4.0)).grid
  network = grids.network_grid(grid, (3.0, 1.0, 2.0), (6, 24, 8))
  assert network.spacing == pytest.approx((3.0, 1.0, 2.0))
  middle = grids.transform_points(
    (np.array([6, 24, 8]) - 1) / 2, network.affine
  )
  wanted = grids.transform_points((np.array([9, 20, 5]) - 1) / 2, grid.affine)
  np.testing.assert_allclose(middle, wanted)


def test_a_kept_axis_keeps_its_voxels() -> None:
  """y keeps its spacing: 20 -> 23 adds 1 before, not 1.5."""
  grid = _volume((9, 20, 5)).grid
  network = grids.network_grid(grid, (2.0, 1.0, 1.0), (6, 23, 5))
  np.testing.assert_allclose(network.affine[1, 3], 7 - 1)


def test_flips_and_swapped_axes_copy() -> None:
  volume = _volume((3, 4, 5))
  stored = volume.affine.copy()
  # Target axes run along y, -x and z of the source.
  to_source = np.array(
    [[0, -1, 0, 2], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
  )
  grid = grids.Grid((4, 3, 5), stored @ to_source)
  out = grids.resample(volume, grid, 1).data
  np.testing.assert_array_equal(out, volume.data.transpose(1, 0, 2)[:, ::-1])
  back = grids.resample(grids.Volume(out, grid.affine), volume.grid, 0)
  np.testing.assert_array_equal(back.data, volume.data)


@pytest.mark.parametrize('spacing', [(0.5, 2.0, 1.5), (1.7, 0.6, 2.2)])
def test_linear_interpolation_is_exact_on_a_ramp(
  spacing: tuple[float, float, float],
) -> None:
  volume = _volume((7, 8, 9))
  grid = grids.network_grid(volume.grid, spacing, (3, 3, 3))
  out = grids.resample(volume, grid, 1)
  at = grids.transform_points(
    np.moveaxis(np.indices((3, 3, 3)), 0, -1), grid.to(volume.grid)
  )
  np.testing.assert_allclose(out.data, at @ [100, 10, 1], rtol=1e-5)


def test_interpolation_fills_beyond_the_outer_faces_of_the_voxels() -> None:
  volume = grids.Volume(np.full((4, 4, 4), 5.0), np.eye(4))
  # Half-millimetre voxels whose centres are -0.75, -0.25, 0.25, ...
  affine = np.diag([0.5, 0.5, 0.5, 1.0])
  affine[:3, 3] = -0.75
  out = grids.resample(
    volume, grids.Grid((10, 10, 10), affine), 1, fill=-1
  ).data
  line = out[:, 5, 5]
  np.testing.assert_array_equal(line, [-1, 5, 5, 5, 5, 5, 5, 5, 5, -1])


def test_antialias_keeps_a_constant_and_removes_a_checkerboard() -> None:
  x, y, z = np.indices((24, 24, 24))
  board = ((x + y + z) % 2).astype(np.float32)
  grid = grids.network_grid(
    grids.Volume(board, np.eye(4)).grid, (3.0, 3.0, 3.0), (4, 4, 4)
  )
  smooth = grids.resample(
    grids.Volume(board, np.eye(4)), grid, 1, antialias=True
  )
  np.testing.assert_allclose(smooth.data, 0.5, atol=0.01)
  flat = grids.Volume(np.full_like(board, 3), np.eye(4))
  flat = grids.resample(flat, grid, 1, antialias=True)
  np.testing.assert_allclose(flat.data, 3, rtol=1e-5)


def test_antialias_leaves_an_axis_of_kept_spacing_alone() -> None:
  """One bright slice stays one, however coarse its pixels become."""
  data = np.zeros((8, 8, 5), np.float32)
  data[:, :, 2] = 1
  volume = grids.Volume(data, np.eye(4))
  grid = grids.network_grid(volume.grid, (2.0, 2.0, 1.0), (4, 4, 5))
  found = grids.resample(volume, grid, 1, antialias=True).data
  np.testing.assert_allclose(found[:, :, 2], 1, rtol=1e-6)
  assert not found[:, :, [0, 1, 3, 4]].any()


def test_antialias_follows_swapped_axes() -> None:
  """What alternates along y is blurred along y, in whatever order it ends."""
  x, y, _ = np.indices((5, 24, 4))
  volume = grids.Volume((x + 10 * (y % 2)).astype(np.float32), np.eye(4))
  grid = grids.network_grid(volume.grid, (1.0, 3.0, 1.0), (5, 4, 4))
  plain = grids.resample(volume, grid, 1, antialias=True)
  wanted = np.arange(5)[:, None, None] + np.full((5, 4, 4), 5.0)
  np.testing.assert_allclose(plain.data, wanted, atol=0.1)
  turned = grids.transpose(plain, (1, 0, 2))
  found = grids.resample(volume, turned.grid, 1, antialias=True).data
  np.testing.assert_allclose(found, turned.data, atol=1e-5)


def test_transpose_keeps_places() -> None:
  volume = _volume((3, 4, 5), (1.0, 2.0, 3.0))
  turned = grids.transpose(volume, (0, 2, 1))
  assert turned.data.shape == (3, 5, 4)
  assert turned.data[2, 4, 1] == volume.data[2, 1, 4]
  np.testing.assert_allclose(
    grids.transform_points(np.array([2, 4, 1]), turned.affine),
    grids.transform_points(np.array([2, 1, 4]), volume.affine),
  )


def test_matches_sees_a_shift_of_a_fiftieth_voxel() -> None:
  grid = _volume((30, 40, 50)).grid
  near, far = grid.affine.copy(), grid.affine.copy()
  near[1, 3] += 0.002
  far[1, 3] += 0.02
  assert grid.matches(grids.Grid(grid.shape, near))
  assert not grid.matches(grids.Grid(grid.shape, far))
  assert not grid.matches(grids.Grid((30, 40, 51), grid.affine))


def test_restore_brings_a_crop_back_to_its_place() -> None:
  volume = _volume((6, 9, 8))
  network = _centred(volume, (4, 12, 8))
  back = grids.restore(network.data, network.grid, volume, 0, fill=-1)
  np.testing.assert_array_equal(back.data[1:5], volume.data[1:5])
  assert (back.data[[0, 5]] == -1).all()


def test_restored_displacement_of_a_shift_is_the_shift_in_millimetres() -> None:
  """u = (1, 0.5, -2) voxels of (2, 4, 1) mm is (2, 2, -2) mm."""
  original = _volume((9, 11, 7), (1.0, 2.0, 1.0)).grid
  network = grids.network_grid(original, (2.0, 4.0, 1.0), (5, 6, 8))
  u = np.broadcast_to(np.array([1.0, 0.5, -2.0]), (5, 6, 8, 3))
  mm = grids.restore_displacement(u, network, network, original)
  assert mm.shape == (9, 11, 7, 3)
  np.testing.assert_allclose(mm, np.broadcast_to([2.0, 2.0, -2.0], mm.shape))


def test_restored_displacement_has_the_offset_of_the_moving_grid() -> None:
  original = _volume((6, 7, 8)).grid
  network = grids.network_grid(original, None, (6, 7, 8))
  shifted = network.affine.copy()
  shifted[:3, 3] += (3.0, -1.0, 0.25)
  moving = grids.Grid(network.shape, shifted)
  mm = grids.restore_displacement(
    np.zeros((6, 7, 8, 3)), network, moving, original
  )
  np.testing.assert_allclose(mm[2, 3, 4], (3.0, -1.0, 0.25))


def test_restored_displacement_follows_swapped_axes() -> None:
  """On a grid whose axes are x, z, y of the original, component 1 is z."""
  volume = _volume((4, 5, 6))
  network = grids.transpose(volume, (0, 2, 1)).grid
  u = np.zeros((4, 6, 5, 3))
  u[2, 3, 1] = (0.0, 1.5, 0.0)
  mm = grids.restore_displacement(u, network, network, volume.grid)
  np.testing.assert_allclose(mm[2, 1, 3], (0, 0, 1.5), atol=1e-12)
  assert np.abs(mm).sum() == pytest.approx(1.5)
