"""A table of methods: mean and spread, who is best, paired tests."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from common import methods, page
from common.comparison import significance
from common.comparison import study as study_lib

Column = tuple[str, str]  # metric, summary
# Of fewer no signed-rank test can find p below .05, 2 / 2^5 at best. Made all
# the same, it would only cost the others power (Tarone, Biometrics 1990).
_LEAST_RUNS = 6
# Whom the others are tested against, unless another is named.
_REFERENCES = ('smg', 'samcl')
# Memory of a method -> field of its size, whether of each past site, of what.
_SIZES = {
  'reservoir': ('memory.capacity', False, 'real'),
  'kept': ('memory.num_kept', True, 'real'),
  'generated': ('diffusion.num_kept', True, 'generated'),
}


class PairedTest(NamedTuple):
  """A row against the reference, on the orders and seeds that both have.

  Attributes:
    gap: mean difference over runs; above 0 the row is better.
    least, most: the same of single runs.
    p_runs: over runs, are other trainings likely to differ alike?
    p_cases: over cases, are these networks likely to differ alike on others?
  """

  gap: float
  least: float
  most: float
  p_runs: float
  p_cases: float


_NO_TEST = ('',) * len(PairedTest._fields)


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows with all that is said of them.

  Attributes:
    rows: best first, by the difference to the reference if there is one.
    columns: those of which any row has a value.
    reference: the row that others are tested against; None for no tests.
    tests: (row, column) -> test, p adjusted for the rows of this table.
  """

  rows: tuple[study_lib.Row, ...]
  columns: tuple[Column, ...]
  reference: study_lib.Row | None
  tests: Mapping[tuple[str, Column], PairedTest]

  def to_html(self) -> str:
    return page.table(self.head, [self.line(row) for row in self.rows])

  @property
  def head(self) -> list[str]:
    columns = [' '.join(column) for column in self.columns]
    return ['method', 'runs', 'cases kept', *columns]

  def numbers(self) -> Iterator[list[Any]]:
    """Method, variant, column, runs, mean, both sd and test of every cell."""
    for row in self.rows:
      for column in self.columns:
        values = row.summary(*column)
        if values.size:
          seeds = row.deviation_of_seeds(*column)
          yield [
            row.method,
            ' '.join(row.variant),
            *column,
            values.size,
            values.mean(),
            *map(_number, (_deviation(values), seeds)),
            *self.tests.get((row.name, column), _NO_TEST),
          ]

  def line(self, row: study_lib.Row) -> list[str | page.Cell]:
    """What stands under each title of the head."""
    other = '' if row.cells == self._usual else '*'
    cells = [
      _cell(
        row.summary(*column),
        len(row.runs),
        self._mark(row, column),
        _said(self.tests.get((row.name, column))),
      )
      for column in self.columns
    ]
    return [row.name, f'{len(row.runs)}{other}', _kept(row), *cells]

  def _mark(self, row: study_lib.Row, column: Column) -> str:
    """Among methods that learn one site after another, on the same cells."""
    rivals = {
      other.name: float(other.summary(*column).mean())
      for other in self.rows
      if other.method not in study_lib.BOUNDS
      and other.cells == self._usual
      and other.summary(*column).size
    }
    if row.name not in rivals or len(set(rivals.values())) < 3:
      return ''
    rank = sum(mean > rivals[row.name] for mean in rivals.values())
    return ('best', 'second', '')[min(rank, 2)]

  @property
  def _usual(self) -> set[tuple]:
    """Orders and seeds of most rivals, of the reference where as many."""
    rivals = [x for x in self.rows if x.method not in study_lib.BOUNDS]
    own = [row.cells for row in rivals or self.rows]
    first = None if self.reference is None else self.reference.cells
    return max(own, key=lambda x: (own.count(x), x == first, len(x)))


def create_all(study: study_lib.Study, wanted: str = '') -> dict[str, Table]:
  """The main table of a study, named '', ablations, and changes made alike.

  An ablation is of one method; a change made alike, several methods have.
  `wanted` is the method that others are tested against, but for ablations;
  without it smg or samcl where there is one.
  """
  names = [wanted] if wanted else _REFERENCES
  main = study.main_rows
  tables = {'': create(study, [*main, study.untrained], _chosen(main, names))}
  for (name, fields), rows in study.ablations().items():
    tables[f'{name}: {fields}'] = create(study, rows, rows[0])
  for variant, rows in study.changed_alike().items():
    tables[' '.join(variant)] = create(study, rows, _chosen(rows, names))
  return tables


def _chosen(
  rows: Sequence[study_lib.Row], names: Sequence[str]
) -> study_lib.Row | None:
  by_method = {row.method: row for row in rows}
  return next((by_method[name] for name in names if name in by_method), None)


def create(
  study: study_lib.Study,
  rows: Sequence[study_lib.Row],
  reference: study_lib.Row | None,
) -> Table:
  """The table of some rows of a study, tested against one of them."""
  rows = study.best_first(rows)
  columns = tuple(
    (metric, summary)
    for metric in study.metrics
    for summary in study_lib.SUMMARIES
    if any(row.summary(metric, summary).size for row in rows)
  )
  tests = {} if reference is None else _tests(study.metrics, rows, reference)
  if tests and columns:

    def behind(row: study_lib.Row) -> float:
      if row.name == reference.name:
        return 0.0
      test = tests.get((row.name, columns[0]))
      return -test.gap if test and not np.isnan(test.gap) else np.inf

    rows = sorted(rows, key=behind)
  return Table(tuple(rows), columns, reference, tests)


def sites_html(rows: Sequence[study_lib.Row], metric: str) -> str:
  """What is left of every site in the end, in the units of the metric."""
  scores = rows[0].runs[0].scores[metric]
  values = {
    site: [row.site_scores(metric, site) for row in rows]
    for site in scores.site_names
  }
  sites = [site for site in values if any(x.size for x in values[site])]
  lines = [
    [
      row.name,
      str(len(row.runs)),
      *(_cell(values[site][place], len(row.runs)) for site in sites),
    ]
    for place, row in enumerate(rows)
  ]
  return page.table(['method', 'runs', *sites], lines)


def paired(
  row: study_lib.Row,
  reference: study_lib.Row,
  metric: str,
  sites: Sequence[str],
) -> float:
  """p of the difference on the cases of some sites.

  A case counts once, as its mean over the orders and seeds that both have.
  """
  shared = row.cells & reference.cells
  a, b = (
    study_lib.case_scores(one.only(shared), metric, sites)
    for one in (row, reference)
  )
  cases = sorted(a.keys() & b.keys())
  return significance.paired([a[c] for c in cases], [b[c] for c in cases])


def _tests(
  metrics: Sequence[str],
  rows: Sequence[study_lib.Row],
  reference: study_lib.Row,
) -> dict[tuple[str, Column], PairedTest]:
  found, results = {}, reference.runs[0].results
  places = {'ACC': sorted(results['stream']), 'unseen': results['unseen']}
  for metric in metrics:
    for summary, sites in places.items():
      base = reference.summaries(metric, summary)
      gaps, p_cases = {}, {}
      for row in rows:
        own = row.summaries(metric, summary)
        if row.name != reference.name and own:
          gaps[row.name] = [own[x] - base[x] for x in own if x in base]
          p_cases[row.name] = paired(row, reference, metric, sites)
      p_cases = significance.holm(p_cases)
      p_runs = significance.holm(
        {
          name: significance.paired(x, np.zeros(len(x)))
          for name, x in gaps.items()
          if len(x) >= _LEAST_RUNS
        }
      )
      for name, values in gaps.items():
        values = values or [np.nan]
        found[name, (metric, summary)] = PairedTest(
          float(np.mean(values)),
          min(values),
          max(values),
          p_runs.get(name, np.nan),
          p_cases[name],
        )
  return found


def _kept(row: study_lib.Row) -> str:
  """Cases of past sites that the last stage replays.

  Of a reservoir its size: some of its cases are of the last site.
  """
  method = methods.METHODS.get(row.method)
  field, each, kind = _SIZES.get(method.memory if method else '', ('', 0, ''))
  size = study_lib.flatten(row.runs[0].config).get(field)
  if size is None:
    return page.signed(None)
  num_past = len(row.runs[0].results['stream']) - 1
  return f'{size * num_past if each else size} {kind}'


def _cell(
  values: np.ndarray, num_runs: int, mark: str = '', said: str = ''
) -> page.Cell:
  """Mean and spread; below, what is said, or that some runs have no value."""
  if not values.size:
    return page.Cell(page.signed(None))
  text = page.signed(float(values.mean()))
  if values.size > 1:
    text += f' ± {_deviation(values):.3f}'
  fewer = '' if values.size == num_runs else f'of {values.size}'
  return page.Cell(text, mark, '; '.join(filter(None, [fewer, said])))


def _deviation(values: np.ndarray) -> float:
  return float(values.std(ddof=1)) if values.size > 1 else np.nan


def _number(value: float) -> float | str:
  """For a CSV, whose cells are empty where there is none."""
  return '' if np.isnan(value) else value


def _said(test: PairedTest | None) -> str:
  if test is None or np.isnan(test.gap):
    return ''
  gap = _gap(test.gap)
  if np.isnan(test.p_runs) and test.least < test.most:
    gap += f' [{_gap(test.least)}, {_gap(test.most)}]'
  return f'{gap}, p {_p(test.p_runs)}, {_p(test.p_cases)}'


def _gap(value: float) -> str:
  return f'{"+" if value > 0 else ""}{page.signed(value)}'


def _p(value: float) -> str:
  if np.isnan(value):
    return page.signed(None)
  return '< .001' if value < 0.001 else f'{value:.3f}'.lstrip('0')
