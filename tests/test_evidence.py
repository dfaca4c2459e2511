"""The documents say what the runs say that come with them."""

import collections
from collections.abc import Iterator
import pathlib
import re
import shlex
import tarfile

import numpy as np
import pytest

from common import grid, reproducibility
from common.comparison import grouping
from common.comparison import study as study_lib
from common.comparison import table as table_lib
from configs import sweep_realdata, sweep_samcl, sweep_smg

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'docs' / 'results.md'


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  folder = tmp_path_factory.mktemp('evidence')
  for path in (ROOT / 'docs' / 'evidence').glob('*.tar.xz'):
    with tarfile.open(path) as archive:
      archive.extractall(folder, filter='data')
  return folder


@pytest.fixture(scope='module')
def studies(runs):
  found, left_out = grouping.find([runs])
  assert not left_out
  return found


@pytest.mark.parametrize(
  ('name', 'module'),
  [
    ('sweep_real', sweep_realdata),
    ('sweep_samcl', sweep_samcl),
    ('sweep_smg', sweep_smg),
  ],
)
def test_all_runs_of_a_sweep_are_there_and_no_other(runs, name, module):
  groups = module.get_config().groups.to_dict()
  wanted = {run.folder for run in grid.list_runs(groups, runs / name)}
  assert {path.parent for path in (runs / name).rglob('results.json')} == wanted


def test_reproducibility_is_written_from_the_runs(runs, tmp_path):
  path = tmp_path / 'R.md'
  reproducibility.main([runs], str(path))
  written = (ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')
  texts = [path.read_text('utf-8'), written]
  rest = [re.sub(r', p [^)]*', '', text) for text in texts]
  assert rest[0] == rest[1]
  # The library of the tests may come to round a p-value otherwise.
  values = [
    [[*map(_p_value, pair)] for pair in _PAIR.findall(text)] for text in texts
  ]
  assert len(values[0]) > 250
  np.testing.assert_allclose(*values, rtol=0, atol=0.0015)


# Of a difference, over runs and over cases.
_PAIR = re.compile(r', p ([^,)]+), ([^,)]+)\)')


def _p_value(said: str) -> float:
  if said == _NONE:
    return np.nan
  return 0.0005 if said == '< .001' else float(said)


# A column of a table of the results -> metric, summary, sign, places; a column
# of p-values repeats those that REPRODUCIBILITY.md has beside its values.
_COLUMNS = {
  'ACC, Dice': ('dice', 'ACC', 1, 3),
  'unseen, Dice': ('dice', 'unseen', 1, 3),
  'lung landmarks, mm': ('tre', 'ACC', -1, 2),
  'BWT, Dice': ('dice', 'BWT', 1, 3),
  'liver landmarks, mm': ('tre', 'ACC', -1, 2),
}
# Of a single task, at the end.
_SITES = {'brain, Dice': 'brain_mr', 'hippocampus, Dice': 'hippocampus_mr'}
_P_VALUES = 'p over runs, cases'
_MINUS = '\N{MINUS SIGN}'
_NONE = '\N{EN DASH}'


@pytest.mark.parametrize(
  'problem, heading',
  (
    ('segmentation: site_a', '## Segmentation, every method\n'),
    ('segmentation: vanderbilt', '## Segmentation, real sites\n'),
    ('registration: abdomen', '## Registration\n'),
    ('registration: brain', '## Registration, real tasks\n'),
  ),
)
def test_the_tables_of_the_results(studies, problem, heading):
  """Every row, found among the summaries of the runs."""
  (study,) = (one for one in studies if one.title.startswith(problem))
  rows = {row.method: row for row in [*study.main_rows, study.untrained]}
  written = (ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')
  known = _by_method(written.partition(f'## {problem}')[2])
  said = _by_method(RESULTS.read_text('utf-8').partition(heading)[2])
  for method, cells in said.items():
    before = None
    for title, cell in cells:
      if title in _COLUMNS:
        metric, summary, sign, places = _COLUMNS[title]
        _check(cell, sign * rows[method].summary(metric, summary), places)
        before = f'{metric} {summary}'
      elif title in _SITES:
        _check(cell, rows[method].site_scores('dice', _SITES[title]), 3)
      elif title == 'cases kept':
        assert cell == dict(known[method])[title]
      else:
        assert title == _P_VALUES
        found = re.search(r', p (.*)\)', dict(known[method])[before])
        assert cell == (found[1] if found else _NONE)
  most = max(len(row.runs) for row in study.main_rows)
  compared = {row.method for row in study.main_rows if len(row.runs) == most}
  assert set(said) == compared | {'untrained'}


@pytest.mark.parametrize(
  'first, heading',
  (
    ('segmentation', '## Segmentation, every method\n'),
    ('registration', '## Registration\n'),
  ),
)
def test_the_tables_of_the_readme(first, heading):
  """Rows and columns of those of the results."""
  results = dict(_by_method(RESULTS.read_text('utf-8').partition(heading)[2]))
  titles, rows = next(
    table
    for table in _tables((ROOT / 'README.md').read_text('utf-8'))
    if table[0][0] == first
  )
  assert len(rows) > 5
  for name, *cells in rows:
    found = zip(titles[1:], cells, strict=True)
    assert set(found) <= set(results[_method(name)]), name


def test_the_cameras_of_the_results(studies):
  """Two columns a study: ACC of what was learnt, Dice on the unseen site."""
  titles, rows = next(
    table
    for table in _tables(RESULTS.read_text('utf-8'))
    if table[0][0] == 'three cameras'
  )
  for number in range(1, len(titles), 2):
    stream, unseen = titles[number : number + 2]
    learnt = ', '.join(sorted(stream.split(', ')))
    title = f'segmentation: {learnt}; {unseen}'
    (study,) = (one for one in studies if one.title == title)
    found = {row.method: row for row in [*study.main_rows, study.untrained]}
    assert set(found) == {_method(name) for name, *_ in rows}
    for name, *cells in rows:
      row, (acc, other) = found[_method(name)], cells[number - 1 : number + 1]
      _check(acc, row.summary('dice', 'ACC'), 3)
      _check(other, row.summary('dice', 'unseen'), 3)


def test_what_two_runs_say():
  """Means, the least and the largest differences beside them."""
  checked = 0
  for there, mean, gaps in _said_of('two runs'):
    found = [_of_two(cell) for _, cell in there if '[' in cell]
    assert _of_two(f'{mean} [{gaps}]') in found, (there, mean, gaps)
    checked += 1
  assert checked > 20


def test_what_fifteen_runs_say():
  """Means, deviations, and p against the row that it is held against."""
  checked = 0
  for there, mean, p in _said_of('fifteen runs'):
    found = [_of_fifteen(cell) for number, cell in there if number == '15']
    said = *_of_fifteen(mean)[:2], None if p == _NONE else p
    assert said in found, (there, mean, p)
    checked += 1
  assert checked > 3


def test_what_is_held_against_one_row(studies):
  """Every row of such a table, corrected for all of its rows."""
  found = [
    table
    for table in _tables(RESULTS.read_text('utf-8'))
    if table[0][0].startswith('against')
  ]
  assert len(found) == 2
  for titles, said in found:
    names = [_row(cells[0]) for cells in said]
    study, rows = next(
      (study, [by_name[name] for name in names])
      for study in studies
      if set(names) <= set(by_name := {row.name: row for row in study.rows})
    )
    (reference,) = (
      row
      for row, cells in zip(rows, said, strict=True)
      if {*cells[2::2]} == {_NONE}
    )
    table = table_lib.create(study, rows, reference)
    for row, (name, *cells) in zip(rows, said, strict=True):
      few = re.search(r', (two|three) runs', name)
      wanted = {'two': 2, 'three': 3}[few[1]] if few else 15
      assert len(row.runs) == wanted
      for number, summary in enumerate(('ACC', 'unseen')):
        assert titles[1 + 2 * number] == f'{summary}, Dice'
        mean, p = cells[2 * number : 2 * number + 2]
        _check(mean, row.summary('dice', summary), 3)
        test = table.tests.get((row.name, ('dice', summary)))
        expected = [test.p_runs, test.p_cases] if test else np.nan
        np.testing.assert_allclose(
          [*map(_p_value, p.split(', '))], expected, rtol=0, atol=0.0006
        )


def test_the_cosines(studies):
  """Of the orders and seeds that all steps tried have."""
  (study,) = (x for x in studies if x.title.startswith('segmentation: site_a'))
  rows = {
    row.name: row
    for row in study.rows
    if re.fullmatch(r'smg_er( alignment\.alpha=\S+)?', row.name)
  }
  shared = set.intersection(*(row.cells for row in rows.values()))
  (said,) = (
    table
    for titles, table in _tables(RESULTS.read_text('utf-8'))
    if titles[0].startswith('cosine')
  )
  assert {_row(name) for name, *_ in said} == set(rows)
  for name, *cells in said:
    for kind, cell in zip(('orientational', 'arbitrary'), cells, strict=True):
      values = [
        study_lib.agreement(run, f'cosine/{kind}')
        for run in rows[_row(name)].only(shared).runs
      ]
      _check(cell, np.array(values), 3)


def test_the_best_settings_are_those_of_runs(studies):
  """On top of the base that the title names, nothing else changed."""
  checked = []
  for titles, rows in _tables(RESULTS.read_text('utf-8')):
    if titles[0] != 'methods':
      continue
    base = titles[1].split('`')[1]
    for names, cell in rows:
      wanted = [] if cell.startswith('none') else cell.split('`')[1].split()
      for method in names.split(', '):
        checked.append(method)
        assert any(
          _changed(run.results['command'], base) == (method.strip('`'), wanted)
          for study in studies
          for row in study.rows
          for run in row.runs
        ), (base, method)
  assert len(checked) > 15


def _changed(command: str, base: str) -> tuple[str, list[str]] | None:
  """Method and fields of a run of a base, but for what any run sets."""
  words = shlex.split(command)
  if f'--config={base}' not in words:
    return None
  fields = [
    word.removeprefix('--config.')
    for word in words
    if word.startswith('--config.')
  ]
  (method,) = (x for x in fields if x.startswith('method='))
  own = ('method=', 'seed=', 'stream=', 'data.folder=')
  kept = sorted(x for x in fields if not x.startswith(own))
  return method.removeprefix('method='), kept


def _said_of(first: str) -> Iterator[tuple[list[tuple[str, str]], str, str]]:
  """Pairs of cells in the results, and what REPRODUCIBILITY has of their kind.

  Of tables with this first title; runs and the cell of every row so named.
  """
  known = collections.defaultdict(list)
  for titles, rows in _tables((ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')):
    for row in rows:
      known[row[0]].append(dict(zip(titles, row, strict=True)))
  for titles, rows in _tables(RESULTS.read_text('utf-8')):
    for name, *row in rows if titles[0] == first else ():
      cells = zip(titles[1::2], row[::2], row[1::2], strict=True)
      for title, *pair in cells:
        column = ' '.join(_COLUMNS[title][:2])
        there = [(x['runs'], x[column]) for x in known[_row(name)]]
        yield there, *pair


def _of_two(cell: str) -> list[float]:
  """.667 ± .000 (+.001 [-.001, +.003], p ..."""
  found = re.match(r'(\S+) .*\[(.*), (.*)\]', cell)
  return [float(x.replace(_MINUS, '-')) for x in found.groups()]


def _of_fifteen(cell: str) -> tuple[float, float, str | None]:
  """.667 ± .000 (+.001, p .500, .020)"""
  mean, deviation, p = re.match(
    r'(\S+) ± (\S+)(?:.*, p (.*)\))?', cell
  ).groups()
  return float(mean), float(deviation), p


def _by_method(text: str) -> dict[str, list[tuple[str, str]]]:
  """The first table of a text: method -> pairs of column and cell."""
  titles, rows = next(_tables(text))
  found = {}
  for name, *cells in rows:
    found[_method(name)] = [*zip(titles[1:], cells, strict=True)]
  return found


def _method(name: str) -> str:
  """`smg`, generated cases -> smg."""
  name = 'untrained' if name.startswith('before') else name
  return name.strip('`').partition('`')[0]


def _row(name: str) -> str:
  """`smg a=1 b=2`, generated cases -> smg a=1 b=2."""
  return name.split('`')[1]


def _tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
  """Titles and rows."""
  for table in re.findall(r'(?:^\|.*\n)+', text, re.MULTILINE):
    titles, _, *rows = (
      [cell.strip() for cell in line.split('|')[1:-1]]
      for line in table.splitlines()
    )
    yield titles, rows


def _check(cell: str, values, places: int) -> None:
  if cell == _NONE:
    assert not values.size
    return
  mean, _, spread = cell.replace(_MINUS, '-').partition(' ± ')
  close = 0.5 * 0.1**places
  assert float(mean) == pytest.approx(values.mean(), abs=close)
  if spread:
    assert float(spread) == pytest.approx(values.std(ddof=1), abs=close)
