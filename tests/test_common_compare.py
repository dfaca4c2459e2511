"""The table of finished runs, from results.json alone."""

import json
import pathlib

import pytest

from common import compare, errors
from tests import binaries


def _entry(method: str, seed: int, acc: float, **more) -> dict:
  return {
    'problem': 'toy',
    'method': method,
    'seed': seed,
    'stream': ['a', 'b'],
    'unseen': ['c'],
    'summary': {'dice': {'ACC': acc, 'BWT': -0.25, 'unseen': None}},
  } | more


def _write(folder: pathlib.Path, entry: dict) -> pathlib.Path:
  folder.mkdir()
  (folder / 'results.json').write_text(json.dumps(entry))
  return folder


def test_mean_and_sample_deviation_best_method_first():
  runs = [_entry('low', 0, 0.25), _entry('high', 0, 0.5), _entry('high', 1, 1)]
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
  runs = [_entry('er', 0, 0.5), _entry('er', 0, 0.5, stream=['b', 'a'])]
  lines = list(compare.tables(runs))
  assert [line for line in lines if line.startswith('toy')] == [
    'toy: a, b; unseen c',
    'toy: b, a; unseen c',
  ]


def test_one_method_and_seed_twice_is_refused():
  with pytest.raises(errors.InputError, match='2 runs of er with seed 3'):
    list(compare.tables([_entry('er', 3, 0.5), _entry('er', 3, 0.25)]))


@pytest.mark.parametrize('text', ['', '{', '[]', '3', '{"problem": "toy"}'])
def test_what_no_run_wrote_is_refused(tmp_path, text):
  (tmp_path / 'results.json').write_text(text)
  with pytest.raises(errors.InputError, match=r'results\.json: '):
    compare.read(tmp_path)


def test_as_a_user_starts_it(tmp_path):
  folders = [
    _write(tmp_path / str(seed), _entry('er', seed, 0.5)) for seed in (0, 1)
  ]
  done = binaries.run('common.compare', *map(str, folders))
  assert done.returncode == 0, done.stderr
  assert '| er | 2 | 0.500 ± 0.000 |' in done.stdout


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [([], 'found none'), (['nowhere'], 'nowhere/results.json'), (['-x'], 'x')],
)
def test_bad_arguments_end_in_one_line(arguments, expected):
  assert expected in binaries.refused('common.compare', *arguments)
