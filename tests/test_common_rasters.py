"""PNG files: rows stay rows, and what cannot be used says so."""

import os
import pathlib

import numpy as np
from PIL import Image
import pytest

from common import errors, rasters

GREY = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9)
RGB = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)


def _save(path: pathlib.Path, data: np.ndarray) -> pathlib.Path:
  Image.fromarray(data).save(path)
  return path


def test_rows_columns_and_colours_are_those_of_the_file(
  tmp_path: pathlib.Path,
) -> None:
  path = _save(tmp_path / 'a.png', RGB)
  with Image.open(path) as image:  # x counts columns, y counts rows
    assert image.getpixel((7, 2)) == tuple(RGB[2, 7])
  np.testing.assert_array_equal(rasters.load_raster(path, channels=3), RGB)
  path = _save(tmp_path / 'b.png', GREY)
  for kind in ('image', 'label'):
    np.testing.assert_array_equal(rasters.load_raster(path, kind), GREY)
  mask = rasters.load_raster(path, 'mask')
  np.testing.assert_array_equal(mask, GREY != 0)
  assert mask.dtype == np.uint8


def test_sixteen_bits_one_bit_and_palettes(tmp_path: pathlib.Path) -> None:
  deep = GREY.astype(np.uint16) * 1000
  found = rasters.load_raster(_save(tmp_path / 'a.png', deep))
  assert found.dtype == np.uint16
  np.testing.assert_array_equal(found, deep)
  found = rasters.load_raster(_save(tmp_path / 'b.png', GREY > 20), 'label')
  np.testing.assert_array_equal(found, 255 * (GREY > 20))
  palette = Image.fromarray(GREY % 4)
  palette.putpalette([9, 9, 9, 255, 0, 0, 0, 255, 0, 0, 0, 255])
  palette.save(tmp_path / 'c.png')
  found = rasters.load_raster(tmp_path / 'c.png', 'label')
  np.testing.assert_array_equal(found, GREY % 4)


@pytest.mark.parametrize('top', [1, 255, 256, 65535])
def test_a_saved_label_is_read_again(tmp_path: pathlib.Path, top: int) -> None:
  label = np.where(GREY % 5 == 2, top, 0)
  path = tmp_path / 'new' / 'a.png'
  rasters.save_label(path, label)
  found = rasters.load_raster(path, 'label')
  assert found.dtype == (np.uint8 if top < 256 else np.uint16)
  np.testing.assert_array_equal(found, label)
  assert [p.name for p in path.parent.iterdir()] == ['a.png']


def test_a_label_that_is_not_written_leaves_the_old_one(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / 'a.png'
  rasters.save_label(path, GREY)

  def fail(*_: object) -> None:
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'replace', fail)
  with pytest.raises(errors.InputError, match=r'a\.png: not written \(No'):
    rasters.save_label(path, GREY + 1)
  assert [p.name for p in tmp_path.iterdir()] == ['a.png']
  np.testing.assert_array_equal(rasters.load_raster(path, 'label'), GREY)


@pytest.mark.parametrize(
  ('label', 'name', 'part'),
  [
    (GREY, 'a.jpg', "found '.jpg', allowed '.png'"),
    (GREY.astype(int) - 1, 'a.png', 'found -1 to 52, allowed 0 to 65535'),
    (GREY.astype(int) * 2000, 'a.png', 'found 0 to 106000'),
  ],
)
def test_labels_that_are_not_saved(
  tmp_path: pathlib.Path, label: np.ndarray, name: str, part: str
) -> None:
  with pytest.raises(errors.InputError) as caught:
    rasters.save_label(tmp_path / name, label)
  assert part in str(caught.value)
  assert not list(tmp_path.iterdir())


def _refuses(path: pathlib.Path, part: str, *arguments: object) -> None:
  with pytest.raises(errors.InputError) as caught:
    rasters.load_raster(path, *arguments)
  message = str(caught.value)
  assert message.startswith(str(path))
  assert 'allowed' in message
  assert '\n' not in message
  assert part in message


def test_colours_of_another_kind(tmp_path: pathlib.Path) -> None:
  path = _save(tmp_path / 'rgb.png', RGB)
  _refuses(path, 'image: found RGB, allowed grey', 'image', 1)
  _refuses(path, 'label: found RGB, allowed a single channel', 'label')
  _refuses(path, 'mask: found RGB, allowed a single channel', 'mask')
  path = _save(tmp_path / 'grey.png', GREY)
  _refuses(path, 'image: found grey, allowed RGB', 'image', 3)
  path = _save(tmp_path / 'a.png', np.dstack([RGB, GREY]))
  _refuses(path, 'image: found RGBA, allowed RGB without', 'image', 3)
  Image.fromarray(GREY).convert('P').save(tmp_path / 'p.png')
  _refuses(tmp_path / 'p.png', 'found palette, allowed grey', 'image', 1)
  _refuses(tmp_path / 'p.png', 'found palette, allowed RGB', 'image', 3)


def test_files_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'a.png'
  _refuses(path, 'file: found nothing')
  noise = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)
  whole = _save(path, noise).read_bytes()
  for size in (0, 7, 20, 40, 70, len(whole) // 2, len(whole) - 13):
    path.write_bytes(whole[:size])
    _refuses(path, 'file: found no readable PNG')
  for place in (20, len(whole) // 2, len(whole) - 15):
    damaged = bytearray(whole)
    damaged[place] ^= 0x10
    path.write_bytes(damaged)
    _refuses(path, 'file: found no readable PNG')
  Image.fromarray(noise).save(path, format='JPEG')
  _refuses(path, 'file: found no readable PNG')


def test_empty_pictures(tmp_path: pathlib.Path) -> None:
  path = _save(tmp_path / 'a.png', np.full((6, 9), 7, np.uint8))
  _refuses(path, 'values: found only 7')
  assert (rasters.load_raster(path, 'label') == 7).all()
  path = _save(tmp_path / 'a.png', np.zeros((6, 9), np.uint8))
  _refuses(path, 'mask: found only 0', 'mask')
