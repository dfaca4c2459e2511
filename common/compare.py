"""Finished runs side by side: `python -m common.compare DIR ...`.

One table for each stream, one row for each method, mean ± standard deviation
over the runs; read from results.json alone.
"""

from collections.abc import Iterator, Sequence
import json
import pathlib
from typing import Any

import numpy as np

from common import app, errors

SUMMARIES = ('ACC', 'BWT', 'unseen')
_FIELDS = ('problem', 'method', 'seed', 'stream', 'unseen', 'summary')

Entry = dict[str, Any]


def main(folders: Sequence[pathlib.Path]) -> None:
  print('\n'.join(tables([read(folder) for folder in folders])))


def read(workdir: pathlib.Path) -> Entry:
  """results.json of a finished run.

  Raises:
    InputError: it is missing or is not what a run writes.
  """
  path = workdir / 'results.json'
  try:
    entry = json.loads(path.read_text('utf-8'))
    missing = [name for name in _FIELDS if name not in entry]
  except (OSError, ValueError, TypeError) as error:
    raise errors.InputError(
      f'{path}: found {type(error).__name__}, allowed what a finished run '
      'writes'
    ) from error
  if missing:
    raise errors.InputError(f'{path}: {missing[0]}: missing, must be there')
  return entry


def tables(entries: Sequence[Entry]) -> Iterator[str]:
  """Lines of Markdown, streams in the order in which they are met.

  Raises:
    InputError: the same method and seed twice on one stream.
  """
  for stream, runs in _group(entries, _stream):
    names = [_run(run) for run in runs]
    for name in names:
      if names.count(name) > 1:
        raise errors.InputError(
          f'{stream}: found {names.count(name)} runs of {name[0]} with seed '
          f'{name[1]}, allowed one'
        )
    yield from (stream, '', *_table(runs), '')


def _table(runs: Sequence[Entry]) -> Iterator[str]:
  methods = list(_group(runs, lambda run: run['method']))
  columns = [
    (metric, name)
    for metric in ('dice', 'tre')
    for name in SUMMARIES
    if any(_values(runs, metric, name))
  ]

  def first(item) -> float:
    return -np.mean(_values(item[1], *columns[0]) or -np.inf)

  yield _line('method', 'runs', *(f'{m} {name}' for m, name in columns))
  yield _line(*['---'] * (2 + len(columns)))
  for method, group in sorted(methods, key=first if columns else None):
    cells = [_cell(_values(group, *column)) for column in columns]
    yield _line(method, str(len(group)), *cells)


def _values(runs: Sequence[Entry], metric: str, name: str) -> list[float]:
  found = [run['summary'].get(metric, {}).get(name) for run in runs]
  return [value for value in found if value is not None]


def _cell(values: Sequence[float]) -> str:
  if not values:
    return ''
  mean = f'{np.mean(values):.3f}'
  if len(values) == 1:
    return mean
  return f'{mean} ± {np.std(values, ddof=1):.3f}'


def _line(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'


def _group(entries: Sequence[Entry], key) -> list[tuple[str, list[Entry]]]:
  groups: dict[str, list[Entry]] = {}
  for entry in entries:
    groups.setdefault(key(entry), []).append(entry)
  return list(groups.items())


def _stream(entry: Entry) -> str:
  text = f'{entry["problem"]}: {", ".join(entry["stream"])}'
  unseen = ', '.join(entry['unseen'])
  return f'{text}; unseen {unseen}' if unseen else text


def _run(entry: Entry) -> tuple[str, int]:
  return entry['method'], entry['seed']


if __name__ == '__main__':
  app.run_on_folders(main)
