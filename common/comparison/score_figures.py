"""Plots of many runs: R, its course over the stages, and every case."""

import collections
from collections.abc import Callable, Sequence

from matplotlib import axes as axes_lib
from matplotlib import figure as mpl_figure
import numpy as np

from common import figures, run_files
from common import scores as scores_lib
from common.comparison import study as study_lib
from common.comparison import style as style_lib

# (run, metric) -> a value for each stage, (T,).
_Measure = Callable[[run_files.Run, str], np.ndarray]


def of_usual_order(
  rows: Sequence[study_lib.Row],
) -> tuple[list[study_lib.Row], str]:
  """Rows cut to the order that most runs have, and what to say of that."""
  orders = collections.Counter(
    order for row in rows for order, _ in map(study_lib.cell, row.runs)
  )
  ((wanted, _),) = orders.most_common(1)
  cut = [row.only({x for x in row.cells if x[0] == wanted}) for row in rows]
  said = f' In the order {", ".join(wanted)}.' if len(orders) > 1 else ''
  if others := [row.name for row in cut if not row.runs]:
    said += f' Of other orders, not shown: {", ".join(others)}.'
  return [row for row in cut if row.runs], said


def matrices(rows: Sequence[study_lib.Row], metric: str) -> mpl_figure.Figure:
  """A small heat map of the mean R of each row, whose runs have one order."""
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
    axes.set_title(style_lib.label(name), fontsize=9)
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
  figure.colorbar(
    shades, ax=panels, label=figures.plain(any_scores.axis_label), aspect=30
  )
  return figure


def _learnt(run: run_files.Run, metric: str) -> np.ndarray:
  """Mean score of the sites learnt by the end of each stage, (T,)."""
  table = run.scores[metric].matrix
  return np.array([_nanmean(table[t, : t + 1]) for t in range(len(table))])


def _changed(run: run_files.Run, metric: str) -> np.ndarray:
  """BWT so far: mean change of earlier sites since their own stage, (T,)."""
  scores = run.scores[metric]
  own = np.diag(scores.matrix)
  sign = 1 if scores.higher_is_better else -1
  since = sign * (scores.matrix[:, : len(own)] - own[None])
  return np.array([_nanmean(since[t, :t]) for t in range(len(since))])


def scored_stages(
  rows: Sequence[study_lib.Row], metric: str, measure: _Measure = _learnt
) -> np.ndarray:
  """(T,), whether every run has a value of the measure after the stage."""
  found = [[measure(run, metric) for run in row.runs] for row in rows]
  return np.isfinite(found).all(axis=(0, 1))


def course(
  rows: Sequence[study_lib.Row], metric: str, styles: style_lib.Styles
) -> mpl_figure.Figure:
  """Over the stages: mean score of the sites learnt so far, and its change.

  A stage is left out where a run has no score yet, for another order would be
  all that is left there. Spreads are those of the runs of an order, for what
  another order has learnt by then is something else; bars, side by side: bands
  of a dozen methods hide each other.
  """
  scores = rows[0].runs[0].scores[metric]
  panels = [(_learnt, 'sites learnt so far', scores.axis_label, rows)]
  lasting = [row for row in rows if row.summary(metric, 'BWT').size]
  if lasting and scored_stages(lasting, metric, _changed).any():
    title = 'earlier sites, since each was learnt'
    label = f'change: {scores.summary_label}'
    panels.append((_changed, title, label, lasting))
  figure = mpl_figure.Figure(
    figsize=(2.6 + 4.2 * len(panels), 4.0), layout='constrained'
  )
  places = figure.subplots(1, len(panels), squeeze=False)[0]
  for axes, (measure, title, label, shown) in zip(places, panels, strict=True):
    _curves(axes, shown, metric, styles, measure)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(figures.plain(label))
    if measure is _changed:
      axes.axhline(0, color='#888888', linewidth=0.7)
  figure.legend(
    *places[0].get_legend_handles_labels(),
    loc='outside right upper',
    frameon=False,
    fontsize=9,
  )
  return figure


def _curves(
  axes: axes_lib.Axes,
  rows: Sequence[study_lib.Row],
  metric: str,
  styles: style_lib.Styles,
  measure: _Measure,
) -> None:
  """Mean of a measure over runs at the stages that all have, and its spread."""
  known = scored_stages(rows, metric, measure)
  shifts = np.linspace(-0.2, 0.2, len(rows)) if len(rows) > 1 else [0.0]
  stages = 1 + np.flatnonzero(known)
  for row, shift in zip(rows, shifts, strict=True):
    by_order = [
      np.array([measure(run, metric)[known] for run in runs])
      for _, runs in study_lib.group(
        row.runs, lambda run: study_lib.cell(run)[0]
      )
    ]
    axes.errorbar(
      stages + shift,
      np.concatenate(by_order).mean(axis=0),
      study_lib.spread_within(by_order),
      markersize=4,
      elinewidth=0.8,
      label=style_lib.label(row.name),
      **styles[row.name],
    )
  axes.set_xticks(stages)
  axes.set_xlabel('stage')
  figures.tidy(axes)


def violins(
  rows: Sequence[study_lib.Row], metric: str, styles: style_lib.Styles
) -> mpl_figure.Figure:
  """Every case of every site, a violin for each row."""
  scores = rows[0].runs[0].scores[metric]
  sites = scores.site_names
  found = {row.name: study_lib.case_scores(row, metric, sites) for row in rows}
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
  names = [style_lib.label(row.name) for row in rows]
  panels[0].set_yticks(range(len(rows)), names)
  panels[0].invert_yaxis()
  figure.supxlabel(figures.plain(scores.axis_label), fontsize=9)
  return figure


def _mean_scores(
  rows: Sequence[study_lib.Row], metric: str
) -> dict[str, scores_lib.Scores]:
  """Row -> mean R."""
  tables = {}
  for row in rows:
    scores = [run.scores[metric] for run in row.runs]
    mean = np.mean([one.matrix for one in scores], axis=0)
    mean[:, [not row.is_for(site) for site in scores[0].sites]] = np.nan
    tables[row.name] = scores[0]._replace(matrix=mean)
  scored = np.any([~np.isnan(s.matrix).all(axis=0) for s in tables.values()], 0)
  return {name: one.only(scored) for name, one in tables.items()}


def _nanmean(values: np.ndarray) -> float:
  known = values[~np.isnan(values)]
  return float(known.mean()) if known.size else np.nan


def _short(value: float) -> str:
  if abs(value) < 1:
    return f'{value:.2f}'.replace('0.', '.')
  return f'{value:.2f}' if abs(value) < 10 else f'{value:.1f}'
