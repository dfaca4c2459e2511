"""What methods log and cost while they learn, beside each other."""

import collections
from collections.abc import Iterator, Sequence

from matplotlib import figure as mpl_figure
import numpy as np

from common import figures, run_files, training_figure
from common.comparison import study as study_lib
from common.comparison import style as style_lib

_COSINES = {
  'cosine/orientational': 'incoming and replayed cases',
  'cosine/arbitrary': 'pseudo-domains',
}


def cosines(
  rows: Sequence[study_lib.Row], styles: style_lib.Styles
) -> Iterator[style_lib.Drawn]:
  """Of the gradients that an alignment asks to agree."""
  for name, between in _COSINES.items():
    logged = [
      row.only({study_lib.cell(run) for run in row.runs if _logged(run, name)})
      for row in rows
    ]
    have = [row for row in logged if row.runs]
    if not have:
      continue
    yield (
      name.replace('/', '_'),
      _logged_curves(have, name, styles),
      f'Cosine of the gradients of {between} within every stage: mean over '
      'runs that have logged it, running mean over a quarter of the stage.',
    )


def _logged_curves(
  rows: Sequence[study_lib.Row], name: str, styles: style_lib.Styles
) -> mpl_figure.Figure:
  figure = mpl_figure.Figure(figsize=(7.2, 3.0), layout='constrained')
  axes = figure.add_subplot()
  drawn = set()
  for row in rows:
    line = styles[row.name] | {'marker': ''}
    by_run = [_logged(run, name) for run in row.runs]
    for stage in sorted(set.intersection(*map(set, by_run))):
      # Steps of the stage that all runs have logged.
      steps = sorted(set.intersection(*(set(run[stage]) for run in by_run)))
      if not steps:
        continue
      drawn.add(stage)
      mean = [np.mean([run[stage][step] for run in by_run]) for step in steps]
      axes.plot(
        stage + np.array(steps) / (1.02 * max(1, steps[-1])),
        training_figure.running_mean(np.array(mean), max(1, len(steps) // 4)),
        **line,
      )
    axes.plot([], [], label=style_lib.label(row.name), **line)
  axes.axhline(0, color='#888888', linewidth=0.7)
  axes.set_xlabel('within each stage')
  axes.set_ylabel('cosine')
  drawn = sorted(drawn)
  axes.set_xticks(drawn, [f'stage {stage}' for stage in drawn])
  figures.tidy(axes)
  figure.legend(loc='outside right upper', frameon=False, fontsize=9)
  return figure


def costs(
  rows: Sequence[study_lib.Row], styles: style_lib.Styles
) -> Iterator[style_lib.Drawn]:
  """Time of a step, and memory."""
  names = {
    'step_s': 'seconds of a step',
    'minutes': 'minutes of a run',
    'peak_gib': 'peak memory, GiB',
  }
  devices = {row.name: _usual_device(row) for row in rows}
  found = {
    field: {
      row.name: [
        value
        for run in row.runs
        if _device(run) == devices[row.name] and (value := _cost(run, field))
      ]
      for row in rows
    }
    for field in names
  }
  known = [field for field in names if any(found[field].values())]
  if not known:
    return
  numbers = {
    name: number for number, name in enumerate(sorted({*devices.values()}), 1)
  }
  figure = mpl_figure.Figure(
    figsize=(8.6, 1.0 + 0.28 * len(rows)), layout='constrained'
  )
  panels = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
  for axes, field in zip(panels, known, strict=True):
    for place, row in enumerate(rows):
      if values := found[field][row.name]:
        value = float(np.median(values))
        axes.barh(place, value, color=styles[row.name]['color'], height=0.7)
        axes.text(value, place, f' {value:.3g}', va='center', fontsize=8)
    axes.set_xlabel(names[field])
    axes.margins(x=0.22)
    axes.spines[['top', 'right']].set_visible(False)
  labels = [style_lib.label(row.name) for row in rows]
  said = '; '.join(numbers)
  if len(numbers) > 1:
    labels = [
      f'{label} [{numbers[devices[row.name]]}]'
      for label, row in zip(labels, rows, strict=True)
    ]
    said = '; '.join(f'[{i}] {name}' for name, i in numbers.items())
    said += ': times of different ones say nothing of the methods'
  panels[0].set_yticks(range(len(rows)), labels)
  panels[0].invert_yaxis()
  yield (
    'costs',
    figure,
    'What a step of each method takes between logged ones of the last stage; a '
    'whole run with its scoring and, where there is one, its generator; and '
    'the most memory that it held, on a CPU that of the whole process, with '
    'compiling and scoring. Medians over runs, of a method on several '
    'devices over those on its commonest; runs that shared a machine slowed '
    f'each other. Device: {said}.',
  )


def _device(run: run_files.Run) -> str:
  return run.results.get('device') or 'unknown'


def _usual_device(row: study_lib.Row) -> str:
  ((name, _),) = collections.Counter(map(_device, row.runs)).most_common(1)
  return name


def _cost(run: run_files.Run, field: str) -> float | None:
  if field == 'minutes':
    return (run.results.get('wall_s') or 0) / 60
  return run.results.get(field)


def _logged(run: run_files.Run, name: str) -> dict[int, dict[int, float]]:
  """Stage -> step within it -> value."""
  found: dict[int, dict[int, float]] = {}
  first: dict[int, int] = {}
  for line in run.log:
    if line.get(name) is not None:
      start = first.setdefault(line['stage'], line['step'])
      stage = found.setdefault(line['stage'], {})
      stage[line['step'] - start] = line[name]
  return found
