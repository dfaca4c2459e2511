"""Plots of many runs: ACC against unseen, and over the values of a field."""

from collections.abc import Sequence
from typing import Any

from matplotlib import figure as mpl_figure
import numpy as np

from common import figures
from common.comparison import study as study_lib
from common.comparison import style as style_lib


def trade_off(
  rows: Sequence[study_lib.Row], metric: str, styles: style_lib.Styles
) -> mpl_figure.Figure:
  """ACC against unseen, a point for each row."""
  figure = mpl_figure.Figure(figsize=(6.4, 4.8), layout='constrained')
  axes = figure.add_subplot()
  for row in rows:
    x, y = (row.summary(metric, name) for name in ('ACC', 'unseen'))
    axes.errorbar(
      x.mean(),
      y.mean(),
      xerr=_spread(x),
      yerr=_spread(y),
      elinewidth=0.8,
      label=style_lib.label(row.name),
      **(styles[row.name] | {'linestyle': ''}),
    )
  label = rows[0].runs[0].scores[metric].summary_label
  axes.set_xlabel(figures.plain(f'ACC: {label}'))
  axes.set_ylabel(figures.plain(f'unseen: {label}'))
  figures.tidy(axes)
  figure.legend(loc='outside right upper', frameon=False, fontsize=9)
  return figure


def ablation(
  rows: Sequence[study_lib.Row], field: str, metric: str
) -> mpl_figure.Figure | None:
  """Summaries over the values of a field; None where there are too few."""
  values = [_value(row, field) for row in rows]
  if len(rows) < 2 or ' ' in field:
    return None
  numeric = all(isinstance(value, (int, float)) for value in values)
  order = sorted(range(len(rows)), key=lambda i: values[i] if numeric else i)
  names = [str(values[i]) for i in order]
  figure = mpl_figure.Figure(figsize=(5.2, 3.2), layout='constrained')
  axes = figure.add_subplot()
  for number, summary in enumerate(('ACC', 'unseen')):
    found = [rows[i].summary(metric, summary) for i in order]
    if not all(x.size for x in found):
      continue
    axes.errorbar(
      range(len(found)),
      [x.mean() for x in found],
      yerr=[_spread(x) for x in found],
      marker='os'[number],
      linestyle='-' if numeric else '',
      capsize=3,
      label=summary,
      color=figures.PALETTE[number],
    )
  axes.set_xticks(range(len(names)), [figures.plain(name) for name in names])
  axes.set_xlim(-0.5, len(names) - 0.5)
  alike = set.intersection(*({*row.variant} for row in rows))
  name = ' '.join([rows[0].method, *sorted(alike)])
  axes.set_xlabel(figures.plain(f'{name}: {field}'))
  label = rows[0].runs[0].scores[metric].summary_label
  axes.set_ylabel(figures.plain(label))
  figures.tidy(axes)
  figure.legend(loc='outside upper center', ncols=2, frameon=False)
  return figure


def _value(row: study_lib.Row, field: str) -> Any:
  return study_lib.flatten(row.runs[0].config).get(field)


def _spread(values: np.ndarray) -> float:
  return float(values.std(ddof=1)) if values.size > 1 else 0.0
