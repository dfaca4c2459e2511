"""The report of a comparison, from runs that were written down by hand."""

import csv
import html
import json
import re

import numpy as np
from PIL import Image
import pytest

from common import errors, report
from common.comparison import comparability, grouping
from common.comparison import table as table_lib
from tests import binaries, run_folders

DASH = '\N{EN DASH}'


@pytest.fixture
def sweep(tmp_path):
  return run_folders.write_sweep(tmp_path / 'sweep')


def test_page_figures_and_numbers(sweep, tmp_path, capsys):
  run_folders.write(sweep / 'half', unfinished=True)
  out = tmp_path / 'out'
  report.main([sweep], str(out))
  text = (out / 'report.html').read_text()
  assert f'{sweep}/half: not finished' in text
  assert 'different sets' not in text
  assert 'done: 20 runs, 1 left out' in capsys.readouterr().out
  assert not re.findall(r'(?:src|href)="(?!data:)', text)
  names = {path.stem for path in (out / 'figures').glob('*.png')}
  assert names == {
    '1_matrices_dice',
    '1_learnt_dice',
    '1_cases_dice',
    '1_trade_off_dice',
    '1_ablation_dice_smg_rule_alpha',
    '1_cosine_orientational',
    '1_costs',
    '1_pair_brain',
    '1_gallery_smg',
  }
  assert text.count('<img ') == len(names)
  for path in (out / 'figures').glob('*.png'):
    with Image.open(path) as image:
      shades = np.asarray(image.convert('L'))
    assert shades.std() > 5
    for edge in (shades[0], shades[-1], shades[:, 0], shades[:, -1]):
      assert edge.min() > 250, path  # No label is cut.
  rows = list(csv.DictReader((out / 'summary.csv').read_text().splitlines()))
  found = {
    (r['method'], r['variant'], r['summary']): r for r in rows if not r['table']
  }
  entry = found['er', '', 'ACC']
  assert float(entry['mean']) == pytest.approx(0.635)
  # Sample deviation of .625 .635 .645, each twice.
  assert float(entry['sd']) == pytest.approx(0.01 * np.sqrt(4 / 5))
  # That of either order.
  assert float(entry['sd_seeds']) == pytest.approx(0.01)
  assert entry['runs'] == '6'
  assert found['smg', '', 'ACC']['p_cases_holm'] == ''
  assert float(entry['difference']) == pytest.approx(-0.125)
  # Six runs on one side, and as many rows are tested as smallest: 2 / 2^6 * 3.
  assert float(entry['p_runs_holm']) == pytest.approx(3 * 2 / 2**6)
  # Scores before the first step are 0, those of a case within .01.
  start = found['untrained', '', 'unseen']
  assert (float(start['mean']), start['runs']) == (0, '6')
  assert float(start['p_cases_holm']) < 1
  assert ('untrained', '', 'BWT') not in found


def test_best_and_second_are_marked_and_tested(sweep, tmp_path):
  report.main([sweep], str(tmp_path / 'out'))
  text = (tmp_path / 'out' / 'report.html').read_text()
  first = text[text.index('<tbody>') : text.index('</tbody>')]
  lines = first.splitlines()[1:]
  assert [re.search(r'row">(\w+)<', line)[1] for line in lines] == [
    'smg',
    'er',
    'sequential',
    'untrained',
  ]
  assert lines[0].count('class="best"') == 2  # ACC, unseen; BWT is the same
  assert lines[1].count('class="second"') == 2
  # 8 cases of two sites, all worse: p = 2 / 2^8, times 4 rows at most.
  said = re.search(r'<small>([^<]*?), p ([\d.]+), ([\d.]+)</small>', lines[2])
  assert said[1] == '\N{MINUS SIGN}0.250'
  p = float(said[3])
  assert 2 / 2**8 <= p <= 4 * 2 / 2**8


def test_p_values_are_of_shared_orders_and_seeds(tmp_path):
  """With seed 7 too, er would be better on half of the cases."""
  for seed in range(2):
    run_folders.write(tmp_path / f's{seed}', 'smg', seed=seed, score=0.5)
  run_folders.write(tmp_path / 'e0', 'er', seed=0, score=0.25)
  run_folders.write(tmp_path / 'e7', 'er', seed=7, score=0.75)
  report.main([tmp_path], str(tmp_path / 'out'))
  text = (tmp_path / 'out' / 'report.html').read_text()
  assert re.search(r'row">er</th><td>2\*</td>', text)
  # Its mean over seeds of its own is that of smg; on the one shared it is not.
  assert '<span>0.500 ± 0.354</span><small>\N{MINUS SIGN}0.250, p' in text
  (study,), _ = grouping.find([tmp_path])
  smg, er = (
    next(row for row in study.rows if row.method == m) for m in ('smg', 'er')
  )
  p = table_lib.paired(er, smg, 'dice', ('a', 'b'))
  assert p == 2 / 2**8
  alone = table_lib.paired(er.only({(('a', 'b'), 7)}), smg, 'dice', ('a', 'b'))
  assert np.isnan(alone)


def test_tests_of_an_ablation_are_its_own_and_on_its_own_cells(sweep, tmp_path):
  report.main([sweep], str(tmp_path / 'out'))
  rows = list(
    csv.DictReader((tmp_path / 'out/summary.csv').read_text().splitlines())
  )
  found = {(r['table'], r['variant']): r for r in rows if r['summary'] == 'ACC'}
  usual = found['smg: rule.alpha', '']
  assert usual['runs'] == '1' and float(usual['mean']) == 0.75
  # Two variants, all 8 cases on one side: 2 / 2^8, twice.
  assert float(found['smg: rule.alpha', 'rule.alpha=0.0']['p_cases_holm']) == (
    pytest.approx(4 / 2**8)
  )
  assert ('', 'rule.alpha=0.0') not in found


def test_bounds_are_no_rivals(sweep, tmp_path):
  for seed in range(3):
    for number, stream in enumerate((('a', 'b'), ('b', 'a'))):
      run_folders.write(
        sweep / f'joint-{number}-{seed}',
        'joint',
        seed=seed,
        score=0.9,
        stream=stream,
      )
  report.main([sweep], str(tmp_path / 'out'))
  text = (tmp_path / 'out' / 'report.html').read_text()
  joint, _ = re.findall(r'<tr><th scope="row">joint<.*', text)
  assert 'class' not in joint.replace('scope', '')
  assert joint.count('<td>\N{EN DASH}</td>') == 2  # cases kept, BWT
  assert re.search(r'row">smg</th><td>6</td><td>.</td><td class="best">', text)


def test_no_one_network_of_independent_has_seen_nothing(sweep, tmp_path):
  """That of the last site is as good as any; BWT is 0 by construction."""
  run_folders.write(sweep / 'independent', 'independent', score=0.9)
  report.main([sweep], str(tmp_path / 'out'))
  rows = csv.DictReader((tmp_path / 'out/summary.csv').read_text().splitlines())
  found = {r['summary'] for r in rows if r['method'] == 'independent'}
  assert found == {'ACC'}
  text = (tmp_path / 'out' / 'report.html').read_text()
  _, by_site = re.findall(r'<tr><th scope="row">independent<.*', text)
  assert re.findall('<td>(.*?)</td>', by_site)[1:] == ['0.900', '0.900', DASH]


def test_rows_are_in_the_order_of_what_they_differ_by(tmp_path):
  """er is ahead on average, and behind where both were run."""
  for seed, level in enumerate((0.25, 0.75)):
    run_folders.write(tmp_path / f's{seed}', 'smg', seed=seed, score=level)
  run_folders.write(tmp_path / 'e1', 'er', seed=1, score=0.625)
  (study,), _ = grouping.find([tmp_path])
  smg, er = sorted(study.rows, key=lambda row: -len(row.runs))
  table = table_lib.create(study, study.rows, smg)
  assert [row.name for row in table.rows] == ['smg', 'er']
  test = table.tests['er', ('dice', 'ACC')]
  # One run can show nothing whatever it is, and does not count among the tests.
  assert test.gap == -0.125 and np.isnan(test.p_runs)
  assert er.summary('dice', 'ACC').mean() > smg.summary('dice', 'ACC').mean()


def test_differences_of_runs_too_few_to_test(tmp_path):
  for seed, score in enumerate((0.5, 0.25)):
    run_folders.write(tmp_path / f's{seed}', 'smg', seed=seed, score=0.5)
    run_folders.write(tmp_path / f'e{seed}', 'er', seed=seed, score=score)
  report.main([tmp_path], str(tmp_path / 'out'))
  text = (tmp_path / 'out' / 'report.html').read_text()
  less = '\N{MINUS SIGN}0.125 [\N{MINUS SIGN}0.250, 0.000]'
  assert f'<small>{less}, p {DASH}, ' in text


def test_what_was_kept_of_past_sites(tmp_path):
  memory = {'capacity': 7, 'num_kept': 5}
  for method in ('er', 'smg_er', 'smg', 'ewc'):
    folder = run_folders.write(tmp_path / method, method)
    path = folder / 'config.json'
    config = json.loads(path.read_text())
    config |= {'memory': memory, 'diffusion': {'num_kept': 9}}
    path.write_text(json.dumps(config))
  report.main([tmp_path], str(tmp_path / 'out'))
  text = (tmp_path / 'out' / 'report.html').read_text()
  table = text[: text.index('</table>')]
  found = dict(re.findall(r'row">(\w+)</th><td>1</td><td>(.*?)</td>', table))
  # Of one past site where it is counted for each.
  assert {name: found[name] for name in ('er', 'smg_er', 'smg', 'ewc')} == {
    'er': '7 real',
    'smg_er': '5 real',
    'smg': '9 generated',
    'ewc': DASH,
  }


def test_every_site_in_the_end(tmp_path):
  for seed, score in enumerate((0.25, 0.75)):
    run_folders.write(tmp_path / f'{seed}', seed=seed, score=score)
  matrix = [[0.5, 0.5, 0.5], [0.5, np.nan, 0.25]]
  run_folders.rescore(tmp_path / '1', matrix)
  (study,), _ = grouping.find([tmp_path])
  text = table_lib.sites_html(study.rows, 'dice')
  assert re.findall('col">(.*?)<', text)[2:] == ['a', 'b', 'new']
  (line,) = re.findall('<tr><th scope="row">er.*', text)
  assert re.findall('<td>(.*?)</td>', line) == [
    '2',
    '0.375 ± 0.177',
    '<span>0.250</span><small>of 1</small>',
    '0.250 ± 0.000',
  ]


def test_the_page_says_what_is_not_the_same_for_all(tmp_path):
  run_folders.write(tmp_path / '1', 'smg', train={'num_steps': 3})
  run_folders.write(tmp_path / '2', 'er', train={'num_steps': 7})
  for name, commit in (('1', 'abc'), ('2', 'def')):
    path = tmp_path / name / 'results.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'git': commit}))
  report.main([tmp_path], str(tmp_path / 'out'))
  text = html.unescape((tmp_path / 'out' / 'report.html').read_text())
  assert 'rule.train.num_steps (smg: 3; er: 7)' in text
  assert 'git (smg: abc; er: def)' in text


def test_versions_that_are_mixed_alike_in_all_rows_are_named_too(tmp_path):
  for method in ('er', 'smg'):
    for seed, commit in enumerate(('abc', 'def')):
      path = run_folders.write(tmp_path / f'{method}{seed}', method, seed=seed)
      path /= 'results.json'
      path.write_text(
        json.dumps(json.loads(path.read_text()) | {'git': commit})
      )
  (study,), _ = grouping.find([tmp_path])
  (line,) = comparability.unequal_records(study.rows)[:1]
  assert line == 'Not the same for all runs: git (er, smg: abc and def).'


def _restart(folder, start: float) -> None:
  """Gives site b of a run another score before training."""
  path = folder / 'results.json'
  results = json.loads(path.read_text())
  results['metrics']['dice']['untrained'] = [0.0, start, 0.0]
  path.write_text(json.dumps(results))
  run_folders.rescore(folder, results['metrics']['dice']['matrix'])


def test_runs_that_were_scored_by_other_rules_are_left_out(tmp_path):
  """The same untrained network cannot have two scores; most runs are right."""
  for method in ('agem', 'er', 'mer', 'smg'):
    run_folders.write(tmp_path / method, method)
  run_folders.write(tmp_path / 'smg1', 'smg', seed=1)
  _restart(tmp_path / 'agem', 0.125)
  _restart(tmp_path / 'smg1', 0.25)
  report.main([tmp_path], str(tmp_path / 'out'))
  text = html.unescape((tmp_path / 'out' / 'report.html').read_text())
  said = re.findall(r'<li>(.*?)</li>', text)
  assert said == [
    f'{tmp_path}/agem: dice of b before training is 0.125, in {tmp_path}/er, '
    'of the same network and seed, 0.000: not scored alike'
  ]
  (study,), _ = grouping.find([tmp_path])
  counts = {row.method: len(row.runs) for row in study.rows}
  assert counts == {'er': 1, 'mer': 1, 'smg': 2}


def test_where_no_score_is_that_of_most_nobody_is_believed(tmp_path):
  for method in ('er', 'smg'):
    run_folders.write(tmp_path / method, method)
    run_folders.write(tmp_path / f'{method}1', method, seed=1)
  _restart(tmp_path / 'smg', 0.125)
  (study,), left_out = grouping.find([tmp_path])
  assert {run.config['seed'] for row in study.rows for run in row.runs} == {1}
  assert [line.partition(':')[0] for line in left_out] == [
    f'{tmp_path}/er',
    f'{tmp_path}/smg',
  ]


def test_a_report_does_not_replace_that_of_a_run(tmp_path):
  run = run_folders.write(tmp_path / 'run')
  with pytest.raises(errors.InputError, match=f'--out={run}: found a run'):
    report.main([tmp_path], str(run))


def test_a_study_without_the_reference_says_so(tmp_path):
  run_folders.write(tmp_path / '1', 'smg')
  run_folders.write(tmp_path / '2', 'er', unit='mm')
  report.main([tmp_path], str(tmp_path / 'out'), reference='er')
  text = (tmp_path / 'out' / 'report.html').read_text()
  assert 'No row of er here, so no tests.' in text


def test_another_reference(sweep, tmp_path):
  report.main([sweep], str(tmp_path / 'out'), 'er')
  text = (tmp_path / 'out' / 'report.html').read_text()
  assert 'mean difference to er on' in text
  run_folders.write(sweep / 'mm', 'sequential', unit='mm')
  report.main([sweep], str(tmp_path / 'two'), 'er')
  text = (tmp_path / 'two' / 'report.html').read_text()
  assert text.count('mean difference to er on') == 1  # none in the other
  with pytest.raises(errors.InputError, match='--reference=x: found no run'):
    report.main([sweep], str(tmp_path / 'other'), 'x')
  assert not (tmp_path / 'other').exists()


def test_two_studies_have_tables_of_their_own(sweep, tmp_path):
  run_folders.write(sweep / 'mm', 'er', unit='mm', score=0.9)
  report.main([sweep], str(tmp_path / 'out'))
  text = (tmp_path / 'out' / 'report.html').read_text()
  heads = re.findall(r'<h2>(segmentation.*)</h2>', text)
  assert len(set(heads)) == 2 and 'mm' in ''.join(heads)
  assert '>Runs on 2 different sets of sites, data or metrics' in text
  assert 'Figure 1.' in text and len(set(re.findall(r'Figure \d+', text))) > 9


def test_markup_in_names_is_shown_as_it_is(tmp_path):
  run_folders.write(tmp_path / '1', 'er', stream=('a', '<b>&'))
  report.main([tmp_path], str(tmp_path / 'out'))
  text = (tmp_path / 'out' / 'report.html').read_text()
  assert '&lt;b&gt;&amp;' in text and '<b>&' not in text


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    (['nowhere'], '--out: missing'),
    (['nowhere', '--out=x'], 'no finished run in nowhere'),
    (['--out=x'], 'found none'),
  ],
)
def test_bad_arguments_end_in_one_line(arguments, expected):
  assert expected in binaries.refused('common.report', *arguments)
