"""The documents say what the runs say that come with them."""

import collections
from collections.abc import Iterator
import pathlib
import re
import tarfile

import pytest

from common import grouping, reproducibility

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  folder = tmp_path_factory.mktemp('evidence')
  for path in (ROOT / 'docs' / 'evidence').glob('*.tar.xz'):
    with tarfile.open(path) as archive:
      archive.extractall(folder, filter='data')
  return folder


def test_reproducibility_is_written_from_the_runs(runs, tmp_path):
  path = tmp_path / 'R.md'
  reproducibility.main([runs], str(path))
  written = (ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')
  # The library of the tests may come to round a p-value otherwise.
  numbers = [
    re.sub(r', p [^)]*', '', text)
    for text in (path.read_text('utf-8'), written)
  ]
  assert numbers[0] == numbers[1]


# A column of a table of the README -> metric, summary, sign, places; a column
# of p-values repeats those that REPRODUCIBILITY.md has beside its values.
_COLUMNS = {
  'ACC, Dice': ('dice', 'ACC', 1, 3),
  'unseen, Dice': ('dice', 'unseen', 1, 3),
  'lung landmarks, mm': ('tre', 'ACC', -1, 2),
  'BWT, Dice': ('dice', 'BWT', 1, 3),
}
_P_VALUES = 'p over runs, cases'
_MINUS = '\N{MINUS SIGN}'
_NONE = '\N{EN DASH}'


@pytest.mark.parametrize(
  'problem, heading',
  (
    ('segmentation: site_a', '### Segmentation, every method\n'),
    ('segmentation: vanderbilt', '### Segmentation, real sites\n'),
    ('registration: abdomen', '### Registration\n'),
  ),
)
def test_the_tables_of_the_readme(runs, problem, heading):
  """Every row, found among the summaries of the runs."""
  studies, left_out = grouping.find([runs])
  assert not left_out
  (study,) = (one for one in studies if one.title.startswith(problem))
  rows = {row.method: row for row in [*study.main_rows, study.untrained]}
  written = (ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')
  known = _by_method(written.partition(f'## {problem}')[2])
  text = (ROOT / 'README.md').read_text('utf-8')
  said = _by_method(text.partition(heading)[2])
  for method, cells in said.items():
    before = None
    for title, cell in cells:
      if title in _COLUMNS:
        metric, summary, sign, places = _COLUMNS[title]
        _check(cell, sign * rows[method].summary(metric, summary), places)
        before = f'{metric} {summary}'
      elif title == 'cases kept':
        assert cell == dict(known[method])[title]
      else:
        assert title == _P_VALUES
        found = re.search(r', p (.*)\)', dict(known[method])[before])
        assert cell == (found[1] if found else _NONE)
  most = max(len(row.runs) for row in study.main_rows)
  compared = {row.method for row in study.main_rows if len(row.runs) == most}
  assert set(said) == compared | {'untrained'}


def test_what_two_runs_say():
  """Means, the least and the largest differences beside them."""
  known = collections.defaultdict(list)
  for titles, rows in _tables((ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')):
    for row in rows:
      known[row[0]].append(dict(zip(titles, row, strict=True)))
  checked = 0
  for titles, rows in _tables((ROOT / 'README.md').read_text('utf-8')):
    for row in rows if titles[0] == 'two runs' else ():
      cells = zip(titles[1::2], row[1::2], row[2::2], strict=True)
      for title, mean, gaps in cells:
        column = ' '.join(_COLUMNS[title][:2])
        there = [other[column] for other in known[row[0].split('`')[1]]]
        found = [_of_two(cell) for cell in there if '[' in cell]
        assert _of_two(f'{mean} [{gaps}]') in found, (row, found)
        checked += 1
  assert checked > 20


def test_what_fifteen_runs_say():
  """Means, deviations and the tests against the usual row of the method."""
  known = {}
  for _, rows in _tables((ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')):
    for row in rows:
      if row[1] == '15':
        known[row[0]] = [re.match(r'(.*?) \(.*, p (.*)\)', c) for c in row[5:]]
  checked = 0
  for titles, rows in _tables((ROOT / 'README.md').read_text('utf-8')):
    for row in rows if titles[0] == 'fifteen runs' else ():
      found = [cell.groups() for cell in known[row[0].split('`')[1]] if cell]
      cells = [*zip(row[1::2], row[2::2], strict=True)]
      assert [(_number(mean), p) for mean, p in cells] == [
        (_number(mean), p) for mean, p in found
      ]
      checked += 1
  assert checked > 1


def _number(cell: str) -> list[float]:
  """.667 ± .000"""
  return [float(x) for x in cell.split(' ± ')]


def _of_two(cell: str) -> list[float]:
  """.667 ± .000 (+.001 [-.001, +.003], p ..."""
  found = re.match(r'(\S+) .*\[(.*), (.*)\]', cell)
  return [float(x.replace(_MINUS, '-')) for x in found.groups()]


def _by_method(text: str) -> dict[str, list[tuple[str, str]]]:
  """The first table of a text: method -> pairs of column and cell."""
  titles, rows = next(_tables(text))
  found = {}
  for name, *cells in rows:
    name = 'untrained' if name.startswith('before') else name
    found[name.strip('`').partition('`')[0]] = [
      *zip(titles[1:], cells, strict=True)
    ]
  return found


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
