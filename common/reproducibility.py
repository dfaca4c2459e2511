"""How every number of a comparison came about, written from the run folders.

    python -m common.reproducibility runs/sweep --out=REPRODUCIBILITY.md

For each table: the command of every row, where and when it ran, and what it
found. Nothing in the file is typed by hand.
"""

from collections.abc import Iterator, Sequence
import pathlib
import re
import shlex

import numpy as np

from common import app, comparison, files, grouping, run_files

_HEAD = """# Reproducibility

Written by `python -m common.reproducibility` from {count} run folders. Each row
is what the runs of a method gave, mean ± sample standard deviation over orders
and seeds; the command is that of its first run, the others differ in
`--config.seed` and `--config.stream`. Times are wall clock of a run, median.
"""


def main(folders: Sequence[pathlib.Path], out: str) -> None:
  """Writes the file `out`.

  Raises:
    InputError: no finished run is found, or the file cannot be written.
  """
  path = app.checked_out(out)
  studies, left_out = grouping.find(folders)
  count = sum(len(row.runs) for study in studies for row in study.rows)
  lines = [_HEAD.format(count=count)]
  for study in studies:
    lines += _section(study)
  if left_out:
    lines += ['## Left out', '', *(f'- {line}' for line in left_out), '']
  files.write_text(path, '\n'.join(lines))
  print(f'done: {count} runs; {path}')


def _section(study: comparison.Study) -> Iterator[str]:
  columns = [
    (metric, name)
    for metric in study.metrics
    for name in comparison.SUMMARIES
    if any(row.summary(metric, name).size for row in study.rows)
  ]
  rows = study.best_first(study.rows)
  yield from (f'## {study.title}', '')
  for field in ('git', 'device', 'jax'):
    said = {
      str(run.results[field])
      for row in rows
      for run in row.runs
      if run.results.get(field)
    }
    yield f'- {field}: {", ".join(sorted(said)) or "not recorded"}'
  yield ''
  yield _line('method', 'runs', 'minutes', *(' '.join(c) for c in columns))
  yield _line(*['---'] * (3 + len(columns)))
  for row in rows:
    cells = [_spread(row.summary(*column)) for column in columns]
    yield _line(row.name, str(len(row.runs)), _minutes(row), *cells)
  yield from ('', '```bash')
  for row in rows:
    if command := _command(row.runs[0]):
      yield command
  yield from ('```', '')


def _command(run: run_files.Run) -> str:
  """What started a run, without the folders of the machine that it was on."""
  words = shlex.split(run.results.get('command') or '')
  kept = [word for word in words if not _is_place(word)]
  return shlex.join(kept)


def _is_place(word: str) -> bool:
  return bool(re.match(r'--(workdir|config\.data\.folder)=', word))


def _minutes(row: comparison.Row) -> str:
  known = [run.results['wall_s'] for run in row.runs if 'wall_s' in run.results]
  return f'{np.median(known) / 60:.1f}' if known else ''


def _spread(values: np.ndarray) -> str:
  if not values.size:
    return ''
  if values.size == 1:
    return f'{values[0]:.3f}'
  return f'{values.mean():.3f} ± {values.std(ddof=1):.3f}'


def _line(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  app.run_on_paths(main, options={'out': app.Option('File that is written.')})
