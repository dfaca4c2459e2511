"""Where the numbers of a comparison come from, as Markdown."""

from collections.abc import Iterator, Sequence
import pathlib
import re
import shlex

import numpy as np

from common import files, page, run_files
from common.comparison import grouping
from common.comparison import study as study_lib
from common.comparison import table as table_lib

_HEAD = """# Reproducibility

Written by `python -m common.reproducibility` from {count} run folders. Each row
is what the runs of a method gave, mean ± sample standard deviation over orders
and seeds; minutes are wall clock of a run, median. In parentheses the mean
difference to the row that others are tested against, on the orders and seeds
that both have, p over runs and p over cases, as `docs/metrics.md` defines them;
a * marks a row of other orders or seeds. The command is that of a row's first
run, the others differ in `--config.seed` and `--config.stream`; RUN is a new
folder of yours, DIR holds what the head of the config says.
"""


def write(folders: Sequence[pathlib.Path], path: pathlib.Path) -> None:
  """Writes what is known of the runs in or below `folders`.

  Raises:
    InputError: no finished run is found, or the file cannot be written.
  """
  studies, left_out = grouping.find(folders)
  count = sum(len(row.runs) for study in studies for row in study.rows)
  lines = [_HEAD.format(count=count)]
  for study in studies:
    lines += _section(study)
  if left_out:
    lines += ['## Left out', '', *(f'- {line}' for line in left_out), '']
  files.write_text(path, '\n'.join(lines))
  print(f'done: {count} runs; {path}')


def _section(study: study_lib.Study) -> Iterator[str]:
  yield from (f'## {study.title}', '')
  devices = _recorded(study, 'device')
  numbers = {name: f'[{i}]' for i, name in enumerate(devices, 1)}
  several = len(devices) > 1
  for field in study_lib.RECORDS:
    said = _recorded(study, field)
    if field == 'device' and several:
      said = [f'{number} {name}' for name, number in numbers.items()]
    yield f'- {field}: {"; ".join(said) or "not recorded"}'
  runs = [run for row in study.rows for run in row.runs]
  known = _seconds(runs)
  hours = f'{sum(known) / 3600:.1f}' if known else 'not recorded'
  yield f'- hours of {len(known)} of its {len(runs)} runs: {hours}'
  yield ''
  for name, table in table_lib.create_all(study).items():
    if name:
      yield from (f'### {name}', '')
    method, runs, *rest = table.head
    head = [method, runs, 'commits', 'minutes', *['device'] * several, *rest]
    yield _line(*head)
    yield _line(*['---'] * len(head))
    for row in table.rows:
      title, runs, *cells = table.line(row)
      made = [_commits(row), _minutes(row)]
      if several:
        on = row.recorded('device') if row.stage else []
        made.append(' '.join(numbers[name] for name in on))
      yield _line(title, runs, *made, *map(_text, cells))
    yield ''
  yield '```bash'
  for row in study.best_first(study.rows):
    if command := _command(row.runs[0]):
      yield command
  yield from ('```', '')


def _recorded(study: study_lib.Study, field: str) -> list[str]:
  """All values of a field that runs of a study have been made with."""
  return sorted({x for row in study.rows for x in row.recorded(field)})


def _text(cell: str | page.Cell) -> str:
  if isinstance(cell, str):
    return cell
  return f'{cell.text} ({cell.below})' if cell.below else cell.text


def _command(run: run_files.Run) -> str:
  """What started a run, without the folders of the machine that it was on."""
  words = shlex.split(run.results.get('command') or '')
  said = [word for word in words if not _is_place(word)]
  if said and not run.config.get('data', {}).get('synthetic', True):
    said.append('--config.data.folder=DIR')
  if said:
    said.append('--workdir=RUN')
  return ' '.join(map(_quoted, said))


def _quoted(word: str) -> str:
  """For a shell; a tuple of names in double quotes, as people write it."""
  if "'" in word and not set(word) & set('"$`\\!'):
    return f'"{word}"'
  return shlex.quote(word)


def _is_place(word: str) -> bool:
  return bool(re.match(r'--(workdir|config\.data\.folder)=', word))


def _commits(row: study_lib.Row) -> str:
  """Abbreviated as git does."""
  said = row.recorded('git') if row.stage else []
  return ' '.join(re.sub(r'[0-9a-f]{40}', lambda m: m[0][:7], x) for x in said)


def _minutes(row: study_lib.Row) -> str:
  known = _seconds(row.runs) if row.stage else []
  return f'{np.median(known) / 60:.1f}' if known else ''


def _seconds(runs: Sequence[run_files.Run]) -> list[float]:
  """Wall clock of the runs that say it."""
  said = [run.results.get('wall_s') for run in runs]
  return [seconds for seconds in said if seconds is not None]


def _line(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'
