"""What only ITK reads and writes; the one module that knows SimpleITK.

DICOM series, NRRD and MetaImage volumes in, ITK transform files out. SimpleITK
comes with the extra [itk].
"""

import pathlib
from typing import Any

import numpy as np

from common import errors, extras, grids

SUFFIXES = ('.nrrd', '.nhdr', '.mha', '.mhd')
# By how much of a step the slices of a series may be off.
_UNEVEN = 0.05
_TO_LPS = np.array([-1.0, -1.0, 1.0])


def reads(path: pathlib.Path) -> bool:
  """Whether a file, or a folder with a DICOM series, is read here."""
  return path.is_dir() or path.name.lower().endswith(SUFFIXES)


def read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
  """Values (x, y, z) and affine (4, 4) to world coordinates, mm in RAS+.

  A series of several volumes, or of vectors, has a fourth axis.

  Args:
    path: a file, or a folder with the files of one DICOM series.

  Raises:
    InputError: SimpleITK is not installed, the file cannot be read, a folder
      has no DICOM series or several, or one whose slices have gaps or are not
      stacked along their normal.
  """
  sitk = _import_sitk(path)
  try:
    if path.is_dir():
      image = _read_series(sitk, path)
    else:
      image = sitk.ReadImage(str(path))
  except RuntimeError as error:
    reason = ' '.join(str(error).split())[-160:]
    raise errors.InputError(
      f'{path}: file: found nothing that ITK reads ({reason})'
    ) from error
  data = sitk.GetArrayFromImage(image)
  rank = image.GetDimension()
  data = data.transpose(*reversed(range(rank)), *range(rank, data.ndim))
  if rank < 3:
    raise errors.InputError(
      f'{path}: dimensions: found {rank}, allowed a volume'
    )
  direction = np.array(image.GetDirection()).reshape(rank, rank)[:3, :3]
  affine = np.eye(4)
  affine[:3, :3] = direction * image.GetSpacing()[:3]
  affine[:3, 3] = image.GetOrigin()[:3]
  affine[:2] *= -1  # LPS to RAS
  return data, affine


def write_transform(
  path: pathlib.Path, vectors: np.ndarray, grid: grids.Grid
) -> None:
  """A displacement (x, y, z, 3), mm in RAS+, as an ITK transform file.

  Raises:
    InputError: SimpleITK is not installed, the axes of the grid are not at
      right angles, or the file cannot be written.
  """
  sitk = _import_sitk(path)
  direction = require_right_angles(path, grid)
  field = sitk.GetImageFromArray(
    np.ascontiguousarray(
      (vectors * _TO_LPS).transpose(2, 1, 0, 3).astype(np.float64)
    ),
    isVector=True,
  )
  field.SetSpacing(grid.spacing)
  field.SetOrigin((_TO_LPS * grid.affine[:3, 3]).tolist())
  field.SetDirection(direction.ravel().tolist())
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(f'.partial_{path.name}')
  try:
    sitk.WriteTransform(sitk.DisplacementFieldTransform(field), str(partial))
    partial.replace(path)
  except (RuntimeError, OSError) as error:
    partial.unlink(missing_ok=True)
    reason = ' '.join(str(error).split())[-160:]
    raise errors.InputError(f'{path}: not written ({reason})') from error


def require_right_angles(path: pathlib.Path, grid: grids.Grid) -> np.ndarray:
  """The directions of the axes in LPS, a column each, as ITK has them.

  Raises:
    InputError: they are not at right angles; the message names `path`.
  """
  direction = _TO_LPS[:, None] * grid.affine[:3, :3] / grid.spacing
  if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-3:
    raise errors.InputError(
      f'{path}: affine: found {grid.affine[:3, :3].tolist()}, allowed axes at'
      ' right angles: ITK knows no others'
    )
  return direction


def _read_series(sitk: Any, folder: pathlib.Path) -> Any:
  """The image of a folder, whose slices lie where their files say.

  ITK stacks slices along their normal. Those of a tilted gantry are not, nor
  are those of a file that says that its slices lie the other way round.
  """
  names = _series(sitk, folder)
  image = sitk.ReadImage(names)
  last = image.GetDepth() - 1
  if last and last == len(names) - 1:
    found = image.TransformIndexToPhysicalPoint((0, 0, last))
    there = _header(sitk, names[-1]).GetOrigin()
    if np.linalg.norm(np.subtract(found, there)) > (
      _UNEVEN * image.GetSpacing()[2]
    ):
      raise errors.InputError(
        f'{folder}: DICOM series: found the last slice at '
        f'{np.round(there, 1).tolist()}, allowed {np.round(found, 1).tolist()} '
        'mm (LPS): slices stacked along their normal, not a tilted gantry'
      )
  return image


def _series(sitk: Any, folder: pathlib.Path) -> tuple[str, ...]:
  """The files of the only DICOM series of a folder, in order.

  ITK itself would close the gaps of missing slices and warn at most.
  """
  found = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
  if len(found) != 1:
    raise errors.InputError(
      f'{folder}: DICOM series: found {len(found)}, allowed one'
    )
  names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), found[0])
  steps = np.diff([_height(sitk, name) for name in names])
  if steps.size and np.ptp(steps) > _UNEVEN * abs(np.median(steps)):
    raise errors.InputError(
      f'{folder}: DICOM series: found slices {np.abs(steps).min():.2f} to '
      f'{np.abs(steps).max():.2f} mm apart, allowed even steps: slices are '
      'missing, or there are several in one place'
    )
  return names


def _height(sitk: Any, name: str) -> float:
  """Where a slice lies along its own normal, mm."""
  header = _header(sitk, name)
  normal = np.array(header.GetDirection()).reshape(3, 3)[:, 2]
  return float(np.dot(normal, header.GetOrigin()))


def _header(sitk: Any, name: str) -> Any:
  reader = sitk.ImageFileReader()
  reader.SetFileName(name)
  reader.ReadImageInformation()
  return reader


def _import_sitk(path: pathlib.Path) -> Any:
  sitk = extras.load('SimpleITK', 'itk', path)
  # What matters is raised; the rest would stand between lines of ours.
  sitk.ProcessObject.SetGlobalWarningDisplay(False)
  return sitk
