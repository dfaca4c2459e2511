"""Images that somebody wants segmented, and the files that each leaves."""

from collections.abc import Sequence
import csv
import dataclasses
import io
import pathlib
import sys
import time

import numpy as np

from common import errors, files, rasters, volumes
from smg import folders, segmenter, specs

_COLUMNS = ('case', 'value', 'voxels', 'volume', 'unit', 'covered')
# Share of an image that the network should see.
_ENOUGH = 0.9


@dataclasses.dataclass(frozen=True)
class Settings:
  """How images are segmented, see `Segmenter.segment`, and what is written."""

  site: str = ''
  flips: bool = False
  probabilities: bool = False
  index: int | None = None
  overlay: bool = False


def find(paths: Sequence[pathlib.Path], file_format: str) -> list[pathlib.Path]:
  """The images among files and folders, those of a folder by name.

  A folder with files and no image among them is taken for a DICOM series.

  Raises:
    InputError: a folder has none, or two images have the same name.
  """
  found: dict[str, pathlib.Path] = {}
  for path in paths:
    some = [path]
    if path.is_dir():
      inside = sorted(
        p for p in path.iterdir() if p.is_file() and not p.name.startswith('.')
      )
      some = [p for p in inside if folders.is_image(p, file_format)]
      if inside and not some and file_format == 'nifti':
        some = [path]
    if not some:
      raise errors.InputError(
        f'{path}: images: found none that end with '
        f'{folders.EXTENSIONS[file_format]}'
      )
    for one in some:
      name = files.stem(one)
      if found.setdefault(name, one) != one:
        raise errors.InputError(
          f'{one}: name: found {found[name]} too, allowed different names: '
          'results are named after them'
        )
  return list(found.values())


def execute(
  images: Sequence[pathlib.Path],
  network: segmenter.Segmenter,
  settings: Settings,
  out: pathlib.Path,
) -> int:
  """Segments every image that can be; 1 if one of several could not.

  Raises:
    InputError: the only image cannot be used.
  """
  files.require_apart(
    (
      out / name
      for path in images
      for name in _names(path, network, settings).values()
    ),
    images,
  )
  rows, failed, start = [], [], time.monotonic()
  for number, path in enumerate(images, 1):
    try:
      rows += _segment(path, network, settings, out)
    except errors.InputError as error:
      if len(images) == 1:
        raise
      failed.append(str(error))
    except Exception as error:  # memory that runs out must not cost the rest
      failed.append(f'{path}: {errors.in_one_line(error)}')
    if len(images) > 1:
      left = (time.monotonic() - start) / number * (len(images) - number)
      print(f'[{number}/{len(images)}] about {left:.0f} s left', flush=True)
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows([_COLUMNS, *rows])
  files.write_text(out / 'volumes.csv', text.getvalue())
  least = min((row[-1] for row in rows), default=1.0)
  if least < _ENOUGH:
    print(
      f'note: the network saw as little as {100 * least:.0f} % of an image '
      '(column covered), around its centre; the rest is background'
    )
  for line in failed:
    print(f'failed: {line}', file=sys.stderr)
  print(f'done: {len(images) - len(failed)} of {len(images)} images; {out}')
  return 1 if failed else 0


def _segment(
  path: pathlib.Path,
  network: segmenter.Segmenter,
  settings: Settings,
  out: pathlib.Path,
) -> list[tuple]:
  """Writes what is found in an image; its rows of volumes.csv."""
  found = network.segment(
    path, site=settings.site, index=settings.index, flips=settings.flips
  )
  spec, name = network.spec(settings.site), files.stem(path)
  names = _names(path, network, settings)
  data = found.label.data
  if 'probabilities' in names:
    maps = found.probabilities
    volumes.save_volume(out / names['probabilities'], maps.data, like=maps)
  if 'overlay' in names:
    _draw(out / names['overlay'], found, spec, name)
  if spec.format == 'png':
    rasters.save_label(out / names['label'], data[..., 0])
  else:
    volumes.save_volume(out / names['label'], data, like=found.label)
  size = abs(float(np.linalg.det(found.label.grid.affine[:3, :3])))
  unit, size = ('px', 1.0) if spec.format == 'png' else ('ml', size / 1000)
  covered = round(found.covered, 3)
  counts = {value: int((data == value).sum()) for value in found.values}
  return [
    (name, value, count, f'{count * size:.4f}', unit, covered)
    for value, count in counts.items()
  ]


def _names(
  path: pathlib.Path, network: segmenter.Segmenter, settings: Settings
) -> dict[str, str]:
  """Of the files that an image leaves, by what they hold."""
  name, is_png = files.stem(path), network.spec(settings.site).format == 'png'
  names = {'label': path.name if is_png else f'{name}.nii.gz'}
  if settings.probabilities:
    names['probabilities'] = f'{name}_probabilities.nii.gz'
  if settings.overlay:
    names['overlay'] = f'{name}_overlay.png'
  return names


def _draw(
  path: pathlib.Path,
  found: segmenter.Segmentation,
  spec: specs.Spec,
  name: str,
) -> None:
  """The picture; matplotlib is not needed before."""
  from smg import figures

  figures.draw_case(
    path, found.image, found.found, name, patient=spec.format == 'nifti'
  )
