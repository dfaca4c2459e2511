"""Which runs belong in one row, one table, or none."""

import ast
import json
import os
import pathlib

import numpy as np
import pytest

from common import errors, grid, run_files
from common.comparison import grouping
from common.comparison import study as study_lib
from common.comparison import table as table_lib
from configs import sweep_samcl, sweep_smg
from tests import run_folders


def _find(folder: pathlib.Path):
  return grouping.find([folder])


def test_seeds_and_orders_are_runs_of_one_row(tmp_path):
  run_folders.write(tmp_path / '1', seed=0, score=0.25)
  run_folders.write(tmp_path / '2', seed=1, score=0.5)
  run_folders.write(tmp_path / '3', seed=0, stream=('b', 'a'), score=0.75)
  (study,), left_out = _find(tmp_path)
  (row,) = study.rows
  assert not left_out
  assert study.title == 'segmentation: a, b; unseen new'
  assert row.cells == {(('a', 'b'), 0), (('a', 'b'), 1), (('b', 'a'), 0)}
  np.testing.assert_array_equal(row.summary('dice', 'ACC'), [0.25, 0.5, 0.75])
  assert row.summary('tre', 'ACC').size == 0


def test_variants_are_named_by_what_is_not_usual(tmp_path):
  for seed in range(3):
    run_folders.write(tmp_path / f'er{seed}', seed=seed)
  for alpha in (0.0, 0.5):
    run_folders.write(tmp_path / f'alpha{alpha}', alpha=alpha)
  run_folders.write(tmp_path / 'smg', 'smg', alpha=7.0)
  (study,), _ = _find(tmp_path)
  assert {row.name: len(row.runs) for row in study.rows} == {
    'er': 3,
    'er rule.alpha=0.0': 1,
    'er rule.alpha=0.5': 1,
    'smg': 1,
  }
  assert {row.name for row in study.main_rows} == {'er', 'smg'}
  ((place, rows),) = study.ablations().items()
  assert place == ('er', 'rule.alpha')
  assert rows[0].name == 'er' and len(rows) == 3


def test_what_was_changed_is_the_base_of_what_was_changed_further(tmp_path):
  """With the seeds alone that both have."""
  usual = {'alpha': 0.1, 'beta': 1}
  for number, (seed, changed) in enumerate(
    [
      *((seed, {}) for seed in range(4)),
      *((seed, {'beta': 2}) for seed in (0, 1)),
      (1, {'beta': 2, 'alpha': 0.5}),
    ]
  ):
    fields = usual | changed
    run_folders.write(tmp_path / str(number), 'er', seed=seed, **fields)
  (study,), _ = _find(tmp_path)
  once, twice = 'er rule.beta=2', 'er rule.alpha=0.5 rule.beta=2'
  assert {
    place: [(row.name, len(row.runs)) for row in rows]
    for place, rows in study.ablations().items()
  } == {
    ('er', 'rule.beta'): [('er', 2), (once, 2)],
    ('er', 'rule.alpha rule.beta'): [('er', 1), (twice, 1)],
    (once, 'rule.alpha'): [(once, 1), (twice, 1)],
  }


def test_what_several_methods_were_changed_in_alike(tmp_path):
  for method in ('er', 'joint', 'smg'):
    for seed in range(2):
      folder = tmp_path / f'{method}{seed}'
      run_folders.write(folder, method, seed=seed, score=0.25)
  for method, score in (('er', 0.5), ('smg', 0.75)):
    run_folders.write(tmp_path / method, method, alpha=0.5, score=score)
  run_folders.write(tmp_path / 'other', 'joint', alpha=0.2)
  (study,), _ = _find(tmp_path)
  ((variant, rows),) = study.changed_alike().items()
  assert variant == ('rule.alpha=0.5',)
  assert {row.name for row in rows} == {
    'er rule.alpha=0.5',
    'smg rule.alpha=0.5',
  }
  table = table_lib.create_all(study)['rule.alpha=0.5']
  assert table.reference.name == 'smg rule.alpha=0.5'
  test = table.tests['er rule.alpha=0.5', ('dice', 'ACC')]
  assert test.gap == pytest.approx(-0.25)


def test_cases_are_tested_on_the_sites_that_a_summary_is_of(tmp_path):
  """All cases of smg are better, eight of learnt sites and four of others."""
  for method, score in (('smg', 0.75), ('er', 0.5)):
    run_folders.write(tmp_path / method, method, score=score)
  (study,), _ = _find(tmp_path)
  (smg,) = (row for row in study.rows if row.method == 'smg')
  tests = table_lib.create(study, study.rows, smg).tests
  for summary, num_cases in (('ACC', 8), ('unseen', 4)):
    found = tests['er', ('dice', summary)].p_cases
    assert found == pytest.approx(2 / 2**num_cases)


def test_without_a_majority_all_variants_say_what_they_are(tmp_path):
  run_folders.write(tmp_path / '1', alpha=0.0)
  run_folders.write(tmp_path / '2', alpha=0.5)
  (study,), _ = _find(tmp_path)
  assert {row.name for row in study.rows} == {
    'er rule.alpha=0.0',
    'er rule.alpha=0.5',
  }


def test_a_tie_within_a_method_goes_to_what_all_methods_have(tmp_path):
  for alpha in (0.1, 0.5):
    run_folders.write(tmp_path / f'joint{alpha}', 'joint', alpha=alpha)
  for seed in range(3):
    run_folders.write(tmp_path / f'er{seed}', 'er', seed=seed)
  (study,), _ = _find(tmp_path)
  assert {row.name for row in study.main_rows} == {'joint', 'er'}
  assert list(study.ablations()) == [('joint', 'rule.alpha')]


def test_no_method_of_the_sweeps_drops_out(tmp_path):
  """joint has as many runs with a simulated shift as without."""
  for module in (sweep_smg, sweep_samcl):
    runs = grid.list_runs(module.get_config().groups.to_dict(), tmp_path)
    made = []
    for run in runs:
      flags = dict(
        word.removeprefix('--config.').split('=', 1)
        for word in run.command
        if word.startswith('--config.')
      )
      method, seed = flags.pop('method'), int(flags.pop('seed'))
      results = {
        'problem': 'x',
        'method': method,
        'stream': list(ast.literal_eval(flags.pop('stream'))),
        'unseen': [],
      }
      config = {'train.shift_share': '0.0'} | flags
      config |= {'method': method, 'seed': seed}
      made.append(run_files.Run(config, results, {}, [], {}))
    (study,), doubles = grouping.studies(made)
    assert not doubles
    names = {row.name for row in study.main_rows}
    assert names == {run.results['method'] for run in made}


@pytest.mark.parametrize(
  'other', [{'unit': 'mm'}, {'stream': ('a', 'c')}], ids=['metric', 'sites']
)
def test_what_means_something_else_is_another_study(tmp_path, other):
  run_folders.write(tmp_path / '1')
  run_folders.write(tmp_path / '2', 'smg', **other)
  studies, left_out = _find(tmp_path)
  assert len(studies) == 2 and not left_out


def test_numbers_of_another_definition_are_another_study(tmp_path):
  """A run that does not say is of the first one."""
  for number in (1, 2):
    path = run_folders.write(tmp_path / f'{number}', seed=number)
    path /= 'results.json'
    results = json.loads(path.read_text()) | {'definition': number}
    path.write_text(json.dumps(results))
  run_folders.write(tmp_path / 'unsaid', seed=3)
  path = run_folders.write(tmp_path / 'null', seed=4) / 'results.json'
  results = json.loads(path.read_text()) | {'definition': None}
  path.write_text(json.dumps(results))
  studies, _ = _find(tmp_path)
  assert {len(study.rows[0].runs) for study in studies} == {1, 3}
  assert 'definition of metrics 2' in ''.join(study.title for study in studies)


def test_no_two_studies_have_one_name(tmp_path):
  """They differ in their test cases alone."""
  run_folders.write(tmp_path / '1')
  for number in (2, 3):
    path = run_folders.write(tmp_path / f'{number}') / 'per_case.csv'
    path.write_text(path.read_text().replace('case0', f'x{number}'))
  studies, _ = _find(tmp_path)
  assert len({study.title for study in studies}) == len(studies) == 3


def test_what_cannot_be_compared_is_named_and_left_out(tmp_path):
  run_folders.write(tmp_path / 'good', seed=3)
  run_folders.write(tmp_path / 'same', seed=3, score=0.9)
  run_folders.write(tmp_path / 'half', seed=4, unfinished=True)
  run_folders.write(tmp_path / 'torn', seed=5)
  (tmp_path / 'torn' / 'results.json').write_text('{"problem"')
  (tmp_path / 'empty').mkdir()
  run_folders.write(tmp_path / 'bare', seed=6)
  (tmp_path / 'bare' / 'per_case.csv').write_text(
    'stage,site,case,label,metric,value\n'
  )
  cut = run_folders.write(tmp_path / 'cut', seed=7) / 'per_case.csv'
  cut.write_text('\n'.join(cut.read_text().split('\n2,')[:1]) + '\n')
  (run_folders.write(tmp_path / 'bald', seed=8) / 'config.json').unlink()
  odd = run_folders.write(tmp_path / 'odd', seed=9) / 'results.json'
  odd.write_text(odd.read_text().replace('"BWT": 0.25', '"BWT": "x"'))
  names = ('good', 'same', 'half', 'torn', 'empty', 'bare', 'cut', 'bald')
  (study,), left_out = grouping.find([tmp_path / n for n in (*names, 'odd')])
  assert [len(row.runs) for row in study.rows] == [1]
  assert study.rows[0].summary('dice', 'ACC') == [0.5]
  text = '\n'.join(left_out)
  assert len(left_out) == 8
  assert f'{cut}: dice of a after stage 2: found nan, but results' in text
  assert f'{tmp_path}/bald/config.json: cannot be read' in text
  assert f"{odd}: summary.dice.BWT: found 'x', allowed a number" in text
  assert f'{tmp_path}/bare/per_case.csv: found no case' in text
  assert f'{tmp_path}/half: not finished' in text
  assert f'{tmp_path}/torn/results.json: no JSON' in text
  assert f'{tmp_path}/empty: no run in it' in text
  assert (
    f'{tmp_path}/same: same method, order and seed as {tmp_path}/good' in text
  )


def test_a_file_that_lacks_its_last_line_is_named(tmp_path):
  path = run_folders.write(tmp_path / '1') / 'per_case.csv'
  path.write_text(''.join(path.read_text().splitlines(keepends=True)[:-1]))
  with pytest.raises(errors.InputError, match='dice of new after stage 2: fou'):
    _find(tmp_path)


@pytest.mark.parametrize(
  ('file', 'field', 'value'),
  [
    ('results.json', 'wall_s', 'x'),
    ('results.json', 'definition', '2'),
    ('results.json', 'definition', 1.0),
    ('results.json', 'peak_gib', [1]),
    ('results.json', 'device', ['cpu']),
    ('config.json', 'seed', [0]),
  ],
)
def test_a_field_of_another_kind_is_named(tmp_path, file, field, value):
  path = run_folders.write(tmp_path / '1') / file
  path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
  with pytest.raises(errors.InputError, match=f'{file}: {field}: found .*allo'):
    _find(tmp_path)


def test_a_text_where_a_log_has_numbers_is_named(tmp_path):
  line = run_folders.COSINES[0] | {'cosine/arbitrary': 'x'}
  run_folders.write(tmp_path / '1', log=[line])
  with pytest.raises(errors.InputError, match=r'line 1: cosine/arbitrary: fou'):
    _find(tmp_path)


def test_a_folder_that_is_named_twice_is_read_once(tmp_path):
  run_folders.write(tmp_path / 'runs' / '1')
  (study,), left_out = grouping.find([tmp_path, tmp_path / 'runs'])
  assert len(study.rows[0].runs) == 1 and not left_out


def test_summaries_are_what_the_matrix_says(tmp_path):
  """Whatever results.json claims of them."""
  folder = run_folders.write(tmp_path / 'er', 'er', score=0.5)
  path = folder / 'results.json'
  results = json.loads(path.read_text())
  results['summary']['dice']['ACC'] = 0.875
  path.write_text(json.dumps(results))
  (study,), _ = _find(tmp_path)
  np.testing.assert_allclose(study.rows[0].summary('dice', 'ACC'), [0.5])


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
  run_folders.write(tmp_path / 'er', 'er')
  (tmp_path / 'locked').mkdir()
  scan = os.scandir

  def refuse(path):
    if str(path).endswith('locked'):
      raise PermissionError(13, 'Permission denied', str(path))
    return scan(path)

  monkeypatch.setattr(os, 'scandir', refuse)
  _, left_out = _find(tmp_path)
  assert left_out == [
    f'{tmp_path / "locked"}: cannot be read (Permission denied)'
  ]


def test_links_are_followed_and_end(tmp_path):
  run_folders.write(tmp_path / 'elsewhere' / '1')
  runs = tmp_path / 'runs'
  run_folders.write(runs / '2', seed=1)
  (runs / 'linked').symlink_to(tmp_path / 'elsewhere')
  (runs / 'back').symlink_to(runs)
  (study,), left_out = grouping.find([runs])
  assert len(study.rows[0].runs) == 2 and not left_out


def test_nothing_at_all_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='no finished run'):
    _find(tmp_path)


def test_cases_are_means_over_labels_then_runs(tmp_path):
  for seed, score in enumerate((0.25, 0.75)):
    run_folders.write(tmp_path / f'{seed}', seed=seed, score=score)
  (study,), _ = _find(tmp_path)
  found = study_lib.case_scores(study.rows[0], 'dice', ('a', 'new'))
  assert {site for site, _ in found} == {'a', 'new'}
  assert len(found) == 8
  values = [value for (site, _), value in found.items() if site == 'a']
  np.testing.assert_allclose(np.mean(values), 0.5, atol=1e-6)
  assert np.std(values) > 0.001


def test_where_all_methods_start_is_a_row(tmp_path):
  """Once for each order and seed, with the cases of stage 0."""
  for method in ('er', 'smg'):
    for seed in range(2):
      run_folders.write(tmp_path / f'{method}{seed}', method, seed=seed)
  (study,), _ = _find(tmp_path)
  row = study.untrained
  assert (row.name, len(row.runs)) == ('untrained', 2)
  np.testing.assert_array_equal(row.summary('dice', 'unseen'), [0, 0])
  assert not row.summary('dice', 'BWT').size
  values = list(study_lib.case_scores(row, 'dice', ('a',)).values())
  assert len(values) == 4 and max(np.abs(values)) < 0.1


def test_distances_before_the_first_step_are_negative_too(tmp_path):
  folder = run_folders.write(tmp_path / 'er')
  results = json.loads((folder / 'results.json').read_text())
  results['metrics']['dice'] |= {
    'higher_is_better': False,
    'untrained': [1.0, 2.0, 4.0],
  }
  (folder / 'results.json').write_text(json.dumps(results))
  run = run_files.load(folder)
  (study,), _ = grouping.studies([run])
  for name, expected in (('ACC', -1.5), ('unseen', -4)):
    assert study.untrained.summary('dice', name) == [expected]


def test_only_rows_of_the_same_runs_are_drawn_together(tmp_path):
  for method, seeds in (('er', 3), ('smg', 3), ('mer', 2)):
    for seed in range(seeds):
      run_folders.write(tmp_path / f'{method}{seed}', method, seed=seed)
  (study,), _ = _find(tmp_path)
  rows, others = study_lib.alike(study.rows)
  assert {row.name for row in rows} == {'er', 'smg'}
  assert others == ' Of other orders or seeds, not shown: mer.'
  assert study_lib.alike(rows) == (rows, '')


def test_rows_that_lack_a_run_each_are_drawn_on_what_they_share(tmp_path):
  methods = ('er', 'smg', 'mer')
  for missing, method in enumerate(methods):
    for seed in {*range(8)} - {missing}:
      run_folders.write(tmp_path / f'{method}{seed}', method, seed=seed)
  (study,), _ = _find(tmp_path)
  rows, said = study_lib.alike(study.rows)
  assert {row.name for row in rows} == {*methods}
  assert {seed for row in rows for _, seed in row.cells} == {3, 4, 5, 6, 7}
  assert said == ' The 5 orders and seeds that all of these have.'


def test_best_first(tmp_path):
  for name, score in (('er', 0.25), ('smg', 0.75), ('mer', 0.5)):
    run_folders.write(tmp_path / name, name, score=score)
  (study,), _ = _find(tmp_path)
  names = [row.name for row in study.best_first(study.rows)]
  assert names == ['smg', 'mer', 'er']
