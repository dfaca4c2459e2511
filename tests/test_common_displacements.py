"""Fields in millimetres, against hand-made ones and against SimpleITK."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from common import displacements, grids, itk, volumes

# Axes of the file, spacing along them (mm), turn about an oblique axis.
GEOMETRIES = {
  'RAS': ((1, 2, 3), (2.0, 2.0, 2.0), 0.0),
  'LPS': ((-1, -2, 3), (2.0, 2.0, 2.0), 0.0),
  'oblique': ((1, 2, 3), (2.0, 1.5, 2.5), 20.0),
  'anisotropic': ((-2, 1, 3), (1.0, 1.5, 4.0), 0.0),
}


def _affine(name: str, shape: tuple[int, ...]) -> np.ndarray:
  """Centred on the origin, as the name says."""
  axes, spacing, degrees = GEOMETRIES[name]
  linear = np.zeros((3, 3))
  for column, (axis, step) in enumerate(zip(axes, spacing, strict=True)):
    linear[abs(axis) - 1, column] = np.sign(axis) * step
  angle = np.deg2rad(degrees)
  c, s = np.cos(angle), np.sin(angle)
  turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
  turn = turn @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
  affine = np.eye(4)
  affine[:3, :3] = turn @ linear
  affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
  return affine


def _write(path, name: str, shape: tuple[int, ...], seed: int):
  """A smooth image; what was written is read back."""
  affine = _affine(name, shape)
  places = np.moveaxis(np.indices(shape), 0, -1)
  x, y, z = np.moveaxis(grids.transform_points(places, affine), -1, 0) / 9
  data = 100 + 40 * np.sin(x + seed) * np.cos(y) + 30 * np.sin(z + 0.4 * x)
  nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)
  return volumes.load_volume(path)


def _smooth(grid: grids.Grid, size: float = 3.0) -> np.ndarray:
  """Vectors of `size` mm and less, different along all axes."""
  places = np.moveaxis(np.indices(grid.shape), 0, -1)
  p = grids.transform_points(places, grid.affine) / 15
  waves = [
    np.sin(p[..., 1] + 0.3),
    np.cos(p[..., 2]),
    np.sin(p[..., 0] - p[..., 1]),
  ]
  return size * np.stack(waves, axis=-1)


def _tool(path) -> sitk.DisplacementFieldTransform:
  image = sitk.ReadImage(str(path), sitk.sitkVectorFloat64)
  return sitk.DisplacementFieldTransform(image)


@pytest.mark.parametrize('moving_name', list(GEOMETRIES))
@pytest.mark.parametrize('fixed_name', list(GEOMETRIES))
def test_simpleitk_warps_alike(tmp_path, fixed_name, moving_name):
  """Through the saved field, on the grid of the fixed file."""
  fixed = _write(tmp_path / 'f.nii.gz', fixed_name, (20, 22, 18), 0)
  moving = _write(tmp_path / 'm.nii.gz', moving_name, (26, 20, 24), 1)
  field = displacements.Field(_smooth(fixed.grid), fixed.grid)
  volumes.save_displacement(tmp_path / 'u.nii.gz', field.vectors, fixed)
  ours = field.warp(moving, fill=-1.0)
  volumes.save_volume(tmp_path / 'w.nii.gz', ours.data, like=fixed)
  theirs = sitk.Resample(
    sitk.ReadImage(str(tmp_path / 'm.nii.gz')),
    sitk.ReadImage(str(tmp_path / 'f.nii.gz')),
    _tool(tmp_path / 'u.nii.gz'),
    sitk.sitkLinear,
    -1.0,
  )
  theirs = sitk.GetArrayFromImage(theirs).transpose(2, 1, 0)
  ours = np.asanyarray(nib.load(tmp_path / 'w.nii.gz').dataobj)
  both = (ours > 0) & (theirs > 0)
  assert both.mean() > 0.1
  assert np.abs(ours - theirs)[both].mean() < 1e-5 * np.ptp(moving.data)
  # Which voxels lie inside differs only where rounding decides.
  assert ((ours > 0) != (theirs > 0)).mean() < 1e-3


def test_labels_are_taken_at_the_nearest_voxel(tmp_path):
  fixed = _write(tmp_path / 'f.nii', 'oblique', (12, 13, 14), 0)
  label = np.zeros((12, 13, 14), np.uint8)
  label[3:8, 4:9, 2:10] = 7
  field = displacements.Field(_smooth(fixed.grid), fixed.grid)
  warped = field.warp(grids.Volume(label, fixed.affine), 0)
  assert warped.data.dtype == np.uint8
  assert set(np.unique(warped.data)) == {0, 7}


def test_a_shift_moves_points_and_pulls_images():
  """3 mm to the right: a point moves right, the picture left."""
  grid = grids.Grid((6, 5, 4), np.diag([1.0, 2.0, 3.0, 1.0]))
  field = displacements.Field(
    np.broadcast_to([3.0, 0.0, 0.0], (6, 5, 4, 3)), grid
  )
  np.testing.assert_array_equal(field.move(np.array([1.0, 2, 3])), [4, 2, 3])
  image = np.zeros((6, 5, 4))
  image[4, 2, 1] = 1
  warped = field.warp(grids.Volume(image, grid.affine), fill=-5.0)
  assert warped.data[1, 2, 1] == 1
  assert (warped.data[3:] == -5).all() and (warped.data[:3] != -5).all()


def test_beyond_the_grid_a_field_is_that_of_the_nearest_voxel():
  grid = grids.Grid((2, 2, 2), np.eye(4))
  vectors = np.zeros((2, 2, 2, 3))
  vectors[1] = (0.0, 5.0, 0.0)
  field = displacements.Field(vectors, grid)
  np.testing.assert_allclose(field.move(np.array([9.0, 0, 0])), [9, 5, 0])


@pytest.mark.parametrize('name', list(GEOMETRIES))
def test_the_determinant_of_a_linear_field(name):
  """d = M p: det(I + M), whatever the axes of the grid."""
  linear = np.array([[0.1, 0.3, 0.0], [-0.2, -0.4, 0.1], [0.0, 0.2, 0.5]])
  grid = grids.Grid((4, 5, 3), _affine(name, (4, 5, 3)))
  places = np.moveaxis(np.indices(grid.shape), 0, -1)
  vectors = grids.transform_points(places, grid.affine) @ linear.T
  np.testing.assert_allclose(
    displacements.Field(vectors, grid).determinant(),
    np.linalg.det(np.eye(3) + linear),
    rtol=1e-10,
  )


def test_the_determinant_of_a_single_slice():
  field = displacements.Field(
    np.zeros((4, 4, 1, 3)), grids.Grid((4, 4, 1), np.eye(4))
  )
  np.testing.assert_array_equal(field.determinant(), 1)


def test_one_field_after_another():
  """The second is looked up where the first has led to."""
  grid = grids.Grid((9, 3, 3), np.eye(4))
  first = np.broadcast_to([2.0, 0.0, 0.0], (9, 3, 3, 3))
  second = np.zeros((9, 3, 3, 3))
  second[4] = (0.0, 7.0, 0.0)
  both = displacements.Field(first, grid).then(
    displacements.Field(second, grid)
  )
  np.testing.assert_allclose(both.vectors[2, 1, 1], (2, 7, 0))
  np.testing.assert_allclose(both.vectors[4, 1, 1], (2, 0, 0))


def test_a_field_and_its_inverse_undo_each_other():
  grid = grids.Grid((24, 20, 22), _affine('oblique', (24, 20, 22)))
  field = displacements.Field(_smooth(grid), grid)
  inverse = field.inverse(grid)
  inner = np.moveaxis(np.indices((12, 8, 10)), 0, -1) + 6
  points = grids.transform_points(inner, grid.affine)
  gap = field.move(inverse.move(points)) - points
  assert np.linalg.norm(field.move(points) - points, axis=-1).mean() > 2
  assert np.linalg.norm(gap, axis=-1).max() < 0.05


def test_a_transform_file_of_itk(tmp_path):
  grid = grids.Grid((7, 6, 5), _affine('oblique', (7, 6, 5)))
  field = displacements.Field(_smooth(grid), grid)
  itk.write_transform(tmp_path / 'u.h5', field.vectors, grid)
  assert [p.name for p in tmp_path.iterdir()] == ['u.h5']
  transform = sitk.ReadTransform(str(tmp_path / 'u.h5'))
  flip = np.array([-1, -1, 1])
  for point in np.array([[0.0, 1, 2], [-2, 1.5, -0.7]]):
    moved = np.array(transform.TransformPoint((point * flip).tolist())) * flip
    np.testing.assert_allclose(moved, field.move(point), atol=1e-6)


def test_slabs_change_nothing(monkeypatch):
  grid = grids.Grid((11, 7, 5), _affine('oblique', (11, 7, 5)))
  other = grids.Grid((9, 8, 6), _affine('anisotropic', (9, 8, 6)))
  field = displacements.Field(_smooth(grid), grid)
  image = grids.Volume(_smooth(other)[..., 0], other.affine)

  def found() -> list[np.ndarray]:
    return [
      field.determinant(),
      field.warp(image).data,
      field.then(field).vectors,
      field.on(other).vectors,
      field.inverse(other).vectors,
    ]

  whole = found()
  monkeypatch.setattr(displacements, '_SLAB', 80)  # two planes of 35 voxels
  parts = found()
  for a, b in zip(whole[:-1], parts[:-1], strict=True):
    np.testing.assert_array_equal(a, b)
  # Every slab goes on until it has converged.
  np.testing.assert_allclose(whole[-1], parts[-1], atol=0.03)
