"""What was logged while a run was trained, on one axis of steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import axes as mpl_axes
from matplotlib import figure as mpl_figure
import numpy as np

from common import figures

CAPTION = (
  'Training: logged steps, pale, and their running mean within a stage. '
  'Vertical lines part the stages.'
)

# A panel per first part of a name; any other '.../loss/total' goes to the top.
_TOTAL = 'total loss'
_GROUPS = {
  'loss': 'loss terms',
  'generator': 'generator',
  'cosine': 'cosine of gradients',
  'inner_product': 'inner product',
  'norm': 'norms',
}
_LINES = ('-', '--', '-.', ':')

Series = Mapping[str, tuple[np.ndarray, np.ndarray]]


def draw(log: Sequence[Mapping[str, Any]]) -> mpl_figure.Figure | None:
  """Panels of the lines of metrics.jsonl; None if there is nothing to show."""
  shown = ('train', 'generator')
  lines = [line for line in log if line.get('split', 'train') in shown]
  panels = _panels(lines)
  if not panels:
    return None
  stages = _stages(lines)
  figure = mpl_figure.Figure(
    figsize=(8.2, 0.8 + 2.1 * len(panels)), layout='constrained'
  )
  rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
  for axes, (title, series) in zip(rows, panels.items(), strict=True):
    _draw_panel(axes, series, [start for start, _ in stages])
    axes.set_ylabel(title)
  _name_stages(rows[0], stages)
  rows[-1].set_xlabel('step')
  return figure


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
  """Mean over the last `window` values, nan left out; (n,) -> (n,)."""
  known = np.isfinite(values)
  sums = np.cumsum(np.where(known, values, 0.0))
  counts = np.cumsum(known)
  sums[window:] = sums[window:] - sums[:-window]
  counts[window:] = counts[window:] - counts[:-window]
  return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _panels(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict]:
  panels: dict[str, dict] = {}
  for name in dict.fromkeys(name for line in lines for name in line):
    first = name.split('/')[0]
    group = _GROUPS.get(first, '') if '/' in name else ''
    if name.endswith('loss/total') and first != 'generator':
      group = _TOTAL
    if group:
      panels.setdefault(group, {})[name] = _values(lines, name)
  order = (_TOTAL, *_GROUPS.values())
  return {group: panels[group] for group in order if group in panels}


def _values(
  lines: Sequence[Mapping[str, Any]], name: str
) -> tuple[np.ndarray, np.ndarray]:
  """Steps and values; nan where a line has null or something else."""
  points = [(line['step'], line[name]) for line in lines if name in line]
  return np.array([float(step) for step, _ in points]), np.array(
    [float(v) if isinstance(v, (int, float)) else np.nan for _, v in points]
  )


def _stages(lines: Sequence[Mapping[str, Any]]) -> list[tuple[float, str]]:
  """First step and site of each stage."""
  starts: dict[int, tuple[float, str]] = {}
  for line in lines:
    starts.setdefault(line['stage'], (line['step'], line['site']))
  return [starts[stage] for stage in sorted(starts)]


def _draw_panel(
  axes: mpl_axes.Axes, series: Series, starts: Sequence[float]
) -> None:
  for number, (name, (steps, values)) in enumerate(series.items()):
    color = figures.PALETTE[number % len(figures.PALETTE)]
    style = _LINES[(number // len(figures.PALETTE)) % len(_LINES)]
    cuts = np.searchsorted(steps, starts[1:])
    window = max(1, len(values) // 80)
    for x, y in zip(np.split(steps, cuts), np.split(values, cuts), strict=True):
      if window > 1:
        axes.plot(x, y, color=color, alpha=0.25, linewidth=0.6)
      axes.plot(
        x,
        running_mean(y, window),
        color=color,
        linestyle=style,
        marker='o' if len(x) < 3 else '',
      )
    axes.plot([], [], color=color, linestyle=style, label=figures.plain(name))
  for start in starts[1:]:
    axes.axvline(start, color='#BBBBBB', linewidth=0.8)
  _set_scale(axes, np.concatenate([y for _, y in series.values()]))
  axes.legend(
    loc='center left', bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8
  )
  figures.tidy(axes)


def _set_scale(axes: mpl_axes.Axes, values: np.ndarray) -> None:
  """Logarithmic where a few values would press the others to a line."""
  values = values[np.isfinite(values)]
  sizes = np.abs(values[values != 0])
  if not sizes.size:
    return
  if values.min() > 0 and sizes.max() > 30 * sizes.min():
    axes.set_yscale('log')
  elif sizes.max() > 30 * np.median(sizes):
    # A power of ten, so that no tick stands between it and zero.
    linear = 10.0 ** np.round(np.log10(np.median(sizes)))
    axes.set_yscale('symlog', linthresh=linear)
    if values.min() >= 0:
      axes.set_ylim(bottom=0)


def _name_stages(
  axes: mpl_axes.Axes, stages: Sequence[tuple[float, str]]
) -> None:
  for start, name in stages:
    axes.annotate(
      figures.plain(name),
      (start, 1),
      xycoords=axes.get_xaxis_transform(),
      xytext=(3, 4),
      textcoords='offset points',
      fontsize=8,
      color='#444444',
      annotation_clip=False,
    )
