"""The table of finished runs."""

import numpy as np
import pytest

from common import compare, run_files, scores
from common.comparison import study as study_lib
from tests import binaries


def _run(
  method: str, seed: int, acc: float, log=(), stream=('a', 'b'), **config
) -> run_files.Run:
  results = {
    'problem': 'toy',
    'method': method,
    'stream': list(stream),
    'unseen': ['c'],
  }
  config = {'method': method, 'seed': seed, 'rule': config}
  matrix = np.array([[acc + 0.25, 0.0, np.nan], [acc, acc, np.nan]])
  start, sites = np.full(3, np.nan), (*stream, 'c')
  dice = scores.Scores('dice', '1', True, matrix, start, sites, 2)
  return run_files.Run(config, results, {'dice': dice}, list(log), {})


def test_mean_and_sample_deviation_best_method_first():
  runs = [_run('low', 0, 0.25), _run('high', 0, 0.5), _run('high', 1, 1)]
  assert list(compare.tables(runs)) == [
    'toy: a, b; unseen c',
    '',
    '| method | runs | dice ACC | dice BWT |',
    '| --- | --- | --- | --- |',
    '| high | 2 | 0.750 ± 0.354 | -0.250 ± 0.000 |',
    '| low | 1 | 0.250 | -0.250 |',
    '',
  ]


def test_a_table_for_each_stream():
  runs = [_run('er', 0, 0.5), _run('er', 0, 0.5, stream=('b', 'a'))]
  lines = list(compare.tables(runs))
  assert [line for line in lines if line.startswith('toy')] == [
    'toy: a, b; unseen c',
    'toy: b, a; unseen c',
  ]


def test_variants_have_rows_of_their_own():
  runs = [
    _run('smg', seed, acc, alpha=alpha, order='random')
    for alpha, acc in ((0.0, 0.25), (0.1, 0.5))
    for seed in (0, 1)
  ]
  lines = list(compare.tables([*runs, _run('er', 0, 0.125, alpha=7)]))
  assert [line.split(' | ')[:2] for line in lines[4:7]] == [
    ['| smg rule.alpha=0.1', '2'],
    ['| smg rule.alpha=0.0', '2'],
    ['| er', '1'],
  ]


def test_agreement_is_of_the_last_half_of_each_stage():
  def line(stage, step, value, split='train'):
    cosine = {'cosine/orientational': value}
    return {'stage': stage, 'step': step, 'split': split} | cosine

  log = [
    *[line(2, step, value) for step, value in enumerate((9, 9, 0.5, 0.25))],
    *[line(3, 10 + step, value) for step, value in enumerate((9, 1, 2))],
    line(3, 12, 9, split='generator'),
    {'stage': 3, 'step': 12, 'split': 'train'},
    line(3, 12, None),  # not finite when it was measured
  ]
  run = _run('smg', 0, 0.5, log)
  expected = (0.375 + 1.5) / 2
  assert study_lib.agreement(run, 'cosine/orientational') == expected
  assert study_lib.agreement(run, 'cosine/arbitrary') is None
  lines = list(compare.tables([run, _run('er', 0, 0.25)]))
  assert lines[2].endswith('| cosine/orientational |')
  assert lines[4].endswith('| 0.938 |') and lines[5].endswith('|  |')


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [([], 'found none'), (['nowhere'], 'no finished run'), (['-x'], 'x')],
)
def test_bad_arguments_end_in_one_line(arguments, expected):
  assert expected in binaries.refused('common.compare', *arguments)
