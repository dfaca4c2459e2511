"""Reads and writes NIfTI volumes and displacement fields.

Volumes live in canonical orientation: array axes (x, y, z) are the axes closest
to right, anterior, superior; a rotation (oblique scan) stays in the affine.
Where a volume was stored differently, it is remembered and given back on save.
"""

import gzip
import os
import pathlib
import zlib

import nibabel as nib
from nibabel import orientations
import numpy as np

from common import errors, files, grids, itk, voxels

_SUFFIXES = ('.nii', '.nii.gz')
_VECTOR_INTENT = 1007
_LPS = np.array([-1.0, -1.0, 1.0])
_READ_ERRORS = (
  OSError,
  EOFError,
  zlib.error,
  ValueError,
  OverflowError,
  nib.filebasedimages.ImageFileError,
  nib.spatialimages.HeaderDataError,
)


def load_volume(
  path: str | os.PathLike[str], kind: str = 'image', *, index: int | None = None
) -> grids.Volume:
  """Reads one 3-D volume into canonical orientation.

  Args:
    path: a .nii or .nii.gz file; with the extra [itk] also a .nrrd or .mha
      file or a folder with a DICOM series, see `itk`.
    kind: 'image' (float32), 'label' (whole numbers >= 0; uint8 where they fit,
      else int32) or 'mask' (uint8, 1 where the file is not 0).
    index: which volume of a 4-D file.

  Raises:
    InputError: the file is missing, damaged or no NIfTI; it is not 3-D (4-D
      without `index`), RGB or complex; its affine is singular; it has values
      that are not finite, none at all, or, for an image, all the same; a label
      is fractional or negative; a mask is empty.
  """
  if kind not in voxels.CHECKS:
    raise errors.InputError(
      f'kind: found {kind!r}, allowed {tuple(voxels.CHECKS)}'
    )
  path = pathlib.Path(path)
  image = _open(path)
  grid = _stored_grid(path, image)
  data = voxels.select(path, _read(path, image), index)
  data = voxels.CHECKS[kind](path, data)
  return _canonical(data, grid, image.header)


def load_grid(
  path: str | os.PathLike[str], *, canonical: bool = True
) -> grids.Grid:
  """The grid of the first three axes, from the header alone.

  Args:
    path: a .nii or .nii.gz file.
    canonical: reoriented as `load_volume` does it, or as stored.

  Raises:
    InputError: the file is missing, no NIfTI, or its affine is singular.
  """
  path = pathlib.Path(path)
  stored = _stored_grid(path, _open(path))
  return _reorient(stored)[0] if canonical else stored


def require_grid(
  path: pathlib.Path, volume: grids.Volume, image: grids.Volume, of: object
) -> grids.Volume:
  """`volume`, which was read from `path` and must be on the grid of `image`.

  Raises:
    InputError: its shape or affine is another; the message names `of`, the
      file of the image.
  """
  if volume.grid.shape != image.grid.shape:
    raise errors.InputError(
      f'{path}: shape: found {volume.grid.shape},'
      f' allowed {image.grid.shape}, that of {of}'
    )
  if not volume.grid.matches(image.grid):
    raise errors.InputError(
      f'{path}: affine: found {np.round(volume.affine, 3).tolist()},'
      f' allowed {np.round(image.affine, 3).tolist()}, that of {of}'
    )
  return volume


def save_volume(
  path: str | os.PathLike[str],
  data: np.ndarray,
  *,
  like: grids.Volume | None = None,
  affine: np.ndarray | None = None,
) -> None:
  """Writes `data` (x, y, z), given in canonical orientation.

  With `like`, a volume that was read from a file, the new file has that file's
  axes, grid and header; with `affine` it is written as it stands.

  Raises:
    InputError: no NIfTI suffix, `data` and `like` differ in shape, or the file
      cannot be written.
    ValueError: not exactly one of `like` and `affine`.
  """
  path = _check_suffix(pathlib.Path(path))
  if (like is None) == (affine is None):
    raise ValueError('save_volume: give exactly one of `like` and `affine`')
  header = None
  if like is not None:
    data, affine, header = _as_stored(path, data, like)
  if data.dtype == bool:
    data = data.astype(np.uint8)
  image = nib.Nifti1Image(np.ascontiguousarray(data), affine, header)
  image.set_data_dtype(data.dtype)
  image.header['cal_min'] = image.header['cal_max'] = 0
  # Its values are its own, whatever those of `like` were.
  image.header.set_intent('none')
  _write(image, path)


def save_displacement(
  path: str | os.PathLike[str], displacement: np.ndarray, like: grids.Volume
) -> None:
  """Writes a displacement (x, y, z, 3), mm in RAS+, on the grid of `like`.

  The file is what ITK, ANTs and 3D Slicer read as a displacement field: 5-D
  (x, y, z, 1, 3), intent code 1007, vectors in LPS+ millimetres. It has the
  axes and the affine of the file that `like`, the fixed image, was read from.

  Raises:
    InputError: no NIfTI suffix, another shape than `like`, or the file cannot
      be written.
  """
  path = _check_suffix(pathlib.Path(path))
  lps = displacement * _LPS.astype(np.float32)
  vectors, affine, _ = _as_stored(path, lps, like)
  vectors = vectors.astype(np.float32)[:, :, :, None, :]
  image = nib.Nifti1Image(vectors, affine)
  image.header.set_intent(_VECTOR_INTENT)
  image.header.set_xyzt_units('mm')
  _write(image, path)


def save_voxel_displacement(
  path: str | os.PathLike[str],
  displacement: np.ndarray,
  fixed: grids.Volume,
  moving: grids.Volume,
) -> None:
  """Writes a displacement (x, y, z, 3), mm in RAS+, as Learn2Reg takes it.

  A file (i, j, k, 3) on the grid of the fixed file: voxel p of the fixed file
  matches voxel p + u(p) of the moving file. Raises as `save_displacement`.
  """
  path = _check_suffix(pathlib.Path(path))
  places = np.moveaxis(np.indices(fixed.grid.shape), 0, -1)
  here = grids.transform_points(places, fixed.affine)
  own, other = (
    volume.grid if volume.stored is None else volume.stored.grid
    for volume in (fixed, moving)
  )
  target, start = (
    grids.transform_points(points, np.linalg.inv(grid.affine))
    for points, grid in ((here + displacement, other), (here, own))
  )
  vectors, affine, _ = _as_stored(path, target - start, fixed)
  _write(nib.Nifti1Image(vectors.astype(np.float32), affine), path)


def load_displacement(path: str | os.PathLike[str]) -> grids.Volume:
  """Reads what `save_displacement` writes: data (x, y, z, 3), mm in RAS+.

  Raises:
    InputError: as `load_volume`, or the file is no displacement field.
  """
  path = pathlib.Path(path)
  image = _open(path)
  data = _read(path, image)
  intent = int(image.header['intent_code'])
  if data.shape[3:] != (1, 3) or intent != _VECTOR_INTENT:
    raise errors.InputError(
      f'{path}: displacement: found shape {data.shape}, intent {intent},'
      f' allowed (x, y, z, 1, 3), intent {_VECTOR_INTENT}'
    )
  vectors = voxels.require_finite(path, data[..., 0, :].astype(np.float32))
  vectors *= _LPS.astype(np.float32)
  return _canonical(vectors, _stored_grid(path, image), image.header)


def _as_stored(
  path: pathlib.Path, data: np.ndarray, like: grids.Volume
) -> tuple[np.ndarray, np.ndarray, nib.Nifti1Header | None]:
  """Data (x, y, z, ...), affine and header as the file of `like` has them."""
  if data.shape[:3] != like.data.shape[:3]:
    raise errors.InputError(
      f'{path}: shape: found {data.shape[:3]},'
      f' allowed {like.data.shape[:3]} (the volume it is saved like)'
    )
  if like.stored is None:
    return data, like.affine, None
  back = orientations.ornt_transform(
    np.array([[0, 1], [1, 1], [2, 1]]), like.stored.orientation
  )
  header = like.stored.header
  return (
    orientations.apply_orientation(data, back),
    like.stored.grid.affine,
    None if header is None else header.copy(),
  )


def _write(image: nib.Nifti1Image, path: pathlib.Path) -> None:
  """Whole or not at all, compressed where the suffix says so."""
  content = image.to_bytes()
  if path.name.lower().endswith('.gz'):
    # Without the time of day, so that equal images are equal files.
    content = gzip.compress(content, compresslevel=1, mtime=0)
  files.write_bytes(path, content)


def _check_suffix(path: pathlib.Path) -> pathlib.Path:
  if not path.name.lower().endswith(_SUFFIXES):
    raise errors.InputError(
      f'{path}: suffix: found {path.suffix!r}, allowed {_SUFFIXES}'
    )
  return path


def _open(path: pathlib.Path) -> nib.Nifti1Image:
  if itk.reads(path):
    data, affine = itk.read(path)
    return nib.Nifti1Image(data, affine, dtype=data.dtype)
  if not path.is_file():
    raise errors.InputError(
      f'{path}: file: found nothing, allowed an existing NIfTI file'
    )
  try:
    image = nib.load(path)
  except _READ_ERRORS as error:
    raise errors.InputError(
      f'{path}: file: found no readable NIfTI ({errors.in_one_line(error)}),'
      f' allowed {_SUFFIXES}'
    ) from error
  if not isinstance(image, nib.Nifti1Pair):
    raise errors.InputError(
      f'{path}: file: found {type(image).__name__}, allowed NIfTI {_SUFFIXES}'
    )
  return image


def _stored_grid(path: pathlib.Path, image: nib.Nifti1Image) -> grids.Grid:
  """The grid of the first three axes; raises InputError where singular."""
  affine = np.asarray(image.affine, np.float64)
  linear = affine[:3, :3]
  volume = np.prod(np.linalg.norm(linear, axis=0))
  usable = np.isfinite(affine).all() and volume > 0
  if not usable or abs(np.linalg.det(linear)) < 1e-3 * volume:
    raise errors.InputError(
      f'{path}: affine: found {linear.tolist()},'
      ' allowed finite, independent columns'
    )
  return grids.Grid((*image.shape, 1, 1, 1)[:3], affine)


def _read(path: pathlib.Path, image: nib.Nifti1Image) -> np.ndarray:
  dtype = image.get_data_dtype()
  if dtype.fields is not None or dtype.kind not in 'biuf':
    name = 'RGB' if dtype.fields is not None else dtype.name
    raise errors.InputError(
      f'{path}: data type: found {name}, allowed real numbers'
    )
  if 0 in image.shape:
    raise errors.InputError(
      f'{path}: shape: found {image.shape}, allowed at least one voxel'
    )
  try:
    if path.name.lower().endswith('.gz'):
      # To the end, where the checksum is: nibabel stops at the last value.
      image = type(image).from_bytes(gzip.decompress(path.read_bytes()))
    return np.asanyarray(image.dataobj)
  except _READ_ERRORS as error:
    raise errors.InputError(
      f'{path}: data: found a damaged or truncated file '
      f'({errors.in_one_line(error)}), allowed {image.shape} values'
    ) from error


def _reorient(grid: grids.Grid) -> tuple[grids.Grid, np.ndarray]:
  """The canonical grid, and the (3, 2) orientation of the stored one."""
  orientation = orientations.io_orientation(grid.affine)
  affine = grid.affine @ orientations.inv_ornt_aff(orientation, grid.shape)
  order = np.argsort(orientation[:, 0])
  return grids.Grid(tuple(grid.shape[a] for a in order), affine), orientation


def _canonical(
  data: np.ndarray, grid: grids.Grid, header: nib.Nifti1Header
) -> grids.Volume:
  canonical, orientation = _reorient(grid)
  data = orientations.apply_orientation(data, orientation)
  stored = grids.Stored(grid, header.copy(), orientation)
  return grids.Volume(np.ascontiguousarray(data), canonical.affine, stored)
