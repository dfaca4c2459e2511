"""NIfTI files in, NIfTI files out; and what is refused."""

import gzip
import pathlib

import nibabel as nib
import numpy as np
import pytest

from common import errors, grids, volumes

# Rows: which world axis and direction each stored axis runs along.
_ORIENTATIONS = {
  'RAS': [(0, 1), (1, 1), (2, 1)],
  'LPS': [(0, -1), (1, -1), (2, 1)],
  'PIR': [(1, -1), (2, -1), (0, 1)],
  'SAL': [(2, 1), (1, 1), (0, -1)],
}


def _affine(orientation: str, degrees: float = 0.0) -> np.ndarray:
  """Spacing (1, 2, 3) mm along the stored axes, turned about oblique axes."""
  linear = np.zeros((3, 3))
  for stored, (world, sign) in enumerate(_ORIENTATIONS[orientation]):
    linear[world, stored] = sign * (stored + 1)
  angle = np.deg2rad(degrees)
  c, s = np.cos(angle), np.sin(angle)
  about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
  about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
  affine = np.eye(4)
  affine[:3, :3] = about_x @ about_z @ linear
  affine[:3, 3] = (3.0, -20.0, 7.0)
  return affine


def _write(
  path: pathlib.Path, data: np.ndarray, affine: np.ndarray | None = None
) -> pathlib.Path:
  affine = np.eye(4) if affine is None else affine
  nib.save(nib.Nifti1Image(data, affine), path)
  return path


def _numbers(shape: tuple[int, ...], dtype=np.int16) -> np.ndarray:
  return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize('degrees', [0.0, 17.0])
@pytest.mark.parametrize('orientation', list(_ORIENTATIONS))
def test_canonical_data_and_affine_agree_with_the_file(
  tmp_path: pathlib.Path, orientation: str, degrees: float
) -> None:
  data, affine = _numbers((3, 4, 5)), _affine(orientation, degrees)
  volume = volumes.load_volume(_write(tmp_path / 'a.nii.gz', data, affine))
  assert nib.aff2axcodes(volume.affine) == ('R', 'A', 'S')
  assert volume.data.dtype == np.float32
  # The value at a place in space is the same before and after.
  for index in [(0, 0, 0), (2, 0, 1), (1, 3, 4)]:
    world = grids.transform_points(np.array(index), affine)
    at = grids.transform_points(world, np.linalg.inv(volume.affine))
    canonical = tuple(np.round(at).astype(int))
    np.testing.assert_allclose(at, canonical, atol=1e-4)
    assert volume.data[canonical] == data[index]


@pytest.mark.parametrize('degrees', [0.0, 17.0])
@pytest.mark.parametrize('orientation', list(_ORIENTATIONS))
def test_save_gives_back_the_stored_file(
  tmp_path: pathlib.Path, orientation: str, degrees: float
) -> None:
  data, affine = _numbers((3, 4, 5)), _affine(orientation, degrees)
  first = _write(tmp_path / 'a.nii.gz', data, affine)
  volume = volumes.load_volume(first, 'label')
  volumes.save_volume(tmp_path / 'new' / 'b.nii.gz', volume.data, like=volume)
  again = nib.load(tmp_path / 'new' / 'b.nii.gz')
  np.testing.assert_array_equal(np.asanyarray(again.dataobj), data)
  np.testing.assert_array_equal(again.affine, nib.load(first).affine)
  assert again.get_data_dtype() == volume.data.dtype
  for code in ('sform_code', 'qform_code'):
    assert again.header[code] == nib.load(first).header[code]


def test_pir_by_hand(tmp_path: pathlib.Path) -> None:
  """Stored axes P, I, R: canonical (x, y, z) is stored (S-1-y, S-1-z, x)."""
  data = _numbers((3, 4, 5))
  path = _write(tmp_path / 'a.nii', data, _affine('PIR'))
  volume = volumes.load_volume(path)
  assert volume.data.shape == (5, 3, 4)
  assert volume.grid.spacing == pytest.approx((3.0, 1.0, 2.0))
  assert volume.data[4, 0, 1] == data[2, 2, 4]
  assert volumes.load_grid(path).matches(volume.grid)
  assert volumes.load_grid(path, canonical=False).shape == (3, 4, 5)


def test_scale_factors_are_applied_on_load_and_not_kept(
  tmp_path: pathlib.Path,
) -> None:
  image = nib.Nifti1Image(_numbers((3, 4, 5)), np.eye(4))
  image.header.set_slope_inter(2.0, -10.0)
  nib.save(image, tmp_path / 'a.nii')
  volume = volumes.load_volume(tmp_path / 'a.nii')
  wanted = _numbers((3, 4, 5)) * 2.0 - 10.0
  np.testing.assert_allclose(volume.data, wanted)
  volumes.save_volume(tmp_path / 'b.nii', volume.data, like=volume)
  again = volumes.load_volume(tmp_path / 'b.nii')
  np.testing.assert_allclose(again.data, wanted)


def test_kinds(tmp_path: pathlib.Path) -> None:
  data = np.zeros((3, 4, 5), np.float32)
  data[1, 2, 3], data[0, 1, 2] = 7.0, 2.0
  path = _write(tmp_path / 'a.nii', data)
  label = volumes.load_volume(path, 'label').data
  mask = volumes.load_volume(path, 'mask').data
  assert (label.dtype, mask.dtype) == (np.uint8, np.uint8)
  assert label[1, 2, 3] == 7
  assert (mask == (data != 0)).all()
  data[1, 2, 3] = 2035
  big = volumes.load_volume(_write(tmp_path / 'b.nii', data), 'label').data
  assert big.dtype == np.int32
  assert big[1, 2, 3] == 2035


def test_a_volume_of_a_series(tmp_path: pathlib.Path) -> None:
  path = _write(tmp_path / 'a.nii', _numbers((3, 4, 5, 2)), _affine('LPS'))
  volume = volumes.load_volume(path, index=1)
  assert volume.data[0, 0, 0] == _numbers((3, 4, 5, 2))[2, 3, 0, 1]
  single = _write(tmp_path / 'b.nii', _numbers((3, 4, 5, 1)))
  assert volumes.load_volume(single).data.shape == (3, 4, 5)


def test_save_with_an_affine_and_a_mask_of_bools(
  tmp_path: pathlib.Path,
) -> None:
  data = _numbers((3, 4, 5)) % 7 == 0
  volumes.save_volume(tmp_path / 'a.nii', data, affine=_affine('LPS'))
  image = nib.load(tmp_path / 'a.nii')
  assert image.get_data_dtype() == np.uint8
  np.testing.assert_allclose(image.affine, _affine('LPS'))
  np.testing.assert_array_equal(np.asanyarray(image.dataobj), data)


def test_displacement_file_is_what_itk_reads(tmp_path: pathlib.Path) -> None:
  rng = np.random.default_rng(3)
  field = rng.normal(size=(3, 4, 5, 3)).astype(np.float32)
  like = grids.Volume(field[..., 0], _affine('RAS', 10.0))
  volumes.save_displacement(tmp_path / 'u.nii.gz', field, like)
  image = nib.load(tmp_path / 'u.nii.gz')
  assert image.shape == (3, 4, 5, 1, 3)
  assert int(image.header['intent_code']) == 1007
  stored = np.asanyarray(image.dataobj)[..., 0, :]
  np.testing.assert_allclose(stored, field * [-1, -1, 1], rtol=1e-6)
  again = volumes.load_displacement(tmp_path / 'u.nii.gz')
  np.testing.assert_allclose(again.data, field, rtol=1e-6)


@pytest.mark.parametrize('orientation', list(_ORIENTATIONS))
def test_displacement_file_has_the_axes_of_the_fixed_file(
  tmp_path: pathlib.Path, orientation: str
) -> None:
  affine = _affine(orientation, 10.0)
  fixed = _write(tmp_path / 'fixed.nii.gz', _numbers((3, 4, 5)), affine)
  like = volumes.load_volume(fixed)
  field = np.random.default_rng(3).normal(size=(*like.data.shape, 3))
  volumes.save_displacement(tmp_path / 'u.nii.gz', field, like)
  image = nib.load(tmp_path / 'u.nii.gz')
  assert image.shape == (3, 4, 5, 1, 3)
  np.testing.assert_allclose(image.affine, affine, rtol=1e-6)
  again = volumes.load_displacement(tmp_path / 'u.nii.gz')
  np.testing.assert_allclose(again.data, field, rtol=1e-6)


def test_a_volume_that_cannot_be_written_leaves_nothing(tmp_path) -> None:
  (tmp_path / 'a.nii').mkdir()
  with pytest.raises(errors.InputError, match=r'a\.nii: not written'):
    volumes.save_volume(
      tmp_path / 'a.nii', np.zeros((2, 2, 2)), affine=np.eye(4)
    )
  assert [p.name for p in tmp_path.iterdir()] == ['a.nii']


def test_equal_volumes_are_equal_files(tmp_path) -> None:
  for name in ('a.nii.gz', 'b.nii.gz'):
    volumes.save_volume(
      tmp_path / name, np.arange(8.0).reshape(2, 2, 2), affine=np.eye(4)
    )
  assert (tmp_path / 'a.nii.gz').read_bytes() == (
    tmp_path / 'b.nii.gz'
  ).read_bytes()


def test_simpleitk_places_the_displaced_point(tmp_path: pathlib.Path) -> None:
  """SimpleITK works in LPS: x and y of world points change sign."""
  sitk = pytest.importorskip('SimpleITK')
  field = np.broadcast_to(np.float32([1.0, -2.0, 4.0]), (6, 7, 8, 3))
  like = grids.Volume(field[..., 0], _affine('RAS', 10.0))
  volumes.save_displacement(tmp_path / 'u.nii.gz', field, like)
  image = sitk.ReadImage(str(tmp_path / 'u.nii.gz'), sitk.sitkVectorFloat64)
  transform = sitk.DisplacementFieldTransform(image)
  point = grids.transform_points(np.array([2.0, 3.0, 4.0]), like.affine)
  flip = np.array([-1, -1, 1])
  moved = np.array(transform.TransformPoint((point * flip).tolist())) * flip
  np.testing.assert_allclose(moved - point, (1.0, -2.0, 4.0), atol=1e-4)


def test_voxel_displacement_goes_to_voxels_of_the_moving_file(
  tmp_path: pathlib.Path,
) -> None:
  """Voxels of 1 mm, and of 2 mm along x: (4, 1, 1) is (2, 1, 1)."""
  fixed, moving = (
    grids.Volume(_numbers((5, 2, 3)), np.diag([width, 1.0, 1.0, 1.0]))
    for width in (1.0, 2.0)
  )
  path, still = tmp_path / 'u.nii', np.zeros((5, 2, 3, 3))
  volumes.save_voxel_displacement(path, still, fixed, moving)
  np.testing.assert_allclose(nib.load(path).get_fdata()[4, 1, 1], (-2, 0, 0))


def _refused(
  path: pathlib.Path, *parts: str, kind: str = 'image', **options
) -> None:
  with pytest.raises(errors.InputError) as caught:
    volumes.load_volume(path, kind, **options)
  message = str(caught.value)
  assert '\n' not in message
  for part in (path.name, 'found', 'allowed', *parts):
    assert part in message


def test_a_missing_file_and_files_that_are_no_nifti(
  tmp_path: pathlib.Path,
) -> None:
  _refused(tmp_path / 'none.nii.gz', 'nothing')
  for name in ('text.nii', 'text.nii.gz', 'text.csv'):
    (tmp_path / name).write_text('this is no image\n' * 40)
    _refused(tmp_path / name, 'NIfTI')
  (tmp_path / 'empty.nii.gz').write_bytes(b'')
  _refused(tmp_path / 'empty.nii.gz', 'NIfTI')
  other = nib.freesurfer.MGHImage(_numbers((3, 4, 5), np.int32), np.eye(4))
  nib.save(other, tmp_path / 'brain.mgz')
  _refused(tmp_path / 'brain.mgz', 'MGHImage')


@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz'])
def test_a_truncated_file(tmp_path: pathlib.Path, suffix: str) -> None:
  noise = np.random.default_rng(0).normal(size=(12, 13, 14))
  path = _write(tmp_path / f'a{suffix}', noise)
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  _refused(path, 'truncated')


def test_a_damaged_gzip(tmp_path: pathlib.Path) -> None:
  path = _write(
    tmp_path / 'a.nii.gz', np.random.default_rng(0).normal(size=(9, 9, 9))
  )
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 0xFF
  content[len(content) // 2 + 1] ^= 0xFF
  path.write_bytes(bytes(content))
  _refused(path)


@pytest.mark.parametrize('level', [0, 6])
def test_a_damaged_gzip_that_still_decodes(tmp_path, level) -> None:
  """A value that changed, and the checksum at the end that tells."""
  plain = _write(tmp_path / 'a.nii', np.arange(729.0).reshape(9, 9, 9))
  content = plain.read_bytes()
  path = tmp_path / 'a.nii.gz'
  path.write_bytes(gzip.compress(content, level))
  volumes.load_volume(path)
  packed = gzip.compress(content[:-1] + b'\x7f', level)
  path.write_bytes(packed[:-8] + path.read_bytes()[-8:])
  _refused(path, 'CRC check failed')


def test_dimensions(tmp_path: pathlib.Path) -> None:
  series = _write(tmp_path / 'a.nii', _numbers((3, 4, 5, 2)))
  _refused(series, 'index 0 to 1')
  _refused(series, 'found 2', 'index 0 to 1', index=2)
  _refused(_write(tmp_path / 'b.nii', _numbers((3, 4))), 'found 2', 'allowed 3')
  _refused(_write(tmp_path / 'c.nii', _numbers((3, 4, 5, 1, 2))), 'found 5')
  _refused(_write(tmp_path / 'd.nii', _numbers((3, 4, 5))), '3-D', index=1)


def test_data_types(tmp_path: pathlib.Path) -> None:
  rgb = np.zeros((3, 4, 5), [('R', 'u1'), ('G', 'u1'), ('B', 'u1')])
  _refused(_write(tmp_path / 'rgb.nii', rgb), 'RGB')
  wave = np.ones((3, 4, 5), np.complex64)
  _refused(_write(tmp_path / 'c.nii', wave), 'complex64')


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_not_finite(
  tmp_path: pathlib.Path, value: float
) -> None:
  data = _numbers((3, 4, 5), np.float32)
  data[1, 2, 3] = data[0, 1, 0] = value
  path = _write(tmp_path / 'a.nii', data)
  for kind in ('image', 'label', 'mask'):
    _refused(path, 'found 2', kind=kind)


def test_values_too_large_for_float32(tmp_path: pathlib.Path) -> None:
  data = _numbers((3, 4, 5), np.float64)
  data[1, 2, 3] = 1e300
  _refused(_write(tmp_path / 'a.nii', data), 'found 1')


def test_empty_volumes(tmp_path: pathlib.Path) -> None:
  flat = _write(tmp_path / 'a.nii', np.full((3, 4, 5), 4, np.int16))
  _refused(flat, 'only 4')
  none = _write(tmp_path / 'b.nii', np.zeros((3, 4, 5), np.uint8))
  _refused(none, 'only 0', kind='mask')
  assert not volumes.load_volume(none, 'label').data.any()


def test_labels(tmp_path: pathlib.Path) -> None:
  data = _numbers((3, 4, 5), np.float32)
  data[1, 2, 3] = 1.5
  _refused(_write(tmp_path / 'a.nii', data), 'found 1.5', kind='label')
  data[1, 2, 3] = -3
  _refused(_write(tmp_path / 'b.nii', data), 'found -3', kind='label')


@pytest.mark.parametrize('bad', ['zero', 'parallel', 'nan'])
def test_singular_affine(tmp_path: pathlib.Path, bad: str) -> None:
  affine = np.eye(4)
  if bad == 'zero':
    affine[:3, 1] = 0
  elif bad == 'parallel':
    affine[:3, 1] = affine[:3, 0]
  image = nib.Nifti1Image(_numbers((3, 4, 5)), None)
  image.header.set_sform(affine, code=1)
  if bad == 'nan':
    image.header['srow_x'] = np.nan
  nib.save(image, tmp_path / 'a.nii')
  content = bytearray((tmp_path / 'a.nii').read_bytes())
  header = nib.Nifti1Header(bytes(content[:348]))
  header['sform_code'] = 1
  header['srow_x'], header['srow_y'], header['srow_z'] = affine[:3]
  if bad == 'nan':
    header['srow_x'] = np.nan
  content[:348] = header.binaryblock
  (tmp_path / 'a.nii').write_bytes(bytes(content))
  _refused(tmp_path / 'a.nii', 'affine')


def test_what_cannot_be_saved(tmp_path: pathlib.Path) -> None:
  volume = volumes.load_volume(_write(tmp_path / 'a.nii', _numbers((3, 4, 5))))
  with pytest.raises(errors.InputError, match=r'shape: found \(3, 5, 4\)'):
    volumes.save_volume(
      tmp_path / 'b.nii', volume.data.transpose(0, 2, 1), like=volume
    )
  with pytest.raises(errors.InputError, match='suffix'):
    volumes.save_volume(tmp_path / 'b.png', volume.data, like=volume)
  with pytest.raises(errors.InputError, match='kind'):
    volumes.load_volume(tmp_path / 'a.nii', 'picture')
  with pytest.raises(errors.InputError, match='displacement: found'):
    volumes.load_displacement(tmp_path / 'a.nii')
