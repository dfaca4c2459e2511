"""The binaries on the smallest stream: files, resume after SIGKILL, SIGTERM."""

import json
import pathlib
import signal
import subprocess
import time

import numpy as np
import pytest

from tests import binaries

FILES = ('per_case.csv', 'results.json', 'metrics.jsonl')
SMALL = (
  '--config.train.num_steps=(3,)',
  '--config.train.checkpoint_every=2',
  '--config.model.num_levels=1',
  "--config.stream=('brain_mr','lung_ct')",
  '--config.data.num_train=2',
  '--config.data.num_test=1',
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> pathlib.Path:
  return tmp_path_factory.mktemp('train')


def _start(folder, workdir, *more, binary='train') -> subprocess.Popen:
  return binaries.start(
    f'samcl.{binary}', 'samcl_tiny', folder, workdir, *SMALL, *more
  )


def _finish(process: subprocess.Popen) -> str:
  return binaries.finish(process)[0]


@pytest.fixture(scope='module')
def whole(folder) -> pathlib.Path:
  out = _finish(_start(folder, folder / 'whole'))
  assert out.splitlines()[-1].startswith('done: registration samcl seed 0')
  return folder / 'whole'


def _wait_for(path: pathlib.Path, process: subprocess.Popen) -> None:
  for _ in range(4000):
    if path.exists() or process.poll() is not None:
      return
    time.sleep(0.05)


def _assert_same_end(a: pathlib.Path, b: pathlib.Path) -> None:
  for name in ('per_case.csv', 'metrics.jsonl'):
    assert (a / name).read_bytes() == (b / name).read_bytes()
  results = [json.loads((x / 'results.json').read_text()) for x in (a, b)]
  for field in ('metrics', 'summary', 'steps'):
    assert results[0][field] == results[1][field]


def test_a_run_leaves_its_files(whole):
  for name in ('config.json', 'report.html', *FILES):
    assert (whole / name).stat().st_size > 0
  names = {path.name for path in (whole / 'figures').glob('*.png')}
  assert {'matrix_dice.png', 'pair_brain_mr.png', 'pair_lung_ct.png'} <= names
  results = json.loads((whole / 'results.json').read_text())
  matrix = np.array(results['metrics']['dice']['matrix'], float)
  assert matrix.shape == (2, 2)
  assert results['stream'] == ['brain_mr', 'lung_ct']


def test_a_run_killed_again_and_again_ends_as_an_uninterrupted_one(
  folder, whole
):
  """Before its first checkpoint, after one within a stage, after a stage."""
  workdir = folder / 'killed'
  for reached in ('metrics.jsonl', 'checkpoints/step_2', 'checkpoints/step_3'):
    process = _start(folder, workdir)
    _wait_for(workdir / reached, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
  _finish(_start(folder, workdir))
  _assert_same_end(whole, workdir)


def test_sigterm_saves_and_exits_cleanly(folder, whole):
  workdir = folder / 'terminated'
  process = _start(folder, workdir)
  _wait_for(workdir / 'metrics.jsonl', process)
  process.terminate()
  assert 'start again to go on' in _finish(process)
  assert list((workdir / 'checkpoints').glob('step_*'))
  _finish(_start(folder, workdir))
  _assert_same_end(whole, workdir)


def test_another_config_is_refused_and_named(folder, whole):
  process = _start(folder, whole, '--config.optim.lr=0.5')
  _, err = process.communicate(timeout=240)
  assert process.returncode == 2
  there = json.loads((whole / 'config.json').read_text())['optim']['lr']
  assert f'config.optim.lr: found {there} there, asked for 0.5' in err


def test_a_second_process_is_refused(folder):
  workdir = folder / 'shared'
  first = _start(folder, workdir)
  _wait_for(workdir / 'config.json', first)
  second = _start(folder, workdir)
  _, err = second.communicate(timeout=240)
  first.kill()
  first.communicate()
  assert second.returncode == 2
  assert f'in use by another process (pid {first.pid})' in err


def test_evaluate_repeats_the_last_row(folder, whole):
  # Of another method too, whose state the checkpoint does not have.
  other = '--config.method=ewc'
  out = _finish(_start(folder, whole, other, binary='evaluate'))
  results = json.loads((whole / 'results.json').read_text())
  expected = results['metrics']['dice']['matrix'][-1][0]
  brain = next(x for x in out.splitlines() if x.startswith('brain_mr'))
  assert float(brain.split()[1]) == pytest.approx(expected, abs=1e-4)


def test_evaluate_without_a_run_is_refused(folder, tmp_path):
  process = _start(folder, tmp_path / 'none', binary='evaluate')
  _, err = process.communicate(timeout=240)
  assert process.returncode == 2
  assert 'checkpoints: found no checkpoint' in err
