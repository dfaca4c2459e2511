"""The documents say what the runs say that come with them."""

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
}
_P_VALUES = 'p over runs, cases'
# 0.667 ± 0.000 (+0.001 [−0.001, +0.003], p ...
_MEAN_AND_GAPS = r'^(\S+) .*\[(.*), (.*)\]'
_NONE = '\N{EN DASH}'


@pytest.mark.parametrize(
  'problem, heading',
  (
    ('segmentation', '### Segmentation, every method\n'),
    ('registration', '### Registration\n'),
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
  """ACC and the brackets beside it, in one of the tables that have the row."""
  written = (ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')
  known = [
    (_cells(line)[0], _cells(line)[5])
    for line in re.findall(r'^\|.*\| 2\*? \|.*', written, re.MULTILINE)
  ]
  text = (ROOT / 'README.md').read_text('utf-8')
  tables = re.findall(r'^\| two runs \|.*\n((?:\|.*\n)+)', text, re.MULTILINE)
  said = [line for table in tables for line in table.splitlines()[1:]]
  assert len(said) > 5
  for line in said:
    name, mean, gaps = _cells(line)
    wanted = [_number(x) for x in (mean, *gaps.split(', '))]
    found = [
      [_number(x) for x in re.search(_MEAN_AND_GAPS, cell).groups()]
      for other, cell in known
      if other == name.split('`')[1] and '[' in cell
    ]
    assert any(there == wanted for there in found), line


def _cells(line: str) -> list[str]:
  return [cell.strip() for cell in line.split('|')[1:-1]]


def _number(text: str) -> float:
  return float(text.replace('\N{MINUS SIGN}', '-'))


def _by_method(text: str) -> dict[str, list[tuple[str, str]]]:
  """The first table of a text: method -> pairs of column and cell."""
  lines = re.search(r'(?:^\|.*\n)+', text, re.MULTILINE)[0].splitlines()
  titles, _, *rows = map(_cells, lines)
  found = {}
  for name, *cells in rows:
    name = 'untrained' if name.startswith('before') else name
    found[name.strip('`').partition('`')[0]] = [
      *zip(titles[1:], cells, strict=True)
    ]
  return found


def _check(cell: str, values, places: int) -> None:
  if cell == _NONE:
    assert not values.size
    return
  mean, _, spread = cell.partition(' ± ')
  close = 0.5 * 0.1**places
  assert float(mean) == pytest.approx(values.mean(), abs=close)
  if spread:
    assert float(spread) == pytest.approx(values.std(ddof=1), abs=close)
