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


def test_the_table_of_the_readme(runs):
  """Every row, found among the summaries of the runs."""
  text = (ROOT / 'README.md').read_text('utf-8')
  written = (ROOT / 'REPRODUCIBILITY.md').read_text('utf-8')
  section = text.partition('### Registration\n')[2].partition('###')[0]
  lines = re.findall(r'^\| (.*) \|$', section, re.MULTILINE)[1:]
  studies, left_out = grouping.find([runs])
  assert not left_out
  (study,) = (one for one in studies if one.title.startswith('registration'))
  rows = {row.method: row for row in [*study.main_rows, study.untrained]}
  said = set()
  for line in lines:
    title, acc, p_values, landmarks, unseen = line.split(' | ')
    method = title.strip('`').partition('`')[0]
    method = 'untrained' if method == 'before registration' else method
    said.add(method)
    (known,) = re.findall(rf'^\| {method} \| 15 .*', written, re.MULTILINE)
    assert method == 'samcl' or f'p {p_values})' in known.split(' | ')[4]
    for cell, metric, summary, sign, places in (
      (acc, 'dice', 'ACC', 1, 3),
      (landmarks, 'tre', 'ACC', -1, 2),
      (unseen, 'dice', 'unseen', 1, 3),
    ):
      values = sign * rows[method].summary(metric, summary)
      mean, _, spread = cell.partition(' ± ')
      assert float(mean) == pytest.approx(values.mean(), abs=0.5 * 0.1**places)
      if spread:
        found = values.std(ddof=1)
        assert float(spread) == pytest.approx(found, abs=0.5 * 0.1**places)
  most = max(len(row.runs) for row in study.main_rows)
  compared = {row.method for row in study.main_rows if len(row.runs) == most}
  assert said == compared | {'untrained'}
