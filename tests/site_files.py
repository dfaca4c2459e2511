"""Folders of tiny files to make segmentation sites of."""

from collections.abc import Sequence
import pathlib
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image
import pytest

from common import errors
from smg import sites

SHAPE = (8, 10, 5)
RAS = np.diag([1.0, 1.0, 3.0, 1.0])
LPS = np.array([[-1, 0, 0, 4], [0, -1, 0, 7], [0, 0, 3, -2], [0, 0, 0, 1.0]])
SAR = np.array(  # stored axes run to superior, anterior, right
  [[0, 0, 1, 4], [0, 1, 0, -9], [3, 0, 0, 2], [0, 0, 0, 1.0]]
)


def save_nifti(
  path: pathlib.Path, data: np.ndarray, affine: np.ndarray = RAS
) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  nib.save(nib.Nifti1Image(data, affine), path)


def save_png(path: pathlib.Path, data: np.ndarray) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(data).save(path)


def write_nifti(
  root: pathlib.Path,
  name: str,
  seed: int,
  *,
  shape: tuple[int, ...] = SHAPE,
  affine: np.ndarray = RAS,
  places: Sequence[str] = ('images/{}', 'labels/{}', 'masks/{}'),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Image, label and mask as stored."""
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 200, shape).astype(np.int16)
  label = rng.integers(0, 3, shape).astype(np.uint8)
  mask = (image > 40).astype(np.uint8)
  for place, data in zip(places, (image, label, mask), strict=True):
    save_nifti(root / f'{place.format(name)}.nii.gz', data, affine)
  return image, label, mask


def write_png(
  root: pathlib.Path,
  name: str,
  seed: int,
  *,
  shape: tuple[int, ...] = (6, 9, 3),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Image, label (0 or 255) and mask as stored."""
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, shape).astype(np.uint8)
  label = 255 * rng.integers(0, 2, shape[:2]).astype(np.uint8)
  mask = 255 * rng.integers(0, 2, shape[:2]).astype(np.uint8)
  for place, data in (('images', image), ('labels', label), ('masks', mask)):
    save_png(root / place / f'{name}.png', data)
  return image, label, mask


def nifti_fields(root: pathlib.Path, **fields: Any) -> dict[str, Any]:
  return {'format': 'nifti', 'root': str(root)} | fields


def png_fields(root: pathlib.Path, **fields: Any) -> dict[str, Any]:
  fields = {'channels': 3, 'label_values': ((255, 1),), **fields}
  return {'format': 'png', 'root': str(root)} | fields


def load_site(
  fields: dict[str, Any],
  shape: tuple[int, ...] = SHAPE[:2],
  classes: tuple[int, ...] = (1, 2),
) -> sites.Site:
  return sites.load_sites({'a': fields}, {}, shape=shape, classes=classes)[0]


def refuses(
  fields: dict[str, Any],
  *parts: str,
  shape: tuple[int, ...] = SHAPE[:2],
  classes: tuple[int, ...] = (1, 2),
  unseen: dict[str, dict[str, Any]] | None = None,
  **others: dict[str, Any],
) -> None:
  """One line that names what was found and what is allowed, and the parts."""
  stream = {'a': fields, **others}
  with pytest.raises(errors.InputError) as caught:
    sites.load_sites(stream, unseen or {}, shape=shape, classes=classes)
  message = str(caught.value)
  assert '\n' not in message
  for part in ('found', 'allowed', *parts):
    assert part in message
