import jax.numpy as jnp
import numpy as np
import pytest

from common import checkpoint, errors

STATE = {'a': jnp.arange(6.0).reshape(2, 3), 'b': {'n': jnp.int32(4)}}


def test_round_trip_is_exact(tmp_path):
  kept = checkpoint.Checkpoints(tmp_path)
  progress = {'rows': [[0.1, float('nan')]], 'stage': 2}
  kept.save(5, STATE, progress)
  like = {'a': jnp.zeros((2, 3)), 'b': {'n': jnp.int32(0)}}
  state, found = kept.load_latest(like)
  np.testing.assert_array_equal(state['a'], STATE['a'])
  assert int(state['b']['n']) == 4
  assert found['stage'] == 2
  assert found['rows'][0][0] == 0.1
  assert np.isnan(found['rows'][0][1])


def test_keeps_the_newest(tmp_path):
  kept = checkpoint.Checkpoints(tmp_path, keep=2)
  for step in (9, 10, 11):
    kept.save(step, STATE, {})
  assert kept.steps() == [10, 11]


def test_nothing_saved_is_none(tmp_path):
  assert checkpoint.Checkpoints(tmp_path).load_latest(STATE) is None


def test_a_changed_number_is_noticed(tmp_path):
  """Not only unreadable files: the progress differs by one digit."""
  said = []
  kept = checkpoint.Checkpoints(tmp_path, say=said.append)
  kept.save(1, STATE, {'step': 1})
  kept.save(2, STATE, {'step': 2})
  path = tmp_path / 'step_2' / 'progress' / 'metadata'
  path.write_text(path.read_text().replace('"step": 2', '"step": 3'))
  _, progress = kept.load_latest(STATE)
  assert progress['step'] == 1
  assert 'the digest does not match' in said[0]


def test_an_unfinished_write_leaves_the_previous(tmp_path, monkeypatch):
  kept = checkpoint.Checkpoints(tmp_path)
  kept.save(1, STATE, {})

  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(checkpoint.os, 'replace', full)
  with pytest.raises(errors.InputError, match=r'step 2 not written .*\[1\]'):
    kept.save(2, STATE, {})
  assert kept.steps() == [1]
  assert [p.name for p in tmp_path.iterdir()] == ['step_1']


def test_a_disk_without_space_is_refused_before_writing(tmp_path, monkeypatch):
  kept = checkpoint.Checkpoints(tmp_path)
  kept.save(1, STATE, {})
  used = checkpoint.shutil.disk_usage(tmp_path)
  monkeypatch.setattr(
    checkpoint.shutil, 'disk_usage', lambda _: used._replace(free=27)
  )
  with pytest.raises(errors.InputError, match='the disk has'):
    kept.save(2, STATE, {})
  monkeypatch.setattr(
    checkpoint.shutil, 'disk_usage', lambda _: used._replace(free=28)
  )
  kept.save(2, STATE, {})
  assert kept.steps() == [1, 2]
