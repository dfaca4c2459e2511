"""Reads and writes PNG files; an array has the file's rows and columns."""

import io
import os
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

from common import errors, files

_KINDS = ('image', 'label', 'mask')
_GREY = ('L', '1', 'I;16', 'I')
_NAMES = {
  'L': 'grey',
  '1': 'grey (1 bit)',
  'I;16': 'grey (16 bit)',
  'I': 'grey (16 bit)',
  'P': 'palette',
  'RGB': 'RGB',
}
_READ_ERRORS = (
  OSError,
  EOFError,
  SyntaxError,
  ValueError,
  IndexError,
  struct.error,
  zlib.error,
  Image.DecompressionBombError,
)


def load_raster(
  path: str | os.PathLike[str], kind: str = 'image', channels: int = 1
) -> np.ndarray:
  """Reads one PNG file.

  Args:
    path: a .png file. Grey of less than 8 bits is brought to 0 to 255.
    kind: 'image' (grey or RGB), 'label' (grey values, or the indices of a
      palette) or 'mask' (the same, 1 where the file is not 0).
    channels: of an image, 1 for grey or 3 for RGB.

  Returns:
    (rows, columns), or (rows, columns, 3) for RGB; uint8, or uint16 where the
    file has 16 bits.

  Raises:
    InputError: the file is missing, damaged or no PNG; its colours are not of
      that kind; an image has the same value everywhere; a mask is empty.
    ValueError: `kind` or `channels` is not one of those.
  """
  if kind not in _KINDS or channels not in (1, 3):
    raise ValueError(f'load_raster: found {kind!r}, {channels!r}')
  path = pathlib.Path(path)
  mode, data = _read(path)
  _check_mode(path, mode, kind, channels)
  if kind == 'image' and data.min() == data.max():
    raise errors.InputError(
      f'{path}: values: found only {data.flat[0]},'
      ' allowed an image with at least two different values'
    )
  if kind != 'mask':
    return data
  if not data.any():
    raise errors.InputError(
      f'{path}: mask: found only 0, allowed at least one pixel that is not 0'
    )
  return (data != 0).astype(np.uint8)


def save_label(path: str | os.PathLike[str], label: np.ndarray) -> None:
  """Writes whole numbers (rows, columns) as a grey PNG, whole or not at all.

  The file has 8 bits where the values fit, else 16.

  Raises:
    InputError: no .png suffix, a value beyond 0 to 65535, or the file cannot
      be written.
    ValueError: `label` is no plane of whole numbers.
  """
  path = pathlib.Path(path)
  if path.suffix.lower() != '.png':
    raise errors.InputError(
      f"{path}: suffix: found {path.suffix!r}, allowed '.png'"
    )
  if label.ndim != 2 or label.dtype.kind not in 'bui':
    raise ValueError(f'save_label: found {label.dtype} {label.shape}')
  low, high = int(label.min(initial=0)), int(label.max(initial=0))
  if low < 0 or high > 65535:
    raise errors.InputError(
      f'{path}: label: found {low} to {high}, allowed 0 to 65535'
    )
  label = label.astype(np.uint8 if high < 256 else np.uint16)
  content = io.BytesIO()
  Image.fromarray(label).save(content, format='PNG')
  files.write_bytes(path, content.getvalue())


def _read(path: pathlib.Path) -> tuple[str, np.ndarray]:
  """The colour mode and the values as stored."""
  if not path.is_file():
    raise errors.InputError(
      f'{path}: file: found nothing, allowed an existing PNG file'
    )
  try:
    with Image.open(path, formats=['PNG']) as image:
      image.verify()  # the checksums; afterwards the file is to be reopened
    with Image.open(path, formats=['PNG']) as image:
      mode, data = image.mode, np.asarray(image)
  except _READ_ERRORS as error:
    reason = errors.in_one_line(error)
    raise errors.InputError(
      f'{path}: file: found no readable PNG ({reason}), allowed a whole .png'
    ) from error
  if mode == '1':
    data = data * np.uint8(255)
  elif mode in ('I', 'I;16'):  # which of the two depends on the reader's age
    data = data.astype(np.uint16)
  return mode, data


def _check_mode(
  path: pathlib.Path, mode: str, kind: str, channels: int
) -> None:
  allowed, hint = (*_GREY, 'P'), 'a single channel: grey or palette indices'
  if kind == 'image' and channels == 1:
    allowed, hint = _GREY, 'grey (field "channels"; 3 is RGB)'
  elif kind == 'image':
    allowed, hint = ('RGB',), 'RGB without alpha (field "channels"; 1 is grey)'
  if mode not in allowed:
    raise errors.InputError(
      f'{path}: {kind}: found {_NAMES.get(mode, mode)}, allowed {hint}'
    )
