"""Plots of many runs: methods beside each other, mean and spread over runs.

A method has the same colour, line and marker in all figures of a study.
"""

from collections.abc import Iterator, Sequence

from common.comparison import (
  pictures,
  score_figures,
  summary_figures,
  training_figures,
)
from common.comparison import study as study_lib
from common.comparison import style as style_lib


def draw_all(study: study_lib.Study) -> Iterator[style_lib.Drawn]:
  """(name, figure, caption) of all that the runs of a study have files for."""
  rows = study.best_first(study.main_rows)
  styles = {
    row.name: style_lib.style(i)
    for i, row in enumerate([*rows, study.untrained])
  }
  for metric in study.metrics:
    yield from _of_metric(study, rows, styles, metric)
  yield from training_figures.cosines(rows, styles)
  yield from training_figures.costs(rows, styles)
  yield from pictures.stack(rows)


def _of_metric(
  study: study_lib.Study,
  rows: Sequence[study_lib.Row],
  styles: style_lib.Styles,
  metric: str,
) -> Iterator[style_lib.Drawn]:
  have = [row for row in rows if row.summary(metric, 'ACC').size]
  if not have:
    return
  ordered, said = score_figures.of_usual_order(have)
  yield (
    f'matrices_{metric}',
    score_figures.matrices(ordered, metric),
    f'{metric}: every site (column) after every stage (row), mean over runs; '
    f'bright is better.{said}',
  )
  have, others = study_lib.alike(have)
  start = _reached(study.untrained, have, metric)
  # The stages of joint see all sites alike.
  learning = [row for row in have if row.method != 'joint']
  if learning:
    scored = score_figures.scored_stages(learning, metric)
    left_out = ', '.join(str(t) for t, has in enumerate(scored, 1) if not has)
    said = f' Not scored in some order, left out: stage {left_out}.'
    yield (
      f'learnt_{metric}',
      score_figures.course(learning, metric, styles),
      f'{metric} after every stage: mean over the sites learnt so far, which '
      'falls where they are forgotten or a harder one comes; and, where all '
      'orders have scores for it, how earlier sites have changed since each '
      'was learnt: below 0 is forgetting. Mean over runs, standard deviation '
      f'over those of the same order.{said if left_out else ""}{others}',
    )
  yield (
    f'cases_{metric}',
    score_figures.violins([*have, *start], metric, styles),
    f'{metric} of every case after the last stage, mean over its labels and '
    f'over runs; the bar is the median.{others}',
  )
  both = [row for row in [*have, *start] if row.summary(metric, 'unseen').size]
  if both:
    yield (
      f'trade_off_{metric}',
      summary_figures.trade_off(both, metric, styles),
      f'{metric} of sites that were learnt against that of sites never seen; '
      'bars are standard deviations over runs. Up and right is better.'
      f'{others}',
    )
  for (name, field), variants in study.ablations().items():
    shared = set.intersection(*(row.cells for row in variants))
    if not shared:
      continue
    alike = [row.only(shared) for row in variants]
    drawn = summary_figures.ablation(alike, field, metric)
    if drawn is not None:
      yield (
        f'ablation_{metric}_{name}_{field}',
        drawn,
        f'{metric} of {name} over {field}; mean and standard deviation over '
        f'the orders and seeds that all have, {len(shared)}.',
      )


def _reached(
  start: study_lib.Row, rows: Sequence[study_lib.Row], metric: str
) -> list[study_lib.Row]:
  """The untrained network, where a method ends below it."""
  lowest = min(row.summary(metric, 'ACC').mean() for row in rows)
  return [start] if start.summary(metric, 'ACC').mean() > lowest else []
