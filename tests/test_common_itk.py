"""What SimpleITK wrote is what NIfTI holds; and what is refused."""

import locale
import pathlib
import sys

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from common import errors, volumes
from tests import workdirs

SHAPE = (9, 8, 7)
AFFINE = workdirs.oblique(12) @ np.array(
  [[-2.0, 0, 0, 30], [0, -3.0, 0, 40], [0, 0, 4.0, -20], [0, 0, 0, 1]]
)


@pytest.fixture(scope='module')
def nifti(tmp_path_factory) -> pathlib.Path:
  image = np.round(workdirs.blobs(SHAPE, 0)).astype(np.int16)
  return workdirs.save(tmp_path_factory.mktemp('n') / 'a.nii.gz', image, AFFINE)


def _assert_same(found, wanted) -> None:
  np.testing.assert_array_equal(found.data, wanted.data)
  np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-4)


@pytest.mark.parametrize('name', ['a.nrrd', 'a.mha', 'a.mhd', 'a.nhdr'])
def test_volumes_of_other_formats(nifti, tmp_path, name):
  sitk.WriteImage(sitk.ReadImage(str(nifti)), str(tmp_path / name))
  _assert_same(volumes.load_volume(tmp_path / name), volumes.load_volume(nifti))


def _write_series(
  folder: pathlib.Path, image: sitk.Image, uid: str, *, tilt: float = 0.0
) -> None:
  """A file for each slice, as a scanner leaves them.

  `tilt`: by how many mm each lies further along their columns.
  """
  folder.mkdir(parents=True, exist_ok=True)
  before = locale.setlocale(locale.LC_ALL)
  writer = sitk.ImageFileWriter()
  writer.KeepOriginalImageUIDOn()
  direction = np.array(image.GetDirection()).reshape(3, 3)
  across = [*direction[:, 0], *direction[:, 1]]
  for z in range(image.GetDepth()):
    piece = image[:, :, z]
    place = image.TransformIndexToPhysicalPoint((0, 0, z))
    place = np.add(place, z * tilt * direction[:, 1])
    for key, value in {
      '0008|0060': 'MR',
      '0020|000e': uid,
      '0020|000d': f'{uid}.9',
      '0008|0018': f'{uid}.{z + 1}',
      '0020|0013': str(z),
      '0020|0032': '\\'.join(f'{x:.8f}' for x in place),
      '0020|0037': '\\'.join(f'{x:.8f}' for x in across),
      '0018|0050': str(image.GetSpacing()[2]),
    }.items():
      piece.SetMetaData(key, value)
    # Names in another order than the slices.
    writer.SetFileName(str(folder / f'{uid[-1]}_{(5 * z) % 11:02d}.dcm'))
    writer.Execute(piece)
  # Writing DICOM leaves the process in the locale C, for all tests after it.
  locale.setlocale(locale.LC_ALL, before)


def test_a_dicom_series(nifti, tmp_path):
  image = sitk.ReadImage(str(nifti))
  _write_series(tmp_path / 'series', image, '1.2.3.4')
  found = volumes.load_volume(tmp_path / 'series')
  _assert_same(found, volumes.load_volume(nifti))
  # It is written as a volume with the axes of the series.
  volumes.save_volume(tmp_path / 'b.nii.gz', found.data, like=found)
  np.testing.assert_allclose(
    nib.load(tmp_path / 'b.nii.gz').affine, AFFINE, atol=1e-4
  )


def test_a_series_with_a_gap(nifti, tmp_path):
  _write_series(tmp_path, sitk.ReadImage(str(nifti)), '1.2.3.4')
  files = sorted(
    tmp_path.iterdir(),
    key=lambda path: int(sitk.ReadImage(str(path)).GetMetaData('0020|0013')),
  )
  files[3].unlink()
  with pytest.raises(errors.InputError, match=r'slices 4\.00 to 8\.00 mm'):
    volumes.load_volume(tmp_path)


@pytest.mark.parametrize('tilt', [0.5, -1.5])
def test_a_tilted_gantry(nifti, tmp_path, tilt):
  image = sitk.ReadImage(str(nifti))
  _write_series(tmp_path, image, '1.2.3.4', tilt=tilt)
  with pytest.raises(errors.InputError, match='found the last slice at'):
    volumes.load_volume(tmp_path)


def test_folders_that_are_no_series(nifti, tmp_path):
  image = sitk.ReadImage(str(nifti))
  for uid in ('1.2.3.4', '1.2.3.5'):
    _write_series(tmp_path / 'two', image, uid)
  (tmp_path / 'none').mkdir()
  for name, count in (('two', 2), ('none', 0)):
    with pytest.raises(errors.InputError, match=f'series: found {count}'):
      volumes.load_volume(tmp_path / name)


def test_a_damaged_file(tmp_path):
  (tmp_path / 'a.nrrd').write_text('nothing')
  with pytest.raises(errors.InputError, match=r'a\.nrrd: file: found nothing'):
    volumes.load_volume(tmp_path / 'a.nrrd')


def test_without_simpleitk_the_extra_is_named(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'SimpleITK', None)
  with pytest.raises(errors.InputError, match=r"install '\.\[itk\]'"):
    volumes.load_volume(tmp_path / 'a.mha')
