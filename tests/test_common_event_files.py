"""What TensorBoard reads in a copy is what the run has."""

import json
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

RUNS = ('one', 'two')


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
  assert 'done: 1 runs' in capsys.readouterr().out


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


def test_runs_that_go_on_and_begin_are_followed(tmp_path, monkeypatch):
  folder = tmp_path / 'runs'
  run_folders.write(folder / 'one', log=LOG)
  log = folder / 'one' / 'metrics.jsonl'
  whole = log.read_text()
  log.write_text(whole[: whole.index('\n') + 20])  # a line and a piece

  def go_on() -> None:
    log.write_text(whole)

  def resume() -> None:  # from a checkpoint before the last line
    log.write_text(whole[: whole.index('\n') + 1])

  def end() -> None:
    log.write_text(whole + json.dumps(LOG[1] | {'step': 7}) + '\n')
    (folder / 'one' / 'report.html').write_text('')
    run_folders.write(folder / 'two', log=LOG[:1])

  def interrupt() -> None:
    raise KeyboardInterrupt

  happenings = iter([go_on, resume, end, interrupt])
  monkeypatch.setattr(time, 'sleep', lambda _: next(happenings)())
  event_files.write([folder], tmp_path / 'board', follow=True)
  first, second = (_read(tmp_path / 'board' / 'runs' / n) for n in RUNS)
  steps = [step for step, _ in _curve(first, 'train/loss/total')]
  assert steps == [0, 5, 7]
  assert 'stages_dice/a' in first.Tags()['scalars']
  assert _curve(second, 'train/loss/total') == [(0, 2.0)]


def test_folders_without_a_run(tmp_path):
  with pytest.raises(errors.InputError, match=r'nothing: found no run'):
    event_files.write([tmp_path / 'nothing'], tmp_path / 'board')
  assert not (tmp_path / 'board').exists()


def test_a_place_that_cannot_be_written_to(finished, tmp_path):
  (tmp_path / 'board').write_text('a file')
  with pytest.raises(errors.InputError, match=r'board/one: cannot be written'):
    event_files.write([finished], tmp_path / 'board')
