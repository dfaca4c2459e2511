"""Plots of many runs: methods beside each other, mean and spread over runs.

A method has the same colour and line in all figures of a study.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence

from matplotlib import figure as mpl_figure
import numpy as np

from common import (
  comparison,
  comparison_pictures,
  comparison_training,
  figures,
  run_files,
)

Drawn = tuple[str, mpl_figure.Figure, str]
Style = Mapping[str, str]

_LINES = ('-', '--', ':')


def draw_all(study: comparison.Study) -> Iterator[Drawn]:
  """(name, figure, caption) of all that the runs of a study have files for."""
  rows = study.best_first(study.main_rows)
  styles = {row.name: style(i) for i, row in enumerate(rows)}
  for metric in study.metrics:
    yield from _of_metric(study, rows, styles, metric)
  yield from comparison_training.cosines(rows, styles)
  yield from comparison_training.costs(rows, styles)
  yield from comparison_pictures.stack(rows)


def style(number: int) -> Style:
  """Colour and line of the method of that number."""
  count = len(figures.PALETTE)
  return {
    'color': figures.PALETTE[number % count],
    'linestyle': _LINES[(number // count) % len(_LINES)],
  }


def _of_metric(study, rows, styles, metric) -> Iterator[Drawn]:
  have = [row for row in rows if row.summary(metric, 'ACC').size]
  if not have:
    return
  yield (
    f'matrices_{metric}',
    matrices(have, metric),
    f'{metric}: every site (column) after every stage (row), mean over the '
    'runs of the order that most have; bright is better.',
  )
  # The stages of joint see all sites alike.
  learning = [row for row in have if row.method != 'joint']
  if learning:
    yield (
      f'learnt_{metric}',
      learnt_so_far(learning, metric, styles),
      f'{metric}: mean over the sites learnt so far, after every stage; mean '
      'and standard deviation over runs. What falls is forgotten, or harder.',
    )
  yield (
    f'cases_{metric}',
    violins(have, metric, styles),
    f'{metric} of every case after the last stage, mean over its labels and '
    'over runs; the bar is the median.',
  )
  if all(row.summary(metric, 'unseen').size for row in have):
    yield (
      f'trade_off_{metric}',
      trade_off(have, metric, styles),
      f'{metric} of sites that were learnt against that of sites never seen; '
      'bars are standard deviations over runs. Up and right is better.',
    )
  for (method, field), variants in study.ablations().items():
    drawn = ablation(variants, field, metric)
    if drawn is not None:
      yield (
        f'ablation_{metric}_{method}_{field}',
        drawn,
        f'{metric} of {method} over {field}; mean and standard deviation over '
        'runs.',
      )


def matrices(rows: Sequence[comparison.Row], metric: str) -> mpl_figure.Figure:
  """A small heat map of the mean R of each row."""
  tables = _mean_scores(rows, metric)
  columns = min(4, len(tables))
  lines = -(-len(tables) // columns)
  values = np.concatenate([s.matrix.ravel() for s in tables.values()])
  low, high = np.nanmin(values), np.nanmax(values)
  any_scores = next(iter(tables.values()))
  num_sites, num_stages = len(any_scores.sites), len(any_scores.matrix)
  figure = mpl_figure.Figure(
    figsize=(
      0.8 + columns * (0.6 + 0.42 * num_sites),
      lines * (0.95 + 0.3 * num_stages) + 0.7,
    ),
    layout='constrained',
  )
  panels = figure.subplots(lines, columns, squeeze=False)
  for axes in panels.ravel()[len(tables) :]:
    axes.axis('off')
  shades = None
  for axes, (name, scores) in zip(panels.ravel(), tables.items(), strict=False):
    shades = axes.imshow(
      scores.matrix,
      cmap='cividis' if scores.higher_is_better else 'cividis_r',
      vmin=low,
      vmax=high,
      aspect='auto',
    )
    axes.set_title(figures.plain(name), fontsize=9)
    names = [figures.plain(site) for site in scores.sites]
    axes.set_xticks(range(num_sites), names, rotation=90, fontsize=7)
    stages = [str(t + 1) for t in range(len(scores.matrix))]
    axes.set_yticks(range(len(stages)), stages, fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for place, value in np.ndenumerate(scores.matrix):
      if np.isnan(value):
        continue
      face = shades.to_rgba(value)
      light = np.dot(face[:3], (0.299, 0.587, 0.114)) > 0.5
      axes.text(
        place[1],
        place[0],
        _short(value),
        ha='center',
        va='center',
        fontsize=6.5,
        color='black' if light else 'white',
      )
  figure.supylabel('after stage', fontsize=9)
  figure.colorbar(shades, ax=panels, label=any_scores.axis_label, aspect=30)
  return figure


def learnt_so_far(
  rows: Sequence[comparison.Row], metric: str, styles: Mapping[str, Style]
) -> mpl_figure.Figure:
  """Mean score of the sites learnt so far over the stages.

  A stage is left out where a run has no score yet, for another order would be
  all that is left there.
  """

  def curve(run: run_files.Run) -> np.ndarray:
    table = run.scores[metric].matrix
    return np.array([_nanmean(table[t, : t + 1]) for t in range(len(table))])

  figure = mpl_figure.Figure(figsize=(7.4, 4.0), layout='constrained')
  axes = figure.add_subplot()
  for row in rows:
    found = np.array([curve(run) for run in row.runs])
    stages = np.arange(1, found.shape[1] + 1)
    mean = found.mean(axis=0)
    name, look = figures.plain(row.name), styles[row.name]
    axes.plot(stages, mean, marker='o', markersize=3.5, label=name, **look)
    if len(found) > 1:
      sd = found.std(axis=0, ddof=1)
      band = {'color': look['color'], 'alpha': 0.1, 'linewidth': 0}
      axes.fill_between(stages, mean - sd, mean + sd, **band)
  axes.set_xticks(stages)
  axes.set_xlabel('stage')
  axes.set_ylabel(rows[0].runs[0].scores[metric].axis_label)
  figures.tidy(axes)
  figure.legend(loc='outside right upper', frameon=False, fontsize=9)
  return figure


def violins(
  rows: Sequence[comparison.Row], metric: str, styles: Mapping[str, Style]
) -> mpl_figure.Figure:
  """Every case of every site, a violin for each row."""
  scores = rows[0].runs[0].scores[metric]
  sites = [*sorted(scores.sites[: scores.num_stream])]
  sites += scores.sites[scores.num_stream :]
  found = {
    row.name: comparison.case_scores(row.runs, metric, sites) for row in rows
  }
  scored = {site for cases in found.values() for site, _ in cases}
  sites = [site for site in sites if site in scored]
  figure = mpl_figure.Figure(
    figsize=(1.6 + 1.75 * len(sites), 1.1 + 0.3 * len(rows)),
    layout='constrained',
  )
  panels = figure.subplots(1, len(sites), sharey=True, squeeze=False)[0]
  for axes, site in zip(panels, sites, strict=True):
    for place, row in enumerate(rows):
      values = [v for (where, _), v in found[row.name].items() if where == site]
      if not values:
        continue
      color = styles[row.name]['color']
      if len(values) > 2 and np.ptp(values) > 0:
        (body,) = axes.violinplot(
          values,
          [place],
          orientation='horizontal',
          widths=0.8,
          showextrema=False,
        )['bodies']
        body.set(facecolor=color, alpha=0.35)
      axes.plot(values, np.full(len(values), place), '|', color=color, ms=5)
      axes.plot(
        [np.median(values)] * 2, [place - 0.3, place + 0.3], color='black'
      )
    unseen = site in scores.sites[scores.num_stream :]
    title = figures.plain(site) + (' (unseen)' if unseen else '')
    axes.set_title(title, fontsize=9)
    axes.grid(axis='x', color='#E4E4E4', linewidth=0.7)
    axes.spines[['top', 'right']].set_visible(False)
  names = [figures.plain(row.name) for row in rows]
  panels[0].set_yticks(range(len(rows)), names)
  panels[0].invert_yaxis()
  figure.supxlabel(scores.axis_label, fontsize=9)
  return figure


def trade_off(
  rows: Sequence[comparison.Row], metric: str, styles: Mapping[str, Style]
) -> mpl_figure.Figure:
  """ACC against unseen, a point for each row."""
  figure = mpl_figure.Figure(figsize=(6.4, 4.8), layout='constrained')
  axes = figure.add_subplot()
  for number, row in enumerate(rows):
    x, y = (row.summary(metric, name) for name in ('ACC', 'unseen'))
    axes.errorbar(
      x.mean(),
      y.mean(),
      xerr=_spread(x),
      yerr=_spread(y),
      marker='osD^vP*X'[number % 8],
      color=styles[row.name]['color'],
      linestyle='',
      elinewidth=0.8,
      label=figures.plain(row.name),
    )
  axes.set_xlabel(f'ACC ({figures.plain(metric)})')
  axes.set_ylabel(f'unseen ({figures.plain(metric)})')
  figures.tidy(axes)
  figure.legend(loc='outside right upper', frameon=False, fontsize=9)
  return figure


def ablation(
  rows: Sequence[comparison.Row], field: str, metric: str
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
  axes.set_xlabel(figures.plain(f'{rows[0].method}: {field}'))
  axes.set_ylabel(figures.plain(metric))
  figures.tidy(axes)
  axes.legend(frameon=False, fontsize=9)
  return figure


def _mean_scores(
  rows: Sequence[comparison.Row], metric: str
) -> dict[str, figures.Scores]:
  """Row -> mean R of the order that most runs of all rows have."""
  orders = collections.Counter(
    order for row in rows for order, _ in map(comparison.cell, row.runs)
  )
  ((wanted, _),) = orders.most_common(1)
  tables = {}
  for row in rows:
    scores = [
      run.scores[metric]
      for run in row.runs
      if comparison.cell(run)[0] == wanted
    ]
    if scores:
      mean = np.mean([one.matrix for one in scores], axis=0)
      tables[row.name] = scores[0]._replace(matrix=mean)
  return tables


def _value(row: comparison.Row, field: str):
  return comparison.flatten(row.runs[0].config).get(field)


def _nanmean(values: np.ndarray) -> float:
  known = values[~np.isnan(values)]
  return float(known.mean()) if known.size else np.nan


def _spread(values: np.ndarray) -> float:
  return float(values.std(ddof=1)) if values.size > 1 else 0.0


def _short(value: float) -> str:
  text = f'{value:.2f}'
  return text.removeprefix('0') if abs(value) < 1 else f'{value:.3g}'
