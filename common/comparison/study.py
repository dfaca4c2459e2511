"""Runs that can be compared: rows of them, and what is read off a row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import Any

import numpy as np

from common import continual, run_files
from common import scores as scores_lib

# What changes a file or a picture, but no result.
WITHOUT_EFFECT = ('data.folder', 'train.log_every', 'train.checkpoint_every')
# What every run of a row may have its own of.
VARYING = ('method', 'seed', 'stream')
SUMMARIES = ('ACC', 'BWT', 'unseen')
METRICS = ('dice', 'tre')
# They do not learn one site after another: what others are held against.
BOUNDS = ('joint', 'independent', 'untrained')
# What a run was made with, as results.json has it.
RECORDS = ('git', 'device', 'jax')


@dataclasses.dataclass(frozen=True)
class Row:
  """Runs that differ in seed and order alone.

  Attributes:
    method: of all of them.
    variant: fields in which they differ from most runs of their method.
    runs: one for each order and seed.
    stage: after which they are scored, the last or 0: the untrained network.
  """

  method: str
  variant: tuple[str, ...]
  runs: tuple[run_files.Run, ...]
  stage: int = -1

  @property
  def name(self) -> str:
    return ' '.join([self.method, *self.variant])

  @property
  def cells(self) -> set[tuple]:
    """Orders and seeds."""
    return {cell(run) for run in self.runs}

  def only(self, cells: set[tuple]) -> 'Row':
    """The runs of some orders and seeds."""
    runs = tuple(run for run in self.runs if cell(run) in cells)
    return dataclasses.replace(self, runs=runs)

  def summary(self, metric: str, name: str) -> np.ndarray:
    """ACC, BWT, ... of the runs that have it."""
    return np.array(list(self.summaries(metric, name).values()))

  def summaries(self, metric: str, name: str) -> dict[tuple, float]:
    """Order and seed -> ACC, BWT, ... of the run, where it has it."""
    if name in continual.UNDEFINED.get(self.method, ()):
      return {}
    found = {
      cell(run): _summarise(run.scores[metric], self.stage)[name]
      for run in self.runs
      if metric in run.scores
    }
    return {x: value for x, value in found.items() if not np.isnan(value)}

  def deviation_of_seeds(self, metric: str, name: str) -> float:
    """Of runs of one order, pooled; nan where none was run twice."""
    found = group(list(self.summaries(metric, name).items()), lambda x: x[0][0])
    by_order = [np.array([value for _, value in same]) for _, same in found]
    spread = spread_within(by_order)
    return np.nan if spread is None else float(spread)

  def is_for(self, site: str) -> bool:
    """Whether the method has one network that is meant for a site."""
    unseen = any(site in run.results['unseen'] for run in self.runs)
    return not (unseen and 'unseen' in continual.UNDEFINED.get(self.method, ()))

  def recorded(self, name: str) -> list[str]:
    """Distinct commits, devices, ... that the runs have been made with."""
    found = {(flatten(run.config) | run.results).get(name) for run in self.runs}
    return sorted(str(value) for value in found if value)

  def site_scores(self, metric: str, site: str) -> np.ndarray:
    """Scores of a site at the row's stage, of the runs that have one."""
    found = []
    if not self.is_for(site):
      return np.array([])
    for run in self.runs:
      scores = run.scores[metric]
      there = scores.matrix[-1] if self.stage else scores.untrained
      found.append(there[scores.sites.index(site)])
    values = np.array(found, float)
    return values[~np.isnan(values)]


@dataclasses.dataclass(frozen=True)
class Study:
  """Rows on the same sites, data and definitions of metrics."""

  title: str
  rows: tuple[Row, ...]

  @property
  def main_rows(self) -> list[Row]:
    """Each method as most of its runs have it; all rows if none is usual."""
    plain = {row.method for row in self.rows if not row.variant}
    return [
      row for row in self.rows if not row.variant or row.method not in plain
    ]

  @property
  def untrained(self) -> Row:
    """Where all methods start from, once for each order and seed."""
    found = {cell(run): run for row in self.main_rows for run in row.runs}
    return Row('untrained', (), tuple(found.values()), stage=0)

  @property
  def metrics(self) -> list[str]:
    """Those that a comparison is made by, best known first."""
    there = self.rows[0].runs[0].scores
    return [name for name in METRICS if name in there]

  def best_first(self, rows: Sequence[Row]) -> list[Row]:
    """By ACC of the best known metric."""

    def loss(row: Row) -> float:
      for metric in self.metrics:
        values = row.summary(metric, 'ACC')
        if values.size:
          return -float(values.mean())
      return np.inf

    return sorted(rows, key=loss)

  def ablations(self) -> dict[tuple[str, str], list[Row]]:
    """(name of a row, fields) -> that row, then those that differ in them too.

    The row is a method as usual, or one that was changed already. It has the
    orders and seeds alone that the others have too.
    """
    by_name = {row.name: row for row in self.rows}
    found: dict[tuple[str, str], list[Row]] = {}
    for base, row in itertools.product(self.rows, repeat=2):
      if base.method == row.method and {*base.variant} < {*row.variant}:
        more = [said for said in row.variant if said not in base.variant]
        fields = ' '.join(said.partition('=')[0] for said in more)
        found.setdefault((base.name, fields), []).append(row)
    for (name, _), rows in found.items():
      base = by_name[name].only(set().union(*(row.cells for row in rows)))
      if base.runs:
        rows.insert(0, base)
    return found

  def changed_alike(self) -> dict[tuple[str, ...], list[Row]]:
    """Variant -> its rows, where several methods have been changed so."""
    usual = self.main_rows
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in self.rows:
      if row.variant and row not in usual:
        found.setdefault(row.variant, []).append(row)
    return {variant: rows for variant, rows in found.items() if len(rows) > 1}


def alike(rows: Sequence[Row]) -> tuple[list[Row], str]:
  """Rows cut to the same orders and seeds, and what to say of that.

  Of all sets of orders and seeds that some rows share the one that keeps most
  runs: a row that lacks one run costs the others that one, a row of two runs
  is left out where the others have fifteen.
  """
  own = [frozenset(row.cells) for row in rows]
  shared = {a & b for a in own for b in own} | {frozenset.intersection(*own)}

  def kept(cells: frozenset) -> tuple[int, int]:
    return len(cells) * sum(cells <= other for other in own), len(cells)

  usual = max(shared, key=kept)
  chosen = [row for row in rows if usual <= row.cells]
  said = ''
  if any(row.cells != usual for row in chosen):
    said += f' The {len(usual)} orders and seeds that all of these have.'
  if others := [row.name for row in rows if row not in chosen]:
    said += f' Of other orders or seeds, not shown: {", ".join(others)}.'
  return [row.only(set(usual)) for row in chosen], said


def cell(run: run_files.Run) -> tuple[tuple[str, ...], Any]:
  """Order and seed: what may differ between the runs of a row."""
  return tuple(run.results['stream']), run.config.get('seed')


def agreement(run: run_files.Run, name: str) -> float | None:
  """Mean of what was logged over the last half of each stage, stages alike."""
  lines = [
    line
    for line in run.log
    if line.get('split') == 'train' and line.get(name) is not None
  ]
  means = []
  for _, stage in group(lines, lambda line: line['stage']):
    steps = [line['step'] for line in stage]
    half = (min(steps) + max(steps)) / 2
    means.append(np.mean([x[name] for x in stage if x['step'] >= half]))
  return float(np.mean(means)) if means else None


def case_scores(
  row: Row, metric: str, sites: Sequence[str]
) -> dict[tuple[str, str], float]:
  """(site, case) -> score at the row's stage: mean over labels, then runs."""
  found: dict[tuple[str, str], list[float]] = {}
  meant = [site for site in sites if row.is_for(site)]
  for run in row.runs:
    wanted = sorted({stage for stage, *_ in run.cases})[row.stage]
    for (stage, site, case, name), mean in run.case_means.items():
      if (stage, name) == (wanted, metric) and site in meant:
        found.setdefault((site, case), []).append(mean)
  return {place: float(np.mean(values)) for place, values in found.items()}


def _summarise(scores: scores_lib.Scores, stage: int) -> dict[str, float]:
  """After the last stage, or before the first one where `stage` is 0."""
  return continual.summarise(
    scores.matrix if stage else scores.untrained[None],
    scores.untrained,
    num_stream=scores.num_stream,
    higher_is_better=scores.higher_is_better,
  )


def spread_within(groups: Sequence[np.ndarray]) -> np.ndarray | None:
  """Sample standard deviation within groups (n, ...), pooled over them."""
  freedom = sum(len(group) - 1 for group in groups)
  if not freedom:
    return None
  squares = [
    np.sum((group - group.mean(axis=0)) ** 2, axis=0) for group in groups
  ]
  return np.sqrt(np.sum(squares, axis=0) / freedom)


def group(items: Sequence, key: Callable[[Any], Any]) -> list[tuple]:
  """(key, items with it) in the order in which keys are met."""
  groups: dict[Any, list] = {}
  for item in items:
    groups.setdefault(key(item), []).append(item)
  return list(groups.items())


def flatten(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """{'a': {'b': 1}} -> {'a.b': 1}."""

  def leaves() -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
      if isinstance(value, Mapping):
        yield from flatten(value, f'{prefix}{name}.').items()
      else:
        yield f'{prefix}{name}', value

  return dict(leaves())
