"""Finished runs side by side: `python -m common.compare DIR ...`.

One table for each order of each stream, one row for each method, mean ± sample
standard deviation over seeds. Runs that differ from most of their method have
rows of their own that say in what.
"""

from collections.abc import Iterator, Sequence
import pathlib
import sys

import numpy as np

from common import app, run_files
from common.comparison import grouping
from common.comparison import study as study_lib

AGREEMENTS = ('cosine/orientational', 'cosine/arbitrary')


def main(folders: Sequence[pathlib.Path]) -> None:
  studies, left_out = grouping.find(folders)
  runs = [run for study in studies for row in study.rows for run in row.runs]
  print('\n'.join(tables(runs)))
  for line in left_out:
    print(f'left out: {line}', file=sys.stderr)


def tables(runs: Sequence[run_files.Run]) -> Iterator[str]:
  """Lines of Markdown, streams in the order in which they are met."""
  for stream, same in study_lib.group(runs, _stream):
    studies, _ = grouping.studies(same)
    for study in studies:
      said = [study.title, ''] if len(studies) > 1 else []
      yield from (stream, '', *said, *_table(study.rows), '')


def _table(rows: Sequence[study_lib.Row]) -> Iterator[str]:
  values = {row.name: _values(row) for row in rows}
  columns = list(dict.fromkeys(c for found in values.values() for c in found))

  def first(row: study_lib.Row) -> float:
    return -np.mean(values[row.name].get(columns[0], -np.inf))

  yield _line('method', 'runs', *columns)
  yield _line(*['---'] * (2 + len(columns)))
  for row in sorted(rows, key=first) if columns else rows:
    cells = [_cell(values[row.name].get(column, ())) for column in columns]
    yield _line(row.name, str(len(row.runs)), *cells)


def _values(row: study_lib.Row) -> dict[str, Sequence[float]]:
  """Column -> a value for each run that has one."""
  found = {
    f'{metric} {name}': row.summary(metric, name)
    for metric in study_lib.METRICS
    for name in study_lib.SUMMARIES
  }
  for name in AGREEMENTS:
    values = [study_lib.agreement(run, name) for run in row.runs]
    found[name] = [value for value in values if value is not None]
  return {column: known for column, known in found.items() if len(known)}


def _cell(values: Sequence[float]) -> str:
  if not len(values):
    return ''
  mean = f'{np.mean(values):.3f}'
  if len(values) == 1:
    return mean
  return f'{mean} ± {np.std(values, ddof=1):.3f}'


def _line(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'


def _stream(run: run_files.Run) -> str:
  text = f'{run.results["problem"]}: {", ".join(run.results["stream"])}'
  unseen = ', '.join(run.results['unseen'])
  return f'{text}; unseen {unseen}' if unseen else text


if __name__ == '__main__':
  app.run_on_paths(main)
