"""What is written about how numbers came about."""

import json
import shlex

import pytest

from common import reproducibility
from tests import binaries, run_folders

DASH = '\N{EN DASH}'


def _say(folder, **fields):
  path = folder / 'results.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.fixture
def runs(tmp_path):
  for seed, score in enumerate((0.25, 0.75)):
    folder = run_folders.write(
      tmp_path / 'runs' / f'{seed}', seed=seed, score=score
    )
    _say(
      folder,
      wall_s=60.0 + 120 * seed,
      git='abc',
      device='cpu:x',
      jax='1.2',
      command=shlex.join(
        [
          'python',
          '-m',
          'smg.train',
          '--config=c.py',
          '--config.method=er',
          '--config.stream=(1, 2)',
          "--config.unseen=('a',)",
          f'--workdir={folder}',
          '--config.data.folder=/d',
        ]
      ),
    )
  return tmp_path / 'runs'


def test_command_commit_machine_time_and_numbers(runs, tmp_path):
  run_folders.write(runs / 'half', unfinished=True)
  path = tmp_path / 'R.md'
  reproducibility.main([runs], str(path))
  text = path.read_text()
  assert f'| er | 2 | abc | 2.0 | {DASH} | 0.500 ± 0.354 |' in text
  assert '- git: abc\n- device: cpu:x\n- jax: 1.2\n- hours' in text
  assert (
    'python -m smg.train --config=c.py --config.method=er '
    "'--config.stream=(1, 2)' \"--config.unseen=('a',)\" --workdir=RUN\n"
  ) in text
  assert str(runs / '0') not in text and '/d' not in text.split('bash')[1]
  assert f'- {runs}/half: not finished' in text


def test_hours_of_all_runs(runs, tmp_path):
  _say(runs / '0', wall_s=3600.0)
  _say(runs / '1', wall_s=None)
  _say(run_folders.write(runs / 'mer', 'mer'), wall_s=1800.0)
  reproducibility.main([runs], str(tmp_path / 'R.md'))
  text = (tmp_path / 'R.md').read_text()
  assert '- hours of 2 of its 3 runs: 1.5\n' in text


def test_real_data_are_somewhere(runs, tmp_path):
  for folder in runs.iterdir():
    config = json.loads((folder / 'config.json').read_text())
    config.setdefault('data', {})['synthetic'] = False
    (folder / 'config.json').write_text(json.dumps(config))
  reproducibility.main([runs], str(tmp_path / 'R.md'))
  text = (tmp_path / 'R.md').read_text()
  assert "('a',)\" --config.data.folder=DIR --workdir=RUN\n" in text


def test_commits_are_said_of_every_row(runs, tmp_path):
  _say(runs / '1', git=f'{"0123456" + 33 * "f"}-dirty')
  reproducibility.main([runs], str(tmp_path / 'R.md'))
  text = (tmp_path / 'R.md').read_text()
  assert '| er | 2 | 0123456-dirty abc | 2.0 |' in text
  assert '| untrained | 2 |  |  |' in text


def test_of_several_machines_every_row_says_which(runs, tmp_path):
  for seed, device in enumerate(('cpu:x', 'gpu:y')):
    folder = run_folders.write(runs / f'mer{seed}', 'mer', seed=seed)
    _say(folder, device=device, wall_s=60.0)
  reproducibility.main([runs], str(tmp_path / 'R.md'))
  text = (tmp_path / 'R.md').read_text()
  assert '- device: [1] cpu:x; [2] gpu:y\n' in text
  assert '| er | 2 | abc | 2.0 | [1] |' in text
  assert '| mer | 2 |  | 1.0 | [1] [2] |' in text
  assert '| untrained | 2 |  |  |  |' in text


def test_what_a_run_does_not_say_is_left_open(tmp_path):
  run_folders.write(tmp_path / 'runs' / '1')
  reproducibility.main([tmp_path / 'runs'], str(tmp_path / 'R.md'))
  text = (tmp_path / 'R.md').read_text()
  assert '- git: not recorded' in text
  assert '- hours of 0 of its 1 runs: not recorded\n' in text
  assert f'| er | 1 |  |  | {DASH} | 0.500 |' in text


def test_bad_arguments_end_in_one_line():
  found = binaries.refused('common.reproducibility', 'nowhere')
  assert '--out: missing' in found
