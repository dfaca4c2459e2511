"""The files of a finished run, read back and checked field by field."""

import csv
import dataclasses
import functools
import json
import math
import pathlib
from typing import Any

import numpy as np

from common import errors
from common import scores as scores_lib

_COLUMNS = ('stage', 'site', 'case', 'metric', 'value')


@dataclasses.dataclass(frozen=True)
class Run:
  """A finished run.

  Attributes:
    config: config.json.
    results: results.json.
    scores: one entry per metric of results.json.
    log: lines of metrics.jsonl in order.
    cases: [stage, site, case, metric] -> values over labels, from
      per_case.csv; stage 0 is the untrained network.
    folder: where all of this was found.
  """

  config: dict[str, Any]
  results: dict[str, Any]
  scores: dict[str, scores_lib.Scores]
  log: list[dict[str, Any]]
  cases: dict[tuple[int, str, str, str], list[float]]
  folder: pathlib.Path = pathlib.Path()

  @functools.cached_property
  def case_means(self) -> dict[tuple[int, str, str, str], float]:
    """[stage, site, case, metric] -> mean over labels, where there is one."""
    known = {
      place: [value for value in values if not math.isnan(value)]
      for place, values in self.cases.items()
    }
    return {k: float(np.mean(values)) for k, values in known.items() if values}


def load(workdir: pathlib.Path) -> Run:
  """Reads a working directory.

  Raises:
    InputError: a file is missing, cannot be read, or a field is not as a
      finished run leaves it.
  """
  config = _load_object(workdir / 'config.json')
  path = workdir / 'results.json'
  results = _load_object(path)
  for name in ('problem', 'method'):
    _field(path, results, name, str)
  for name in ('stream', 'unseen'):
    sites = _field(path, results, name, list)
    if not all(isinstance(site, str) for site in sites):
      raise errors.InputError(f'{path}: {name}: allowed a list of names')
  if not results['stream']:
    raise errors.InputError(f'{path}: stream: found no site, must be >= 1')
  scores = {
    name: _scores(path, results, name)
    for name in _field(path, results, 'metrics', dict)
  }
  _check_summary(path, _field(path, results, 'summary', dict), scores)
  _optional(path, results, 'definition', int)
  for name in ('wall_s', 'step_s', 'peak_gib'):
    _optional(path, results, name, (int, float))
  for name in ('device', 'git', 'jax'):
    _optional(path, results, name, str)
  _optional(workdir / 'config.json', config, 'seed', int)
  log, cases = load_log(workdir), _load_cases(workdir)
  return Run(config, results, scores, log, cases, workdir)


def check_cases(run: Run) -> None:
  """Makes sure that the cases give the matrices that results.json has.

  Raises:
    InputError: per_case.csv has no case, was cut short, or changed.
  """
  path = run.folder / 'per_case.csv'
  if not run.cases:
    raise errors.InputError(f'{path}: found no case')
  means: dict[tuple[int, str, str], list[float]] = {}
  for (stage, site, _, name), mean in run.case_means.items():
    means.setdefault((stage, site, name), []).append(mean)
  for name, scores in run.scores.items():
    for stage, row in enumerate([scores.untrained, *scores.matrix]):
      for site, expected in zip(scores.sites, row, strict=True):
        values = means.get((stage, site, name))
        found = np.mean(values) if values else math.nan
        if not np.isclose(found, expected, 1e-5, 1e-5, equal_nan=True):
          raise errors.InputError(
            f'{path}: {name} of {site} after stage {stage}: found {found:.6g}, '
            f'but results.json has {expected:.6g}'
          )


def load_log(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Lines of metrics.jsonl in order; a last one that was cut short is left out.

  Raises:
    InputError: the file cannot be read, or a line is none of a run.
  """
  path = workdir / 'metrics.jsonl'
  lines = [line for line in _read(path).splitlines() if line.strip()]
  entries = []
  for number, line in enumerate(lines, start=1):
    try:
      entry = json.loads(line)
    except ValueError as error:
      if number == len(lines):
        break
      raise errors.InputError(f'{path}: line {number}: no JSON') from error
    for name, kind in (('stage', int), ('site', str), ('step', int)):
      if not isinstance(entry, dict) or not isinstance(entry.get(name), kind):
        raise errors.InputError(
          f'{path}: line {number}: {name}: missing, or not {kind.__name__}'
        )
    for name in entry.keys() - {'site', 'split'}:
      _optional(f'{path}: line {number}', entry, name, (int, float))
    entries.append(entry)
  return entries


def _check_summary(
  path: pathlib.Path, summary: dict, scores: dict[str, scores_lib.Scores]
) -> None:
  for name in scores:
    found = _field(path, summary, name, dict, prefix='summary.')
    for field, value in found.items():
      if value is not None and not isinstance(value, (int, float)):
        raise errors.InputError(
          f'{path}: summary.{name}.{field}: found {_short(value)}, allowed a '
          'number or null'
        )


def _scores(path: pathlib.Path, results: dict, name: str) -> scores_lib.Scores:
  prefix = f'metrics.{name}.'
  entry = _field(path, results['metrics'], name, dict, prefix='metrics.')
  sites = (*results['stream'], *results['unseen'])
  matrix = [
    _numbers(path, f'{prefix}matrix', row, len(sites))
    for row in _field(path, entry, 'matrix', list, prefix=prefix)
  ]
  if len(matrix) not in (1, len(results['stream'])):
    raise errors.InputError(
      f'{path}: {prefix}matrix: found {len(matrix)} rows, allowed 1 or '
      f'{len(results["stream"])}, one for each stage'
    )
  return scores_lib.Scores(
    name,
    _field(path, entry, 'unit', str, prefix=prefix),
    _field(path, entry, 'higher_is_better', bool, prefix=prefix),
    np.array(matrix),
    np.array(
      _numbers(path, f'{prefix}untrained', entry.get('untrained'), len(sites))
    ),
    sites,
    len(results['stream']),
  )


def _numbers(
  path: pathlib.Path, name: str, values: Any, length: int
) -> list[float]:
  """Numbers with nan for null."""
  good = isinstance(values, list) and len(values) == length
  if not good or not all(
    v is None or (isinstance(v, (int, float)) and not isinstance(v, bool))
    for v in values
  ):
    raise errors.InputError(
      f'{path}: {name}: found {_short(values)}, allowed {length} numbers or '
      'null, one for each site'
    )
  return [math.nan if value is None else float(value) for value in values]


def _load_object(path: pathlib.Path) -> dict[str, Any]:
  text = _read(path)
  try:
    value = json.loads(text)
  except ValueError as error:
    raise errors.InputError(f'{path}: no JSON ({error})') from error
  if not isinstance(value, dict):
    raise errors.InputError(
      f'{path}: found {_short(value)}, allowed a JSON object'
    )
  return value


def _load_cases(
  workdir: pathlib.Path,
) -> dict[tuple[int, str, str, str], list[float]]:
  path = workdir / 'per_case.csv'
  reader = csv.DictReader(_read(path).splitlines())
  missing = [c for c in _COLUMNS if c not in (reader.fieldnames or ())]
  if missing:
    raise errors.InputError(
      f'{path}: {missing[0]}: no such column, found {reader.fieldnames}'
    )
  cases: dict[tuple[int, str, str, str], list[float]] = {}
  for row in reader:
    where = f'{path}: line {reader.line_num}'
    stage = _parse(where, row, 'stage', int)
    value = _parse(where, row, 'value', float)
    key = (stage, row['site'], row['case'], row['metric'])
    cases.setdefault(key, []).append(value)
  return cases


def _parse(where: str, row: dict, name: str, kind: type) -> Any:
  try:
    return kind(row[name])
  except (TypeError, ValueError) as error:
    raise errors.InputError(
      f'{where}: {name}: found {_short(row[name])}, allowed {kind.__name__}'
    ) from error


def _read(path: pathlib.Path) -> str:
  try:
    return path.read_text('utf-8')
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'not UTF-8 text'
    raise errors.InputError(
      f'{path}: cannot be read ({reason}); a finished run has this file'
    ) from error


def _field(
  path: pathlib.Path, entry: dict, name: str, kind: type, *, prefix: str = ''
) -> Any:
  if not isinstance(entry.get(name), kind):
    raise errors.InputError(
      f'{path}: {prefix}{name}: found {_short(entry.get(name))}, '
      f'allowed {kind.__name__}'
    )
  return entry[name]


def _optional(
  where: Any, entry: dict, name: str, kind: type | tuple[type, ...]
) -> None:
  """Refuses what is there and of another kind."""
  value = entry.get(name)
  if value is not None and not isinstance(value, kind):
    allowed = 'a text' if kind is str else 'a number'
    raise errors.InputError(
      f'{where}: {name}: found {_short(value)}, allowed {allowed} or null'
    )


def _short(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= 60 else f'{text[:57]}...'
