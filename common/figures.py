"""Plots of a stream run. Each function returns a figure; `save` writes it.

Colours are those of Okabe & Ito (2008) and the map cividis, which readers with
any colour vision and grey paper tell apart; bright is always the better score.
"""

from collections.abc import Sequence
import io
import pathlib

from matplotlib import axes as mpl_axes
from matplotlib import cm, colors, patches
from matplotlib import figure as mpl_figure
import numpy as np

from common import files
from common import scores as scores_lib

PALETTE = (
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#56B4E9',
  '#E69F00',
  '#000000',
)
GREY = '#8A8A8A'
_MARKERS = 'osD^vP*'


def plain(text: str) -> str:
  """Text that matplotlib does not take for a formula."""
  return text.replace('$', r'\$')


def save(
  figure: mpl_figure.Figure, path: pathlib.Path, caption: str = ''
) -> None:
  """Writes a PNG that is whole or absent, with the caption as `Description`.

  Raises:
    InputError: the file cannot be written.
  """
  content = io.BytesIO()
  notes = {'Software': None} | ({'Description': caption} if caption else {})
  # Tight: a constrained layout may leave long or tilted labels outside.
  figure.savefig(
    content, format='png', dpi=150, metadata=notes, bbox_inches='tight'
  )
  files.write_bytes(path, content.getvalue())


def draw_contours(axes: mpl_axes.Axes, label: np.ndarray, style: str) -> None:
  """Outlines of the values above 0 of a label (rows, columns), one colour each.

  Wider ones first, so that one within another stays in view. `style` is that
  of a line; any but 'solid' is drawn thinner.
  """
  rows, columns = label.shape

  def width(value: int) -> int:
    return np.ptp(np.nonzero(label == value)[1])

  for value in sorted(np.unique(label[label > 0]), key=width, reverse=True):
    axes.contour(
      np.arange(-1, columns + 1),
      np.arange(-1, rows + 1),
      np.pad(label == value, 1).astype(np.float64),
      levels=[0.5],
      colors=[PALETTE[int(value - 1) % (len(PALETTE) - 1)]],
      linewidths=1.1 if style == 'solid' else 0.8,
      linestyles=style,
    )


def heat_map(scores: scores_lib.Scores) -> mpl_figure.Figure:
  """R with a number in every cell, the untrained row on top.

  The frame marks the site just trained on; a gap parts the unseen sites.
  """
  table = np.vstack([scores.untrained, scores.matrix])
  num_rows, num_sites = table.shape
  figure = mpl_figure.Figure(
    figsize=(2.6 + 1.12 * num_sites, 1.5 + 0.48 * num_rows),
    layout='constrained',
  )
  axes = figure.add_subplot()
  shades = cm.ScalarMappable(
    colors.Normalize(*_limits(table)),
    'cividis' if scores.higher_is_better else 'cividis_r',
  )
  left = [i + 0.25 * (i >= scores.num_stream) for i in range(num_sites)]
  for row, column in np.ndindex(*table.shape):
    _cell(axes, left[column], row, table[row, column], shades)
  for stage in range(min(len(scores.matrix), scores.num_stream)):
    axes.add_patch(
      patches.Rectangle(
        (left[stage] + 0.04, stage + 1.04),
        0.92,
        0.92,
        fill=False,
        edgecolor='#D55E00',
        linewidth=2,
      )
    )
  axes.set(xlim=(0, left[-1] + 1), ylim=(num_rows, 0))
  names = _site_names(scores)
  axes.set_xticks([x + 0.5 for x in left], names, rotation=_tilt(names))
  axes.set_yticks(np.arange(num_rows) + 0.5, _row_names(scores))
  axes.tick_params(length=0)
  axes.spines[:].set_visible(False)
  figure.colorbar(shades, ax=axes, label=plain(scores.axis_label), aspect=12)
  return figure


def stage_curves(scores: scores_lib.Scores) -> mpl_figure.Figure:
  """The score of every site over the stages; a ring where it was trained on."""
  figure = mpl_figure.Figure(
    figsize=(7.6, max(3.2, 1.2 + 0.3 * len(scores.sites))),
    layout='constrained',
  )
  axes = figure.add_subplot()
  table = np.vstack([scores.untrained, scores.matrix])
  for site, name in enumerate(_site_names(scores)):
    if np.isnan(table[:, site]).all():
      continue
    unseen = site >= scores.num_stream
    axes.plot(
      table[:, site],
      color=GREY if unseen else PALETTE[site % len(PALETTE)],
      linestyle='--' if unseen else '-',
      marker=_MARKERS[site % len(_MARKERS)],
      markersize=4.5,
      label=name.replace('\n', ' '),
    )
    if not unseen and site + 1 < len(table):
      axes.plot(
        site + 1,
        table[site + 1, site],
        'o',
        markersize=13,
        markerfacecolor='none',
        markeredgecolor=PALETTE[site % len(PALETTE)],
      )
  names = [name.replace('after ', 'after\n') for name in _row_names(scores)]
  axes.set_xticks(range(len(table)), names, rotation=_tilt(names))
  axes.set_xlim(-0.3, len(table) - 0.7)
  axes.set_ylabel(plain(scores.axis_label))
  _start_at_zero(axes, table)
  tidy(axes)
  figure.legend(loc='outside right upper', frameon=False, fontsize=9)
  return figure


def case_boxes(
  scores: scores_lib.Scores,
  before: Sequence[np.ndarray],
  after: Sequence[np.ndarray],
) -> mpl_figure.Figure:
  """Every case as a point, boxes from five cases on, the median as a bar.

  `before` and `after` hold, for each site, one score per case of the untrained
  network and after the last stage. A site without any is not shown.
  """
  groups = zip(before, after, strict=True)
  shown = [site for site, pair in enumerate(groups) if any(map(len, pair))]
  num_sites = len(shown)
  num_stream = sum(site < scores.num_stream for site in shown)
  figure = mpl_figure.Figure(
    figsize=(max(5.0, 2.2 + 1.2 * num_sites), 3.6), layout='constrained'
  )
  axes = figure.add_subplot()
  for shift, groups, color, label in (
    (-0.2, before, GREY, 'untrained'),
    (0.2, after, PALETTE[0], 'after the last stage'),
  ):
    for place, site in enumerate(shown):
      _box(axes, place + shift, np.asarray(groups[site]), color)
    axes.plot([], [], 'o', color=color, label=label)
  if num_sites > num_stream:
    axes.axvline(num_stream - 0.5, color='#BBBBBB', linewidth=0.8)
  names = [_site_names(scores)[site] for site in shown]
  axes.set_xticks(range(num_sites), names, rotation=_tilt(names))
  axes.set_xlim(-0.6, num_sites - 0.4)
  axes.set_ylabel(plain(scores.axis_label))
  _start_at_zero(axes, np.concatenate([*before, *after]))
  tidy(axes)
  figure.legend(loc='outside upper center', ncols=2, frameon=False)
  return figure


def _cell(
  axes: mpl_axes.Axes,
  x: float,
  y: float,
  value: float,
  shades: cm.ScalarMappable,
) -> None:
  missing = np.isnan(value)
  face = '#EEEEEE' if missing else shades.to_rgba(value)
  axes.add_patch(
    patches.Rectangle((x, y), 1, 1, facecolor=face, edgecolor='white')
  )
  light = missing or np.dot(face[:3], (0.299, 0.587, 0.114)) > 0.5
  axes.text(
    x + 0.5,
    y + 0.5,
    '\N{EN DASH}' if missing else number(value),
    ha='center',
    va='center',
    fontsize=9,
    color='black' if light else 'white',
  )


def _box(axes: mpl_axes.Axes, x: float, values: np.ndarray, color: str) -> None:
  values = values[~np.isnan(values)]
  if not values.size:
    return
  if values.size >= 5:
    axes.boxplot(
      values,
      positions=[x],
      widths=0.34,
      showfliers=False,
      manage_ticks=False,
      patch_artist=True,
      boxprops={'facecolor': color, 'alpha': 0.25, 'edgecolor': color},
      medianprops={'linewidth': 0},
      whiskerprops={'color': color},
      capprops={'color': color},
    )
  # Neighbours in value are set apart, the same way on every run.
  order = np.argsort(np.argsort(values, kind='stable'))
  shift = 0.12 * np.sin(2.4 * order) * (values.size > 1)
  axes.plot(x + shift, values, 'o', color=color, markersize=3.5, alpha=0.75)
  axes.hlines(np.median(values), x - 0.17, x + 0.17, color='black', zorder=3)


def number(value: float) -> str:
  """Three decimals below 10, two above."""
  return f'{value:.3f}' if abs(value) < 10 else f'{value:.2f}'


def _limits(table: np.ndarray) -> tuple[float, float]:
  known = table[np.isfinite(table)]
  if not known.size:
    return 0.0, 1.0
  low, high = float(known.min()), float(known.max())
  return (low, high) if high > low else (low, low + 1)


def _start_at_zero(axes: mpl_axes.Axes, values: np.ndarray) -> None:
  """No room for values below zero where there are none."""
  bottom, top = axes.get_ylim()
  if bottom < 0 <= np.nanmin(values, initial=np.inf):
    axes.set_ylim(bottom=-0.03 * top)


def _site_names(scores: scores_lib.Scores) -> list[str]:
  return [
    plain(name) + ('\n(unseen)' if i >= scores.num_stream else '')
    for i, name in enumerate(scores.sites)
  ]


def _row_names(scores: scores_lib.Scores) -> list[str]:
  """Stage t follows the t-th site; a lone row followed all of them."""
  seen = [plain(name) for name in scores.sites[: scores.num_stream]]
  if len(scores.matrix) != scores.num_stream:
    return ['untrained', *(['trained'] * len(scores.matrix))]
  return ['untrained', *(f'after {name}' for name in seen)]


def _tilt(names: Sequence[str]) -> float:
  longest = max(len(line) for name in names for line in name.split('\n'))
  return 0 if longest <= 11 else 25


def tidy(axes: mpl_axes.Axes) -> None:
  """Pale lines behind the data, no box around it."""
  axes.grid(axis='y', color='#E4E4E4', linewidth=0.7)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
