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

_COLUMNS = ('case', 'value', 'voxels', 'volume', 'unit')


@dataclasses.dataclass(frozen=True)
class Settings:
  """How images are segmented, see `Segmenter.segment`, and what is written."""

  site: str = ''
  flips: bool = False
  probabilities: bool = False
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
      inside = sorted(p for p in path.iterdir() if p.is_file())
      some = [p for p in inside if folders.is_image(p, file_format)]
      if inside and not some and file_format == 'nifti':
        some = [path]
    if not some:
      raise errors.InputError(
        f'{path}: images: found none that end with '
        f'{folders.EXTENSIONS[file_format]}'
      )
    for one in some:
      name = one.name.partition('.')[0]
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
  rows, failed, start = [], [], time.monotonic()
  for number, path in enumerate(images, 1):
    try:
      rows += _segment(path, network, settings, out)
    except errors.InputError as error:
      if len(images) == 1:
        raise
      failed.append(str(error))
    if len(images) > 1:
      left = (time.monotonic() - start) / number * (len(images) - number)
      print(f'[{number}/{len(images)}] about {left:.0f} s left', flush=True)
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows([_COLUMNS, *rows])
  files.write_text(out / 'volumes.csv', text.getvalue())
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
  found = network.segment(path, site=settings.site, flips=settings.flips)
  spec, name = network.spec(settings.site), path.name.partition('.')[0]
  data = found.label.data
  if settings.probabilities:
    volumes.save_volume(
      out / f'{name}_probabilities.nii.gz',
      found.probabilities.data,
      like=found.probabilities,
    )
  if settings.overlay:
    _draw(out / f'{name}_overlay.png', found, spec, name)
  if spec.format == 'png':
    rasters.save_label(out / path.name, data[..., 0])
  else:
    volumes.save_volume(out / f'{name}.nii.gz', data, like=found.label)
  size = float(np.prod(found.label.grid.spacing))
  unit, size = ('px', 1.0) if spec.format == 'png' else ('ml', size / 1000)
  counts = zip(*np.unique(data, return_counts=True), strict=True)
  return [
    (name, int(value), int(count), f'{count * size:.4f}', unit)
    for value, count in counts
    if value
  ]


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
