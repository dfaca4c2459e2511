"""What TensorBoard reads in a copy is what the run has."""

import json
import threading
import time

import pytest
from tensorboard.backend.event_processing import event_accumulator

from common import errors, event_files
from tests import run_folders

LOG = [
  {'stage': 1, 'site': 'a', 'step': 0, 'split': 'train', 'loss/total': 2.0},
  {'stage': 1, 'site': 'a', 'step': 5, 'split': 'train', 'loss/total': 1.5},
  {'stage': 2, 'site': 'b', 'step': 9, 'split': 'generator', 'x': None},
]


def _read(folder) -> event_accumulator.EventAccumulator:
  found = event_accumulator.EventAccumulator(str(folder))
  found.Reload()
  return found


def _curve(found, tag):
  return [(event.step, event.value) for event in found.Scalars(tag)]


@pytest.fixture
def finished(tmp_path):
  folder = run_folders.write(tmp_path / 'runs' / 'one', log=LOG)
  run_folders.add_picture(folder, 'matrix_dice.png')
  (folder / 'report.html').write_text('')
  return folder


def test_a_finished_run(finished, tmp_path, capsys):
  event_files.write([finished], tmp_path / 'board')
  found = _read(tmp_path / 'board' / 'one')
  assert _curve(found, 'train/loss/total') == [(0, 2.0), (5, 1.5)]
  # Untrained, then after each of two stages.
  wanted = [(0, 0.0), (1, 0.25), (2, 0.5)]
  assert _curve(found, 'stages_dice/a') == wanted
  assert 'generator/x' not in found.Tags()['scalars']
  (picture,) = found.Images('figures/matrix_dice')
  assert (picture.height, picture.width) == (20, 30)
  assert '1 runs, 1 of them ended' in capsys.readouterr().out


def test_runs_are_told_apart_by_their_paths(tmp_path):
  for group in ('first', 'second'):
    run_folders.write(tmp_path / group / 'er', log=LOG)
  event_files.write([tmp_path / 'first', tmp_path / 'second'], tmp_path / 'b')
  for group in ('first', 'second'):
    assert _curve(_read(tmp_path / 'b' / group / 'er'), 'train/loss/total')


def test_a_second_time_replaces_the_first(finished, tmp_path):
  for _ in range(2):
    event_files.write([finished], tmp_path / 'board')
  found = _read(tmp_path / 'board' / 'one')
  assert _curve(found, 'train/loss/total') == [(0, 2.0), (5, 1.5)]


def test_a_run_that_goes_on_is_followed(finished, tmp_path, monkeypatch):
  monkeypatch.setattr(event_files, '_PERIOD', 0.01)
  report, log = finished / 'report.html', finished / 'metrics.jsonl'
  report.unlink()
  whole = log.read_text()
  log.write_text(whole[: whole.index('\n') + 20])  # a line and a piece
  following = threading.Thread(
    target=event_files.write,
    args=([finished], tmp_path / 'board'),
    kwargs={'follow': True},
  )
  following.start()
  time.sleep(0.2)
  assert following.is_alive()
  log.write_text(whole + json.dumps(LOG[1] | {'step': 7}) + '\n')
  report.write_text('')
  following.join(timeout=20)
  assert not following.is_alive()
  found = _read(tmp_path / 'board' / 'one')
  assert [step for step, _ in _curve(found, 'train/loss/total')] == [0, 5, 7]


def test_folders_without_a_run(tmp_path):
  with pytest.raises(errors.InputError, match=r'nothing: found no run'):
    event_files.write([tmp_path / 'nothing'], tmp_path / 'board')
  assert not (tmp_path / 'board').exists()


def test_a_place_that_cannot_be_written_to(finished, tmp_path):
  (tmp_path / 'board').write_text('a file')
  with pytest.raises(errors.InputError, match=r'board/one: cannot be written'):
    event_files.write([finished], tmp_path / 'board')
