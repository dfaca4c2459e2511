"""Figures of a comparison: which runs they show, and what they leave out."""

import json
import re
import shutil

import numpy as np
import pytest

from common import run_files
from common.comparison import (
  all_figures,
  grouping,
  pictures,
  score_figures,
  summary_figures,
  training_figures,
)
from common.comparison import study as study_lib
from common.comparison import style as style_lib
from tests import run_folders

# Score of a case that no other is near.
_FAR_OFF = 9.0


@pytest.fixture
def sweep(tmp_path):
  return run_folders.write_sweep(tmp_path / 'sweep')


def test_no_network_of_independent_is_drawn_on_unseen_sites(sweep):
  run_folders.write(sweep / 'independent', 'independent', score=0.9)
  (study,), _ = grouping.find([sweep])
  rows, _ = score_figures.of_usual_order(study.main_rows)
  place = next(i for i, row in enumerate(rows) if row.method == 'independent')
  heat = score_figures.matrices(rows, 'dice').axes[place].images[0]
  shown = np.ma.filled(heat.get_array(), np.nan)
  np.testing.assert_array_equal(np.isnan(shown), [[False, False, True]] * 2)
  cases = study_lib.case_scores(rows[place], 'dice', ('a', 'b', 'new'))
  assert {site for site, _ in cases} == {'a', 'b'}


def test_a_heat_map_has_the_mean_of_the_runs(tmp_path):
  """Of a score s the rows are s - 1/4, s / 2, s - 1/8, and s throughout."""
  for seed, score in enumerate((0.25, 0.75)):
    run_folders.write(tmp_path / str(seed), seed=seed, score=score)
  (study,), _ = grouping.find([tmp_path])
  heat = score_figures.matrices(study.rows, 'dice').axes[0].images[0]
  np.testing.assert_allclose(
    heat.get_array(), [[0.25, 0.25, 0.375], [0.5, 0.5, 0.5]]
  )


@pytest.mark.parametrize(
  ('higher_is_better', 'shades'), [(True, 'cividis'), (False, 'cividis_r')]
)
def test_bright_is_better(tmp_path, higher_is_better, shades):
  path = run_folders.write(tmp_path / '1') / 'results.json'
  results = json.loads(path.read_text())
  results['metrics']['dice']['higher_is_better'] = higher_is_better
  path.write_text(json.dumps(results))
  (study,), _ = grouping.find([tmp_path])
  heat = score_figures.matrices(study.rows, 'dice').axes[0].images[0]
  assert heat.get_cmap().name == shades


def test_a_violin_for_each_method_and_site(tmp_path):
  """Medians of four cases, of which one is far off; every mark in its row."""
  levels = {'er': (0.25, 0.5, 0.75), 'smg': (0.375, 0.125, 0.625)}
  for method, scores in levels.items():
    run_folders.write(tmp_path / method, method)
    run_folders.rescore(tmp_path / method, [[0.0] * 3, scores])
    path = tmp_path / method / 'per_case.csv'
    path.write_text(
      re.sub(
        '(2,.*,case0,1,dice),.*,',
        lambda line: f'{line[1]},{_FAR_OFF},',
        path.read_text(),
      )
    )
  study, _ = grouping.studies(
    [run_files.load(tmp_path / method) for method in levels]
  )
  rows = sorted(study[0].rows, key=lambda row: row.name)
  styles = {row.name: style_lib.style(i) for i, row in enumerate(rows)}
  figure = score_figures.violins(rows, 'dice', styles)
  names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
  assert names == ['er', 'smg']
  for site, axes in enumerate(figure.axes):
    marks, bars = axes.lines[::2], axes.lines[1::2]
    bodies = [body.get_paths()[0].vertices for body in axes.collections]
    assert [round(np.mean(body[:, 1])) for body in bodies] == [0, 1]
    for place, (mark, bar) in enumerate(zip(marks, bars, strict=True)):
      assert set(mark.get_ydata()) == {place}
      assert max(mark.get_xdata()) == _FAR_OFF
      middle = levels[names[place]][site]
      np.testing.assert_allclose(bar.get_xdata(), [middle] * 2, atol=0.02)
  assert [axes.get_title() for axes in figure.axes] == [
    'a',
    'b',
    'new (unseen)',
  ]


def test_the_trade_off_is_of_what_was_learnt_against_what_was_not(tmp_path):
  """Of a distance, with its sign."""
  folder = run_folders.write(tmp_path / '1')
  results = json.loads((folder / 'results.json').read_text())
  results['metrics']['dice']['higher_is_better'] = False
  (folder / 'results.json').write_text(json.dumps(results))
  run_folders.rescore(folder, [[0.0] * 3, [0.25, 0.5, 2.0]])
  (study,), _ = grouping.find([tmp_path])
  styles = {'er': style_lib.style(0)}
  (axes,) = summary_figures.trade_off(study.rows, 'dice', styles).axes
  assert axes.lines[0].get_xydata().tolist() == [[-0.375, -2.0]]
  assert axes.get_xlabel().startswith('ACC: ')
  assert axes.get_ylabel().startswith('unseen: ')


def test_an_ablation_shows_what_was_learnt_and_what_was_not(tmp_path):
  """Two seeds of each value; ACC is .5 + alpha, unseen .25."""
  for alpha in (0.0, 0.125):
    for seed, shift in enumerate((-0.0625, 0.0625)):
      folder = run_folders.write(
        tmp_path / f'{alpha}-{seed}', 'smg', alpha=alpha, seed=seed
      )
      last = [0.5 + alpha + shift] * 2 + [0.25]
      run_folders.rescore(folder, [[0.0] * 3, last])
  (study,), _ = grouping.find([tmp_path])
  figure = summary_figures.ablation(study.rows, 'rule.alpha', 'dice')
  found = {
    bars.get_label(): [
      (low + high) / 2 for (_, low), (_, high) in bars[2][0].get_segments()
    ]
    for bars in figure.axes[0].containers
  }
  np.testing.assert_allclose(found['ACC'], [0.5, 0.625])
  np.testing.assert_allclose(found['unseen'], [0.25, 0.25])
  acc, unseen = figure.axes[0].containers
  (_, low), (_, high) = acc[2][0].get_segments()[0]
  assert high - low == pytest.approx(2 * np.sqrt(2) * 0.0625)
  np.testing.assert_allclose(np.ptp(unseen[2][0].get_segments()[0][:, 1]), 0)


def test_an_ablation_is_drawn_of_the_runs_that_all_have(sweep):
  """alpha .0 has another, better seed, and .2 has not."""
  run_folders.write(sweep / 'more', 'smg', alpha=0.0, seed=2, score=0.9)
  (study,), _ = grouping.find([sweep])
  drawn = {name: rest for name, *rest in all_figures.draw_all(study)}
  figure, caption = drawn['ablation_dice_smg_rule.alpha']
  means = np.array(figure.axes[0].lines[0].get_ydata(), float)
  np.testing.assert_allclose(means, [0.7, 0.75, 0.7])
  assert 'that all have, 1' in caption
  assert figure.axes[0].get_xlabel() == 'smg: rule.alpha'


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
  drawn = {name: rest for name, *rest in pictures.stack(study.main_rows)}
  assert set(drawn) == {'pair_lung', 'gallery_smg'}
  figure, caption = drawn['pair_lung']
  assert {axes.get_title(loc='left') for axes in figure.axes} == {'er', 'smg'}
  assert caption.endswith('No picture: sequential.')
  image = drawn['gallery_smg'][0].axes[0].images[0].get_array()
  assert image.shape[1] == 70


def test_a_run_without_a_log_takes_no_curve_away(sweep):
  (sweep / 'smg-0-0' / 'metrics.jsonl').write_text('')
  (study,), _ = grouping.find([sweep])
  drawn = {name: rest for name, *rest in all_figures.draw_all(study)}
  lines = drawn['cosine_orientational'][0].axes[0].lines
  assert [len(line.get_xdata()) for line in lines].count(8) == 2
  # 0, .1, .2, ... in a stage; the mean of the last two of eight.
  curve = next(line for line in lines if len(line.get_xdata()) == 8)
  expected = [0.0, *(0.1 * np.arange(7) + 0.05)]
  np.testing.assert_allclose(curve.get_ydata(), expected)
  ticks = drawn['cosine_orientational'][0].axes[0].get_xticklabels()
  assert [tick.get_text() for tick in ticks] == ['stage 2', 'stage 3']


def _matrix(folder):
  results = json.loads((folder / 'results.json').read_text())
  return np.array(results['metrics']['dice']['matrix'])


def _course(sweep):
  """(line, lengths of its bars) of er over the stages: learnt, and changed."""
  (study,), _ = grouping.find([sweep])
  rows = [row for row in study.main_rows if row.method == 'er']
  figure = score_figures.course(rows, 'dice', {'er': style_lib.style(0)})
  for axes in figure.axes:
    bars = axes.collections[0].get_segments() if axes.collections else ()
    yield axes.lines[0], [np.ptp(bar[:, 1]) for bar in bars]


def test_the_course_of_what_was_trained_on(sweep):
  (learnt, spreads), (changed, _) = _course(sweep)
  # After stage 1 the first site has score - .25, then both have score.
  np.testing.assert_allclose(learnt.get_ydata(), [0.385, 0.635])
  # Seeds of either order have .625, .635 and .645 in the end.
  np.testing.assert_allclose(spreads[1], 2 * 0.01)
  assert changed.get_xydata().tolist() == [[2, pytest.approx(0.25)]]


def test_only_what_was_learnt_before_can_change(tmp_path):
  """Of three sites; a distance that grows is forgotten as well."""
  stream = ('a', 'b', 'c')
  path = run_folders.write(tmp_path / 'er', stream=('a', 'b')) / 'results.json'
  results = json.loads(path.read_text()) | {'stream': stream}
  results['metrics']['dice'] |= {
    'higher_is_better': False,
    'untrained': [9.0] * 4,
  }
  path.write_text(json.dumps(results))
  run_folders.rescore(path.parent, [[1, 8, 8, 8], [2, 1, 8, 8], [4, 1.5, 1, 8]])
  _, (changed, _) = _course(tmp_path)
  # 1 - 2; then the mean of 1 - 4 and 1 - 1.5.
  assert changed.get_xydata().tolist() == [[2, -1], [3, -1.75]]


def test_spread_is_that_of_seeds_and_not_of_orders(sweep):
  """Another order that is .2 better throughout leaves the bars as they are."""
  for seed in range(3):
    folder = sweep / f'er-1-{seed}'
    run_folders.rescore(folder, _matrix(folder) + 0.2)
  (line, spreads), _ = _course(sweep)
  np.testing.assert_allclose(line.get_ydata(), [0.485, 0.735])
  np.testing.assert_allclose(spreads[1], 2 * 0.01)


def test_a_site_without_a_score_is_no_column(sweep):
  for path in sweep.rglob('results.json'):
    place = json.loads(path.read_text())['stream'].index('b')
    matrix = _matrix(path.parent)
    matrix[:, place] = np.nan
    run_folders.rescore(path.parent, matrix)
  (study,), _ = grouping.find([sweep])
  rows, _ = score_figures.of_usual_order(study.main_rows)
  figure = score_figures.matrices(rows, 'dice')
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
  drawn = {name: figure for name, figure, _ in all_figures.draw_all(study)}
  (legend,) = drawn['trade_off_dice'].legends
  return [text.get_text() for text in legend.get_texts()]


def test_what_no_run_measured_has_no_panel(sweep):
  (study,), _ = grouping.find([sweep])
  rows = study.main_rows
  styles = {row.name: style_lib.style(0) for row in rows}
  labels = []
  for row in rows:
    for run in row.runs:
      run.results.update(step_s=None, wall_s=90.0)
  for _, figure, _ in training_figures.costs(rows, styles):
    labels += [axes.get_xlabel() for axes in figure.axes]
  assert labels == ['minutes of a run', 'peak memory, GiB']


def test_more_methods_than_colours_are_told_apart():
  styles = [tuple(style_lib.style(i).items()) for i in range(20)]
  assert len(set(styles)) == 20


def test_a_method_of_another_order_is_no_heat_map_and_is_named(tmp_path):
  for name in ('er', 'mer'):
    run_folders.write(tmp_path / name, name)
  run_folders.write(tmp_path / 'smg', 'smg', stream=('b', 'a'))
  (study,), _ = grouping.find([tmp_path])
  rows, said = score_figures.of_usual_order(study.main_rows)
  assert {row.name for row in rows} == {'er', 'mer'}
  assert said == ' In the order a, b. Of other orders, not shown: smg.'


def test_a_stage_that_some_order_has_no_score_of_is_named(sweep):
  """Site b has none, so that the order b, a has learnt nothing by stage 1."""
  for path in sweep.rglob('results.json'):
    matrix = _matrix(path.parent)
    matrix[:, json.loads(path.read_text())['stream'].index('b')] = np.nan
    run_folders.rescore(path.parent, matrix)
  (study,), _ = grouping.find([sweep])
  captions = {name: said for name, _, said in all_figures.draw_all(study)}
  assert 'in some order, left out: stage 1.' in captions['learnt_dice']


def test_times_of_several_devices_are_not_mixed(sweep):
  (study,), _ = grouping.find([sweep])
  rows = study.main_rows
  for row in rows:
    for number, run in enumerate(row.runs):
      device, seconds = ('gpu', 0.01) if number == 0 else ('cpu', 1.0)
      run.results.update(device=device, step_s=seconds)
      run.results.update(wall_s=90 * seconds, peak_gib=2.5 * seconds)
  styles = {row.name: style_lib.style(0) for row in rows}
  ((_, figure, said),) = training_figures.costs(rows, styles)
  widths = [[bar.get_width() for bar in axes.patches] for axes in figure.axes]
  assert widths == [[1.0] * 3, [1.5] * 3, [2.5] * 3]
  assert 'Device: cpu.' in said
  for run in rows[0].runs:
    run.results.update(device='gpu')
  ((_, figure, said),) = training_figures.costs(rows, styles)
  names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
  assert [name[-3:] for name in names] == ['[2]', '[1]', '[1]']
  assert '[1] cpu; [2] gpu' in said


def test_many_methods_are_pictured_on_several_pages(tmp_path):
  for name in ('er', 'mer', 'smg', 'agem', 'gpm'):
    folder = run_folders.write(tmp_path / name, name)
    run_folders.add_picture(folder, 'pair_lung.png')
  (study,), _ = grouping.find([tmp_path])
  drawn = {name: fig for name, fig, _ in pictures.stack(study.rows)}
  counts = [len(drawn[f'pair_lung_{number}'].axes) for number in (1, 2)]
  assert counts == [4, 1] and len(drawn) == 2
