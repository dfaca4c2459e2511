"""The report of a finished run that was written down by hand."""

import json
import pathlib
import re

from matplotlib import colors as mpl_colors
from matplotlib import figure as mpl_figure
import numpy as np
from PIL import Image
import pytest

from common import continual, errors, figures, run_report, training_figure
from common import scores as scores_lib

RESULTS = {
  'problem': 'registration',
  'method': 'samcl',
  'seed': 7,
  'stream': ['north', 'east<b>'],
  'unseen': ['west'],
  'metrics': {
    'dice': {
      'higher_is_better': True,
      'unit': '1',
      'matrix': [[0.75, 0.25, 0.5], [0.625, 0.875, 0.375]],
      'untrained': [0.125, 0.25, 0.3125],
    },
    'tre': {
      'higher_is_better': False,
      'unit': 'mm',
      'matrix': [[None, 6.5, None], [None, 3.25, None]],
      'untrained': [None, 12.5, None],
    },
  },
  'summary': {
    'dice': {
      'ACC': 0.75,
      'BWT': -0.125,
      'BWTR': -0.1667,
      'forgetting': 0.125,
      'FWT': 0.0,
      'unseen': 0.375,
    },
    'tre': {'ACC': -3.25, 'BWT': None, 'FWT': 6.0, 'unseen': None},
  },
  'steps': 6,
  'wall_s': 1.5,
  'device': 'cpu:cpu',
  'jax': '1.2.3',
  'git': None,
}
CASES = """stage,site,seen,case,label,metric,value,unit
0,north,0,a,1,dice,0.1,1
0,north,0,a,2,dice,0.3,1
0,north,0,b,1,dice,nan,1
2,north,1,a,1,dice,0.5,1
2,north,1,a,2,dice,nan,1
2,north,1,b,1,dice,0.7,1
2,east<b>,1,c,,tre,3.25,mm
"""


@pytest.fixture
def workdir(tmp_path: pathlib.Path) -> pathlib.Path:
  (tmp_path / 'results.json').write_text(json.dumps(RESULTS))
  (tmp_path / 'config.json').write_text('{"rho": 0.05, "note": "</pre>&"}')
  (tmp_path / 'per_case.csv').write_text(CASES)
  lines = [
    {
      'stage': 1 + step // 3,
      'site': RESULTS['stream'][step // 3],
      'step': step,
      'split': 'train',
      'loss/total': 3.0 - step / 4,
      'loss/ncc': None if step == 2 else 1.0,
      'norm/grads': 0.5,
    }
    for step in range(6)
  ]
  text = ''.join(f'{json.dumps(line)}\n' for line in lines)
  (tmp_path / 'metrics.jsonl').write_text(text + '{"stage": 2, "si')
  return tmp_path


def _rows(page: str) -> dict[str, list[str]]:
  """First cell of every table row -> the other cells."""
  found = {}
  for row in re.findall(r'<tr><th scope="row">.*?</tr>', page):
    cells = re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row)
    found.setdefault(cells[0], []).append(cells[1:])
  return found


def test_page_shows_the_numbers_of_the_files(workdir: pathlib.Path):
  run_report.write_report(workdir)
  page = (workdir / 'report.html').read_text('utf-8')
  rows = _rows(page)
  dash, minus = '\N{EN DASH}', '\N{MINUS SIGN}'
  summary, final = rows['dice']
  assert summary == [
    *('0.750', f'{minus}0.125', f'{minus}0.167'),
    *('0.125', '0.000', '0.375'),
  ]
  assert final == ['0.625 (0.125)', '0.875 (0.250)', '0.375 (0.312)']
  summary, final = rows['tre, mm *']
  assert summary == [f'{minus}3.250', dash, dash, dash, '6.000', dash]
  assert final == [f'{dash} ({dash})', '3.250 (12.50)', f'{dash} ({dash})']


@pytest.mark.parametrize(
  ('method', 'absent'),
  [
    ('joint', {'BWT', 'BWTR', 'forgetting', 'FWT'}),
    ('independent', {'BWT', 'BWTR', 'forgetting', 'FWT', 'unseen'}),
  ],
)
def test_a_page_leaves_out_what_a_method_has_not(workdir, method, absent):
  path = workdir / 'results.json'
  path.write_text(json.dumps(RESULTS | {'method': method}))
  run_report.write_report(workdir)
  text = (workdir / 'report.html').read_text()
  heads = set(re.findall(r'<th[^>]*>([A-Za-z]+)</th>', text.split('<h2>')[1]))
  assert 'ACC' in heads and not heads & absent
  assert {*continual.NAMES} - heads == absent


def test_page_needs_nothing_else(workdir: pathlib.Path):
  run_report.write_report(workdir)
  page = (workdir / 'report.html').read_text('utf-8')
  sources = re.findall(r'(?:src|href)="([^"]{0,22})', page)
  assert len(sources) == 7
  assert set(sources) == {'data:image/png;base64,'}
  assert '://' not in page
  assert '&lt;/pre&gt;&amp;' in page and 'east&lt;b&gt;' in page
  assert 'east<b>' not in page


def test_figures_are_there_and_whole(workdir: pathlib.Path):
  run_report.write_report(workdir)
  run_report.write_report(workdir)  # again over its own files
  names = {path.name for path in (workdir / 'figures').iterdir()}
  assert names == {
    *('matrix_dice.png', 'stages_dice.png', 'cases_dice.png'),
    *('matrix_tre.png', 'stages_tre.png', 'cases_tre.png'),
    'training.png',
  }
  for name in names:
    with Image.open(workdir / 'figures' / name) as image:
      image.load()
      assert min(image.size) > 200
      assert len(image.convert('RGB').getcolors(1 << 20)) > 10


def test_other_pictures_are_shown_with_their_captions(workdir: pathlib.Path):
  folder = workdir / 'figures'
  folder.mkdir()
  picture = figures.heat_map(_scores())
  figures.save(picture, folder / 'pair_a.png', 'From the <picture>')
  figures.save(picture, folder / 'pair_b.png', 'Not this one')
  figures.save(picture, folder / 'pair_c.png')
  captions = {'pair_b.png': 'From the file', 'absent.png': 'Nowhere'}
  (folder / 'captions.json').write_text(json.dumps(captions))
  run_report.write_report(workdir)
  page = (workdir / 'report.html').read_text('utf-8')
  shown = re.findall(r'<figcaption>Figure (\d+)\. (.*?)</figcaption>', page)
  assert [int(number) for number, _ in shown] == list(range(1, 11))
  assert [caption for _, caption in shown[-3:]] == [
    'From the &lt;picture&gt;',
    'From the file',
    'pair c',
  ]


def test_per_case_values_are_means_over_labels(workdir, monkeypatch):
  seen = {}

  def remember(scores, before, after):
    seen[scores.title] = [[list(v) for v in group] for group in (before, after)]
    return figures.heat_map(scores)

  monkeypatch.setattr(figures, 'case_boxes', remember)
  run_report.write_report(workdir)
  before, after = seen['dice']
  assert before == [[pytest.approx(0.2)], [], []]
  assert after == [[0.5, 0.7], [], []]
  assert seen['tre'] == [[[], [], []], [[], [3.25], []]]


def _scores(higher_is_better: bool = True) -> scores_lib.Scores:
  return scores_lib.Scores(
    'score',
    'mm',
    higher_is_better,
    np.array([[1.0, 2.0, np.nan], [3.0, 4.0, 25.0]]),
    np.array([5.0, 6.0, 7.0]),
    ('north', 'cost $5 to $6', 'west'),
    2,
  )


def test_sites_without_a_case_have_no_boxes():
  none, some = np.array([]), np.array([1.0, 2.0])
  figure = figures.case_boxes(_scores(), [none, none, some], [some, none, some])
  (axes,) = figure.axes
  names = [text.get_text() for text in axes.get_xticklabels()]
  assert names[0] == 'north' and names[1].startswith('west') and len(names) == 2
  (border,) = (x for x in axes.lines if x.get_color() == '#BBBBBB')
  assert list(border.get_xdata()) == [0.5, 0.5]


def test_heat_map_cells():
  axes = figures.heat_map(_scores()).axes[0]
  dash = '\N{EN DASH}'
  assert [text.get_text() for text in axes.texts] == [
    *('5.000', '6.000', '7.000'),
    *('1.000', '2.000', dash),
    *('3.000', '4.000', '25.00'),
  ]
  columns = [label.get_text() for label in axes.get_xticklabels()]
  assert columns == ['north', r'cost \$5 to \$6', 'west\n(unseen)']
  rows = [label.get_text() for label in axes.get_yticklabels()]
  assert rows == ['untrained', 'after north', r'after cost \$5 to \$6']


@pytest.mark.parametrize('higher_is_better', [True, False])
def test_bright_is_better(higher_is_better: bool):
  axes = figures.heat_map(_scores(higher_is_better)).axes[0]
  faces = [np.array(patch.get_facecolor()[:3]) for patch in axes.patches]
  largest, smallest = faces[8].sum(), faces[3].sum()
  assert (largest > smallest) == higher_is_better


@pytest.mark.parametrize('value', [0.0, 2.0])
def test_where_all_is_the_same_no_axis_goes_below_zero(value):
  scores = _scores(higher_is_better=False)
  scores = scores._replace(
    matrix=np.full_like(scores.matrix, value),
    untrained=np.full_like(scores.untrained, value),
  )
  bar = figures.heat_map(scores).axes[1]
  np.testing.assert_allclose(bar.get_ylim(), [value, value + 1])
  cases = [np.full(2, value)] * 3
  for figure in (
    figures.stage_curves(scores),
    figures.case_boxes(scores, cases, cases),
  ):
    bottom, top = figure.axes[0].get_ylim()
    assert bottom >= -0.04 * top and bottom < value < top


def test_no_label_is_cut(tmp_path):
  """Tilted names and ticks in mm, which the layout alone does not hold."""
  sites = ('brain_mr', 'abdomen_ct', 'lung_ct', 'abdomen_mr_ct')
  column = np.array([21.7, 20.0, 5.9, 4.7])
  matrix = np.where(np.arange(4) == 2, column[:, None], np.nan)
  start = np.array([np.nan, np.nan, 16.3, np.nan])
  scores = scores_lib.Scores('tre', 'mm', False, matrix, start, sites, 4)
  figures.save(figures.stage_curves(scores), tmp_path / 'a.png')
  with Image.open(tmp_path / 'a.png') as image:
    shades = np.asarray(image.convert('L'))
  for edge in (shades[0], shades[-1], shades[:, 0], shades[:, -1]):
    assert (edge == 255).all()


def test_stage_curves_ring_the_stage_trained_on():
  axes = figures.stage_curves(_scores()).axes[0]
  lines = [line.get_xydata().tolist() for line in axes.lines]
  assert lines[0] == [[0, 5], [1, 1], [2, 3]]
  assert lines[1] == [[1, 1]]
  assert lines[3] == [[2, 4]]
  assert len(lines) == 5


def test_running_mean():
  values = np.array([1.0, 3.0, np.nan, 5.0, 7.0, 9.0])
  found = training_figure.running_mean(values, 3)
  np.testing.assert_allclose(found, [1, 2, 2, 4, 6, 7])
  np.testing.assert_allclose(training_figure.running_mean(values, 1), values)
  short = training_figure.running_mean(values[:2], 3)
  np.testing.assert_allclose(short, [1, 2])


def test_training_curves_break_between_stages():
  log = [
    {'stage': s, 'site': f's{s}', 'step': step, 'loss/total': float(step)}
    for step, s in enumerate([1, 1, 1, 2, 2])
  ]
  axes = training_figure.draw(log).axes[0]
  first, second = (line.get_xydata().tolist() for line in axes.lines[:2])
  assert first == [[0, 0], [1, 1], [2, 2]]
  assert second == [[3, 3], [4, 4]]
  assert [text.get_text() for text in axes.texts] == ['s1', 's2']
  assert training_figure.draw([]) is None


@pytest.mark.parametrize(
  ('values', 'scale'),
  [
    ((1, 2, 3, 20), 'linear'),
    ((1, 2, 3, 40), 'log'),
    ((-1, 2, 3, 20), 'linear'),
    ((-1, 2, 3, 90), 'symlog'),
    ((0, 2, 3, 120), 'symlog'),
    ((0, 0, 0), 'linear'),
    ((None, None), 'linear'),
  ],
)
def test_a_few_large_values_do_not_hide_the_rest(values, scale):
  log = [
    {'stage': 1, 'site': 's', 'step': step, 'norm/grad': value}
    for step, value in enumerate(values)
  ]
  axes = training_figure.draw(log).axes[0]
  assert axes.get_yscale() == scale
  if scale == 'symlog':
    assert (axes.get_ylim()[0] == 0) == (min(values) == 0)
    assert axes.yaxis.get_transform().linthresh in (1.0, 10.0)


def test_training_legend_shows_lines_also_where_a_stage_has_a_point():
  log = [
    {'stage': s, 'site': f's{s}', 'step': step, 'loss/total': float(step)}
    for step, s in enumerate([1, 2, 2, 2])
  ]
  axes = training_figure.draw(log).axes[0]
  (handle,) = axes.get_legend().legend_handles
  assert handle.get_marker() in ('', 'None')
  assert [line.get_marker() for line in axes.lines[:2]] == ['o', '']


def test_an_outline_within_another_is_drawn_over_it():
  label = np.ones((8, 9), int)
  label[2:5, 3:7] = 2
  for inner, order in ((2, (0, 1)), (1, (1, 0))):
    axes = mpl_figure.Figure().subplots()
    figures.draw_contours(axes, label if inner == 2 else 3 - label, 'solid')
    found = [np.array(c.get_edgecolor()[0][:3]) for c in axes.collections]
    expected = [mpl_colors.to_rgb(figures.PALETTE[value]) for value in order]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
  'name', ['config.json', 'results.json', 'metrics.jsonl', 'per_case.csv']
)
def test_missing_file_is_named(workdir: pathlib.Path, name: str):
  (workdir / name).unlink()
  with pytest.raises(errors.InputError, match=re.escape(name)) as caught:
    run_report.write_report(workdir)
  assert '\n' not in str(caught.value)
  assert not (workdir / 'figures').exists()


def test_folder_that_is_no_run(tmp_path: pathlib.Path):
  with pytest.raises(errors.InputError, match=r'nowhere/config\.json'):
    run_report.write_report(tmp_path / 'nowhere')


@pytest.mark.parametrize(
  ('where', 'value', 'named'),
  [
    (('method',), None, 'method: found None, allowed str'),
    (('stream',), [], 'stream: found no site'),
    (('stream',), [1, 2], 'stream: allowed a list of names'),
    (('metrics', 'dice'), 3, 'metrics.dice: found 3'),
    (('metrics', 'dice', 'matrix'), [[0.5]], 'metrics.dice.matrix'),
    (('metrics', 'dice', 'matrix'), [], 'metrics.dice.matrix'),
    (('metrics', 'dice', 'matrix', 1, 0), 'x', 'metrics.dice.matrix'),
    (('metrics', 'tre', 'untrained'), None, 'metrics.tre.untrained'),
    (('metrics', 'tre', 'unit'), 1, 'metrics.tre.unit'),
    (('metrics', 'tre', 'higher_is_better'), 1, 'higher_is_better: found 1'),
    (('summary', 'tre'), None, 'summary.tre: found None'),
  ],
)
def test_bad_field_is_named(workdir: pathlib.Path, where, value, named):
  results = json.loads(json.dumps(RESULTS))
  entry = results
  for key in where[:-1]:
    entry = entry[key]
  entry[where[-1]] = value
  (workdir / 'results.json').write_text(json.dumps(results))
  with pytest.raises(errors.InputError, match=re.escape(named)) as caught:
    run_report.write_report(workdir)
  assert 'results.json' in str(caught.value)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('name', 'text', 'named'),
  [
    ('config.json', '{', 'no JSON'),
    ('config.json', '[1]', 'allowed a JSON object'),
    ('results.json', '\x00\xff', 'results.json'),
    ('metrics.jsonl', 'x\n{}\n', 'line 1: no JSON'),
    ('metrics.jsonl', '{"stage": 1}\n', 'line 1: site'),
    ('per_case.csv', '', 'stage: no such column'),
    ('per_case.csv', CASES.replace('case', 'pair'), 'case: no such column'),
    ('per_case.csv', CASES.replace('0.7', 'x'), "line 7: value: found 'x'"),
    ('per_case.csv', CASES + '2,north\n', 'line 9: value: found None'),
  ],
)
def test_unreadable_file_is_named(workdir: pathlib.Path, name, text, named):
  (workdir / name).write_bytes(text.encode('latin-1'))
  with pytest.raises(errors.InputError, match=re.escape(named)) as caught:
    run_report.write_report(workdir)
  assert name in str(caught.value)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('text', ['{', '["a"]', '{"a.png": 3}'])
def test_bad_captions_are_named(workdir: pathlib.Path, text: str):
  (workdir / 'figures').mkdir()
  (workdir / 'figures' / 'captions.json').write_text(text)
  with pytest.raises(errors.InputError, match=r'captions\.json'):
    run_report.write_report(workdir)


def test_picture_that_is_none_is_named(workdir: pathlib.Path):
  (workdir / 'figures').mkdir()
  (workdir / 'figures' / 'pair.png').write_bytes(b'GIF?')
  with pytest.raises(errors.InputError, match=r'pair\.png'):
    run_report.write_report(workdir)
