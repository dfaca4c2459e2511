"""Pairs that somebody wants registered, and the files that each leaves."""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import io
import pathlib
import sys
import time
from typing import Any

from common import errors, files, itk, tables
from samcl import outcome, registrar

_SIDES = ('fixed', 'moving')
_KINDS = ('mask', 'label', 'landmarks')
# Share of the fixed image that the network should see.
_ENOUGH = 0.9
_COLUMNS = (
  'name',
  *_SIDES,
  *(f'{side}_{kind}' for side in _SIDES for kind in (*_KINDS, 'index')),
)


@dataclasses.dataclass(frozen=True)
class Job:
  """A pair, and the folder for its results."""

  folder: pathlib.Path
  fixed: outcome.Side
  moving: outcome.Side


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

  def side(name: str, image: pathlib.Path) -> outcome.Side:
    paths = {
      kind: pathlib.Path(extras[f'{name}_{kind}']).expanduser()
      for kind in _KINDS
      if extras.get(f'{name}_{kind}')
    }
    index = int(extras.get(f'{name}_index', -1))
    return outcome.Side(image, **paths, index=None if index < 0 else index)

  return Job(folder, side('fixed', fixed), side('moving', moving))


def read(table: pathlib.Path, out: pathlib.Path) -> list[Job]:
  """The pairs of a list; paths in it start where it lies.

  Raises:
    InputError: it cannot be read, has a column that it must not have, a pair
      without its images or an index that is no number, or two pairs have the
      same name.
  """
  jobs: dict[str, Job] = {}
  for number, row in enumerate(tables.read_columns(table, _SIDES), 1):
    here = _absolute(table, number, row)
    empty = [side for side in _SIDES if side not in here]
    if empty:
      raise errors.InputError(
        f'{table}: row {number}: {empty[0]}: found nothing, allowed a file'
      )
    fixed, moving = (pathlib.Path(here[side]) for side in _SIDES)
    name = row.get('name') or f'{files.stem(fixed)}__{files.stem(moving)}'
    if name in jobs or pathlib.Path(name).name != name or name == '..':
      raise errors.InputError(
        f'{table}: row {number}: found the name {name!r}, allowed one of its '
        'own for each pair, which a folder can have (column "name")'
      )
    jobs[name] = create(out / name, fixed, moving, here)
  return list(jobs.values())


def _absolute(
  table: pathlib.Path, number: int, row: Mapping[str, str]
) -> dict[str, str]:
  """The fields of a row that are not empty, its paths from where it lies."""
  here = {}
  for column, value in row.items():
    if column not in _COLUMNS:
      raise errors.InputError(
        f'{table}: column {column!r}: unknown, allowed {", ".join(_COLUMNS)}'
      )
    if column.endswith('_index') and value and not value.isdecimal():
      raise errors.InputError(
        f'{table}: row {number}: {column}: found {value!r}, allowed a whole '
        'number from 0'
      )
    if column == 'name' or column.endswith('_index'):
      here |= {column: value} if value else {}
    elif value:
      here[column] = str(table.parent / pathlib.Path(value).expanduser())
  return here


def execute_all(
  jobs: Sequence[Job],
  network: registrar.Registrar,
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
    except Exception as error:  # memory that runs out must not cost the rest
      failed.append(f'{job.folder.name}: {errors.in_one_line(error)}')
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
  job: Job, network: registrar.Registrar, settings: Settings
) -> dict[str, Any]:
  """Registers one pair and writes its files; what summary.json says.

  Raises:
    InputError: a file cannot be used or written.
  """
  files.require_apart(
    map(job.folder.joinpath, outcome.FILES),
    [*job.fixed.files, *job.moving.files],
  )
  fixed, moving = outcome.read(job.fixed, job.moving)
  if settings.itk:
    for scan in (fixed.scan, moving.scan):
      itk.require_right_angles(scan.path, scan.volume.grid)
  found = network.register(
    fixed.scan,
    moving.scan,
    task=settings.task,
    align=settings.align,
    refine=settings.refine,
    progress=_show_progress,
  )
  done = outcome.Outcome(fixed, moving, found)
  done.write(job.folder, learn2reg=settings.learn2reg, transform=settings.itk)
  summary = done.summary()
  print(_line(job, summary))
  return summary


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
    f'{name} {_said(summary[name]["before"])} to '
    f'{_said(summary[name]["after"])}'
    for name in ('similarity', 'dice', 'tre_mm')
    if name in summary
  )
  folding = summary['folding_fraction']
  if summary['covered'] < _ENOUGH:
    said += f', {100 * summary["covered"]:.0f} % of the fixed image seen'
  return f'done: {said}, folding {100 * folding:.3f} %; {job.folder}'


def _said(score: float | None) -> str:
  return 'none' if score is None else f'{score:.3f}'


def _show_progress(done: int, total: int) -> None:
  if sys.stderr.isatty():
    end = '\n' if done == total else ''
    print(f'\rrefining: {done}/{total}', end=end, file=sys.stderr, flush=True)
