"""Finished runs side by side: `python -m common.compare DIR ...`.

One table for each stream, one row for each method, mean ± standard deviation
over seeds. Where runs of a method differ in other fields of their configs too,
every such variant has a row of its own that says so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import pathlib
from typing import Any

import numpy as np

from common import app, errors, run_files

SUMMARIES = ('ACC', 'BWT', 'unseen')
AGREEMENTS = ('cosine/orientational', 'cosine/arbitrary')
# What changes a file or a picture, but no result.
_IDLE = ('seed', 'data.folder', 'train.log_every', 'train.checkpoint_every')


def main(folders: Sequence[pathlib.Path]) -> None:
  print('\n'.join(tables([run_files.load(folder) for folder in folders])))


def tables(runs: Sequence[run_files.Run]) -> Iterator[str]:
  """Lines of Markdown, streams in the order in which they are met.

  Raises:
    InputError: the same method, fields and seed twice on one stream.
  """
  for stream, group in _group(runs, _stream):
    variants = [
      (name, same)
      for method, of_method in _group(group, _method)
      for name, same in _group(of_method, _namer(method, of_method))
    ]
    for name, same in variants:
      _check_seeds(stream, name, same)
    yield from (stream, '', *_table(variants), '')


def agreement(run: run_files.Run, name: str) -> float | None:
  """Mean of what was logged over the last half of each stage, stages alike."""
  lines = [
    line
    for line in run.log
    if line.get('split') == 'train' and line.get(name) is not None
  ]
  means = []
  for _, stage in _group(lines, lambda line: line['stage']):
    steps = [line['step'] for line in stage]
    half = (min(steps) + max(steps)) / 2
    means.append(np.mean([x[name] for x in stage if x['step'] >= half]))
  return float(np.mean(means)) if means else None


def _table(variants: Sequence[tuple[str, Sequence]]) -> Iterator[str]:
  rows = {name: _values(runs) for name, runs in variants}
  columns = list(dict.fromkeys(c for values in rows.values() for c in values))
  counts = {name: len(runs) for name, runs in variants}

  def first(name: str) -> float:
    return -np.mean(rows[name].get(columns[0], -np.inf))

  yield _line('method', 'runs', *columns)
  yield _line(*['---'] * (2 + len(columns)))
  for name in sorted(rows, key=first) if columns else rows:
    cells = [_cell(rows[name].get(column, ())) for column in columns]
    yield _line(name, str(counts[name]), *cells)


def _values(runs: Sequence[run_files.Run]) -> dict[str, list[float]]:
  """Column -> a value for each run that has one."""
  found: dict[str, list[float | None]] = {
    f'{metric} {name}': [
      run.results['summary'].get(metric, {}).get(name) for run in runs
    ]
    for metric in ('dice', 'tre')
    for name in SUMMARIES
  }
  found |= {name: [agreement(run, name) for run in runs] for name in AGREEMENTS}
  known = {c: [v for v in vs if v is not None] for c, vs in found.items()}
  return {column: values for column, values in known.items() if values}


def _cell(values: Sequence[float]) -> str:
  if not values:
    return ''
  mean = f'{np.mean(values):.3f}'
  if len(values) == 1:
    return mean
  return f'{mean} ± {np.std(values, ddof=1):.3f}'


def _line(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'


def _group(items: Sequence, key: Callable[[Any], Any]) -> list[tuple]:
  groups: dict[Any, list] = {}
  for item in items:
    groups.setdefault(key(item), []).append(item)
  return list(groups.items())


def _stream(run: run_files.Run) -> str:
  text = f'{run.results["problem"]}: {", ".join(run.results["stream"])}'
  unseen = ', '.join(run.results['unseen'])
  return f'{text}; unseen {unseen}' if unseen else text


def _method(run: run_files.Run) -> str:
  return run.results['method']


def _namer(
  method: str, runs: Sequence[run_files.Run]
) -> Callable[[run_files.Run], str]:
  """The name of a variant: the method and the fields that runs differ in."""
  configs = [_flatten(run.config) for run in runs]
  fields = sorted(set().union(*configs) - set(_IDLE))
  differing = [
    field
    for field in fields
    if any(config.get(field) != configs[0].get(field) for config in configs)
  ]

  def name(run: run_files.Run) -> str:
    config = _flatten(run.config)
    said = [f'{field}={config.get(field)}' for field in differing]
    return ' '.join([method, *said])

  return name


def _flatten(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  flat = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      flat |= _flatten(value, f'{prefix}{name}.')
    else:
      flat[f'{prefix}{name}'] = value
  return flat


def _check_seeds(stream: str, name: str, runs: Sequence[run_files.Run]) -> None:
  seeds = [run.config.get('seed') for run in runs]
  for seed in seeds:
    if seeds.count(seed) > 1:
      raise errors.InputError(
        f'{stream}: found {seeds.count(seed)} runs of {name} with seed {seed}, '
        'allowed one'
      )


if __name__ == '__main__':
  app.run_on_folders(main)
