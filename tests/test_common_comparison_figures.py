"""Figures of a comparison: which runs they show, and what they leave out."""

import json
import shutil

import numpy as np
import pytest

from common import (
  comparison,
  comparison_figures,
  comparison_pictures,
  comparison_scores,
  comparison_style,
  comparison_training,
  grouping,
)
from tests import run_folders


@pytest.fixture
def sweep(tmp_path):
  return run_folders.write_sweep(tmp_path / 'sweep')


def test_no_network_of_independent_is_drawn_on_unseen_sites(sweep):
  run_folders.write(sweep / 'independent', 'independent', score=0.9)
  (study,), _ = grouping.find([sweep])
  rows = study.main_rows
  place = next(i for i, row in enumerate(rows) if row.method == 'independent')
  heat = comparison_scores.matrices(rows, 'dice').axes[place].images[0]
  shown = np.ma.filled(heat.get_array(), np.nan)
  np.testing.assert_array_equal(np.isnan(shown), [[False, False, True]] * 2)
  cases = comparison.case_scores(rows[place], 'dice', ('a', 'b', 'new'))
  assert {site for site, _ in cases} == {'a', 'b'}


def test_an_ablation_is_drawn_of_the_runs_that_all_have(sweep):
  """alpha .0 has another, better seed, and .2 has not."""
  run_folders.write(sweep / 'more', 'smg', alpha=0.0, seed=2, score=0.9)
  (study,), _ = grouping.find([sweep])
  drawn = {name: rest for name, *rest in comparison_figures.draw_all(study)}
  figure, caption = drawn['ablation_dice_smg_rule.alpha']
  means = np.array(figure.axes[0].lines[0].get_ydata(), float)
  np.testing.assert_allclose(means, [0.7, 0.75, 0.7])
  assert 'that all have, 1' in caption


def test_pictures_are_of_one_run_and_say_which_are_missing(sweep):
  """All have order b, a; the picture of another order is not taken."""
  for path in sweep.glob('er-0-*'):
    shutil.rmtree(path)
  for method in ('smg', 'er', 'sequential'):
    run_folders.add_picture(sweep / f'{method}-1-0', 'pair_lung.png')
  (sweep / 'sequential-1-0/figures/pair_lung.png').unlink()
  run_folders.add_picture(sweep / 'smg-1-0', 'gallery_stage9.png')
  run_folders.add_picture(sweep / 'smg-1-0', 'gallery_stage10.png', width=70)
  (study,), _ = grouping.find([sweep])
  drawn = {
    name: rest for name, *rest in comparison_pictures.stack(study.main_rows)
  }
  assert set(drawn) == {'pair_lung', 'gallery_smg'}
  figure, caption = drawn['pair_lung']
  assert {axes.get_title(loc='left') for axes in figure.axes} == {'er', 'smg'}
  assert caption.endswith('No picture: sequential.')
  image = drawn['gallery_smg'][0].axes[0].images[0].get_array()
  assert image.shape[1] == 70


def test_a_run_without_a_log_takes_no_curve_away(sweep):
  (sweep / 'smg-0-0' / 'metrics.jsonl').write_text('')
  (study,), _ = grouping.find([sweep])
  drawn = {name: rest for name, *rest in comparison_figures.draw_all(study)}
  lines = drawn['cosine_orientational'][0].axes[0].lines
  assert [len(line.get_xdata()) for line in lines].count(8) == 2
  ticks = drawn['cosine_orientational'][0].axes[0].get_xticklabels()
  assert [tick.get_text() for tick in ticks] == ['stage 2', 'stage 3']


def _learnt(sweep):
  """Line of er over the stages, and the lengths of its bars."""
  (study,), _ = grouping.find([sweep])
  rows = [row for row in study.main_rows if row.method == 'er']
  figure = comparison_scores.learnt_so_far(
    rows, 'dice', {'er': comparison_style.style(0)}
  )
  bars = figure.axes[0].collections[0].get_segments()
  return figure.axes[0].lines[0], [np.ptp(bar[:, 1]) for bar in bars]


def test_learnt_so_far_is_the_mean_of_what_was_trained_on(sweep):
  line, spreads = _learnt(sweep)
  # After stage 1 the first site has score - .25, then both have score.
  np.testing.assert_allclose(line.get_ydata(), [0.385, 0.635])
  # Seeds of either order have .625, .635 and .645 in the end.
  np.testing.assert_allclose(spreads[1], 2 * 0.01)


def test_spread_is_that_of_seeds_and_not_of_orders(sweep):
  """Another order that is .2 better throughout leaves the bars as they are."""
  for seed in range(3):
    path = sweep / f'er-1-{seed}' / 'results.json'
    results = json.loads(path.read_text())
    matrix = np.array(results['metrics']['dice']['matrix']) + 0.2
    results['metrics']['dice']['matrix'] = matrix.tolist()
    path.write_text(json.dumps(results))
  line, spreads = _learnt(sweep)
  np.testing.assert_allclose(line.get_ydata(), [0.485, 0.735])
  np.testing.assert_allclose(spreads[1], 2 * 0.01)


def test_a_site_without_a_score_is_no_column(sweep):
  for path in sweep.rglob('results.json'):
    results = json.loads(path.read_text())
    place = results['stream'].index('b')
    for row in results['metrics']['dice']['matrix']:
      row[place] = None
    path.write_text(json.dumps(results))
  (study,), _ = grouping.find([sweep])
  figure = comparison_scores.matrices(study.main_rows, 'dice')
  names = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
  assert names == ['a', 'new']
  assert figure.axes[0].images[0].get_array().shape == (2, 2)


def test_the_start_is_drawn_where_a_method_ends_below_it(sweep):
  (study,), _ = grouping.find([sweep])
  assert 'untrained' not in _legend(study)
  run_folders.write(sweep / 'bad', 'lwf', score=-0.25)
  (study,), _ = grouping.find([sweep / 'bad'])
  assert _legend(study)[-1] == 'untrained'


def _legend(study):
  """Names in the plot of ACC against unseen."""
  drawn = {
    name: figure for name, figure, _ in comparison_figures.draw_all(study)
  }
  (legend,) = drawn['trade_off_dice'].legends
  return [text.get_text() for text in legend.get_texts()]


def test_what_no_run_measured_has_no_panel(sweep):
  (study,), _ = grouping.find([sweep])
  rows = study.main_rows
  styles = {row.name: comparison_style.style(0) for row in rows}
  labels = []
  for row in rows:
    for run in row.runs:
      run.results.update(step_s=None, wall_s=90.0)
  for _, figure, _ in comparison_training.costs(rows, styles):
    labels += [axes.get_xlabel() for axes in figure.axes]
  assert labels == ['minutes of a run', 'peak memory, GiB']


def test_more_methods_than_colours_are_told_apart():
  styles = [tuple(comparison_style.style(i).items()) for i in range(20)]
  assert len(set(styles)) == 20
