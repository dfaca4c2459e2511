"""Pairs that somebody wants registered, and the files that each leaves."""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import io
import json
import pathlib
import sys
import time
from typing import Any

import numpy as np

from common import (
  displacements,
  errors,
  files,
  grids,
  itk,
  metrics,
  points,
  tables,
  volumes,
)
from samcl import registrar as registrar_lib
from samcl import scans

_SIDES = ('fixed', 'moving')
_KINDS = ('mask', 'label', 'landmarks')


@dataclasses.dataclass(frozen=True)
class Side:
  """The files of one image; `index` is of a volume in a 4-D file."""

  image: pathlib.Path
  mask: pathlib.Path | None = None
  label: pathlib.Path | None = None
  landmarks: pathlib.Path | None = None
  index: int | None = None


@dataclasses.dataclass(frozen=True)
class Job:
  """A pair, and the folder for its results."""

  folder: pathlib.Path
  fixed: Side
  moving: Side


@dataclasses.dataclass(frozen=True)
class Settings:
  """How pairs are registered, see `Registrar.register`, and written.

  Attributes:
    learn2reg: displacement files in voxels, as Learn2Reg takes them.
    itk: also a transform file of ITK.
  """

  task: str = ''
  align: str = 'world'
  refine: int = 0
  learn2reg: bool = False
  itk: bool = False


def create(
  folder: pathlib.Path,
  fixed: pathlib.Path,
  moving: pathlib.Path,
  extras: Mapping[str, Any],
) -> Job:
  """One pair; `extras` has paths by 'fixed_mask' and so on, '' for none."""

  def side(name: str, image: pathlib.Path) -> Side:
    paths = {
      kind: pathlib.Path(extras[f'{name}_{kind}']).expanduser()
      for kind in _KINDS
      if extras.get(f'{name}_{kind}')
    }
    index = extras.get(f'{name}_index', -1)
    return Side(image, **paths, index=None if index < 0 else index)

  return Job(folder, side('fixed', fixed), side('moving', moving))


def read(table: pathlib.Path, out: pathlib.Path) -> list[Job]:
  """The pairs of a list; paths in it start where it lies.

  Raises:
    InputError: it cannot be read, or two pairs have the same name.
  """
  jobs: dict[str, Job] = {}
  for number, row in enumerate(tables.read_columns(table, _SIDES), 1):
    here = {
      key: str(table.parent / pathlib.Path(value).expanduser())
      for key, value in row.items()
      if value and key != 'name'
    }
    fixed, moving = (pathlib.Path(here[side]) for side in _SIDES)
    name = row.get('name') or f'{_stem(fixed)}__{_stem(moving)}'
    if name in jobs or pathlib.Path(name).name != name:
      raise errors.InputError(
        f'{table}: row {number}: found the name {name!r}, allowed one of its '
        'own for each pair, which a folder can have (column "name")'
      )
    jobs[name] = create(out / name, fixed, moving, here)
  return list(jobs.values())


def execute_all(
  jobs: Sequence[Job],
  network: registrar_lib.Registrar,
  settings: Settings,
  out: pathlib.Path,
) -> int:
  """Registers every pair that can be; 1 if one could not.

  Writes summary.csv, a row for each that was.
  """
  rows, failed, start = [], [], time.monotonic()
  for number, job in enumerate(jobs, 1):
    try:
      summary = execute(job, network, settings)
      rows.append({'name': job.folder.name, **_scalars(summary)})
    except errors.InputError as error:
      failed.append(f'{job.folder.name}: {error}')
    left = (time.monotonic() - start) / number * (len(jobs) - number)
    print(f'[{number}/{len(jobs)}] about {left / 60:.0f} min left', flush=True)
  if rows:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(out / 'summary.csv', text.getvalue())
  for line in failed:
    print(f'failed: {line}', file=sys.stderr)
  return 1 if failed else 0


def execute(
  job: Job, network: registrar_lib.Registrar, settings: Settings
) -> dict[str, Any]:
  """Registers one pair and writes its files; what summary.json says.

  Raises:
    InputError: a file cannot be used or written.
  """
  loaded = {side: _Loaded.read(getattr(job, side)) for side in _SIDES}
  fixed, moving = loaded['fixed'], loaded['moving']
  start = time.monotonic()
  found = network.register(
    fixed.scan,
    moving.scan,
    task=settings.task,
    align=settings.align,
    refine=settings.refine,
    progress=_show_progress,
  )
  seconds = time.monotonic() - start
  warped = found.displacement.warp(moving.scan.volume)
  determinant = found.displacement.determinant()
  label = None
  if moving.label is not None:
    label = found.displacement.warp(moving.label, 0)
  summary = {
    'fixed': str(job.fixed.image),
    'moving': str(job.moving.image),
    'seconds': round(seconds, 2),
    'similarity': _before_after(*found.similarity),
    'folding_fraction': metrics.folding_fraction(determinant),
    'sd_log_jacobian': float(metrics.sd_log_jacobian(determinant)),
    **_label_scores(fixed, moving, label),
    **_landmark_scores(fixed, moving, found.displacement),
  }
  job.folder.mkdir(parents=True, exist_ok=True)
  volumes.save_volume(
    job.folder / 'warped.nii.gz', warped.data, like=fixed.scan.volume
  )
  if label is not None:
    volumes.save_volume(
      job.folder / 'warped_label.nii.gz', label.data, like=fixed.scan.volume
    )
  volumes.save_volume(
    job.folder / 'jacobian.nii.gz',
    determinant.astype(np.float32),
    like=fixed.scan.volume,
  )
  _write_fields(job.folder, found, fixed, moving, settings)
  _draw(job, fixed, moving, warped, found.displacement)
  # Last, so that a folder that has it has everything.
  files.write_text(
    job.folder / 'summary.json', json.dumps(summary, indent=2) + '\n'
  )
  print(_line(job, summary))
  return summary


@dataclasses.dataclass(frozen=True, eq=False)
class _Loaded:
  """What the files of a side hold."""

  scan: scans.Scan
  label: grids.Volume | None
  landmarks: np.ndarray | None

  @classmethod
  def read(cls, side: Side) -> '_Loaded':
    scan = scans.load(side.image, mask=side.mask, index=side.index)
    label = landmarks = None
    if side.label is not None:
      label = scans.load_beside(side.label, 'label', scan.volume, side.image)
    if side.landmarks is not None:
      landmarks = points.load(side.landmarks).positions
    return cls(scan, label, landmarks)


def _label_scores(
  fixed: _Loaded, moving: _Loaded, warped: grids.Volume | None
) -> dict[str, Any]:
  if fixed.label is None or warped is None:
    return {}
  values = sorted({*np.unique(fixed.label.data), *np.unique(moving.label.data)})
  values = [int(value) for value in values if value]
  still = grids.resample(moving.label, fixed.scan.volume.grid, 0)
  before, after = (
    metrics.dice_per_label(fixed.label.data, label.data, values)
    for label in (still, warped)
  )
  return {
    'dice': _before_after(np.nanmean(before), np.nanmean(after)),
    'dice_per_label': {
      str(value): _before_after(*pair)
      for value, *pair in zip(values, before, after, strict=True)
    },
  }


def _landmark_scores(
  fixed: _Loaded, moving: _Loaded, displacement: displacements.Field
) -> dict[str, Any]:
  if fixed.landmarks is None or moving.landmarks is None:
    return {}
  if len(fixed.landmarks) != len(moving.landmarks):
    raise errors.InputError(
      f'{moving.scan.path}: landmarks: found {len(moving.landmarks)}, allowed '
      f'{len(fixed.landmarks)}, as {fixed.scan.path} has'
    )
  before, after = (
    np.linalg.norm(moved - moving.landmarks, axis=-1).mean()
    for moved in (fixed.landmarks, displacement.move(fixed.landmarks))
  )
  return {'tre_mm': _before_after(before, after)}


def _write_fields(
  folder: pathlib.Path,
  found: registrar_lib.Registration,
  fixed: _Loaded,
  moving: _Loaded,
  settings: Settings,
) -> None:
  sides = (fixed.scan.volume, moving.scan.volume)
  for name, field, (here, there) in (
    ('displacement', found.displacement, sides),
    ('displacement_inverse', found.inverse, sides[::-1]),
  ):
    path = folder / f'{name}.nii.gz'
    if settings.learn2reg:
      volumes.save_voxel_displacement(path, field.vectors, here, there)
    else:
      volumes.save_displacement(path, field.vectors, here)
    if settings.itk:
      itk.write_transform(folder / f'{name}.h5', field.vectors, field.grid)


def _draw(
  job: Job,
  fixed: _Loaded,
  moving: _Loaded,
  warped: grids.Volume,
  displacement: displacements.Field,
) -> None:
  """The picture; matplotlib is not needed before."""
  from samcl import figures

  volume = fixed.scan.volume
  still = grids.resample(moving.scan.volume, volume.grid, 1)
  to_voxels = np.linalg.inv(volume.affine[:3, :3]).T
  label = moving.label
  figures.draw_registration(
    job.folder / 'registration.png',
    fixed=_shown(volume.data),
    moving=_shown(still.data),
    warped=_shown(warped.data),
    displacement=displacement.vectors @ to_voxels,
    spacing=volume.grid.spacing,
    title=f'{_stem(job.moving.image)} to {_stem(job.fixed.image)}',
    fixed_label=None if fixed.label is None else fixed.label.data,
    moving_label=None
    if label is None
    else grids.resample(label, volume.grid, 0).data,
    warped_label=None if label is None else displacement.warp(label, 0).data,
  )


def _shown(image: np.ndarray) -> np.ndarray:
  low, high = np.percentile(image, (0.5, 99.5))
  return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def _before_after(before: float, after: float) -> dict[str, float | None]:
  return {
    name: None if np.isnan(value) else round(float(value), 5)
    for name, value in (('before', before), ('after', after))
  }


def _scalars(summary: Mapping[str, Any]) -> dict[str, Any]:
  """The numbers of a summary in one row; labels one by one stay out."""
  row = {}
  for name, value in summary.items():
    if isinstance(value, dict) and 'before' in value:
      row |= {f'{name}_{when}': value[when] for when in ('before', 'after')}
    elif not isinstance(value, dict):
      row[name] = value
  return row


def _line(job: Job, summary: Mapping[str, Any]) -> str:
  said = ', '.join(
    f'{name} {summary[name]["before"]:.3f} to {summary[name]["after"]:.3f}'
    for name in ('similarity', 'dice', 'tre_mm')
    if name in summary
  )
  folding = summary['folding_fraction']
  return f'done: {said}, folding {100 * folding:.3f} %; {job.folder}'


def _show_progress(done: int, total: int) -> None:
  if sys.stderr.isatty():
    end = '\n' if done == total else ''
    print(f'\rrefining: {done}/{total}', end=end, file=sys.stderr, flush=True)


def _stem(path: pathlib.Path) -> str:
  return path.name.partition('.')[0]
