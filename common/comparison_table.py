"""A table of methods: mean and spread, who is best, and whether it is more
than chance."""

from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any

import numpy as np

from common import comparison, page, significance

Column = tuple[str, str]  # metric, summary


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows with all that is said of them.

  Attributes:
    rows: best first.
    columns: those of which any row has a value.
    reference: the row that others are tested against; None for no tests.
    p_values: (row, column) -> p, adjusted for the rows of this table.
  """

  rows: tuple[comparison.Row, ...]
  columns: tuple[Column, ...]
  reference: comparison.Row | None
  p_values: dict[tuple[str, Column], float]

  def to_html(self) -> str:
    head = ['method', 'runs', *(' '.join(column) for column in self.columns)]
    return page.table(head, [self._line(row) for row in self.rows])

  def numbers(self) -> Iterator[list[Any]]:
    """Method, variant, metric, summary, runs, mean, sd, p of every cell."""
    for row in self.rows:
      for column in self.columns:
        values = _values(row, column)
        if values.size:
          yield [
            row.method,
            ' '.join(row.variant),
            *column,
            values.size,
            values.mean(),
            values.std(ddof=1) if values.size > 1 else '',
            self.p_values.get((row.name, column), ''),
          ]

  def _line(self, row: comparison.Row) -> list[str | page.Cell]:
    first = self.reference or self.rows[0]
    other = '' if row.cells == first.cells else '*'
    cells = [
      page.Cell(
        _cell(_values(row, column), self.p_values.get((row.name, column))),
        self._mark(row, column),
      )
      for column in self.columns
    ]
    return [row.name, f'{len(row.runs)}{other}', *cells]

  def _mark(self, row: comparison.Row, column: Column) -> str:
    """Among methods that learn one site after another, on the same cells."""
    first = self.reference or self.rows[0]
    rivals = {
      other.name: float(_values(other, column).mean())
      for other in self.rows
      if other.method not in comparison.BOUNDS
      and other.cells == first.cells
      and _values(other, column).size
    }
    if row.name not in rivals or len(set(rivals.values())) < 3:
      return ''
    rank = sum(mean > rivals[row.name] for mean in rivals.values())
    return ('best', 'second', '')[min(rank, 2)]


def create(
  study: comparison.Study,
  rows: Sequence[comparison.Row],
  reference: comparison.Row | None,
) -> Table:
  """The table of some rows of a study, tested against one of them."""
  rows = study.best_first(rows)
  columns = tuple(
    (metric, summary)
    for metric in study.metrics
    for summary in comparison.SUMMARIES
    if any(_values(row, (metric, summary)).size for row in rows)
  )
  return Table(
    tuple(rows), columns, reference, _p_values(study.metrics, rows, reference)
  )


def paired(
  row: comparison.Row,
  reference: comparison.Row,
  metric: str,
  sites: Sequence[str],
) -> float:
  """p of the difference on the cases of some sites.

  A case counts once, as its mean over the orders and seeds that both have.
  """
  shared = row.cells & reference.cells
  a, b = (
    comparison.case_scores(one.only(shared), metric, sites)
    for one in (row, reference)
  )
  cases = sorted(a.keys() & b.keys())
  return significance.paired([a[c] for c in cases], [b[c] for c in cases])


def _p_values(
  metrics: Sequence[str],
  rows: Sequence[comparison.Row],
  reference: comparison.Row | None,
) -> dict[tuple[str, Column], float]:
  if reference is None:
    return {}
  found, results = {}, reference.runs[0].results
  places = {'ACC': sorted(results['stream']), 'unseen': results['unseen']}
  for metric in metrics:
    for summary, sites in places.items():
      p_values = {
        row.name: paired(row, reference, metric, sites)
        for row in rows
        if row.name != reference.name
      }
      for name, p in significance.holm(p_values).items():
        found[name, (metric, summary)] = p
  return found


def _values(row: comparison.Row, column: Column) -> np.ndarray:
  """What bounds have by construction is no score of theirs."""
  if row.method in comparison.BOUNDS and column[1] == 'BWT':
    return np.array([])
  return row.summary(*column)


def _cell(values: np.ndarray, p: float | None) -> str:
  if not values.size:
    return page.signed(None)
  text = page.signed(float(values.mean()))
  if values.size > 1:
    text += f' ± {values.std(ddof=1):.3f}'
  if p is None or np.isnan(p):
    return text
  return f'{text} (p {"< .001" if p < 0.001 else f"{p:.3f}"})'
