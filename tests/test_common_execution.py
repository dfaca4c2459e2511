import pathlib
import sys

import jax.numpy as jnp
import pytest

from common import execution


def _resident_mib() -> int:
  pages = pathlib.Path('/proc/self/statm').read_text().split()[1]
  return int(pages) * 4096 // 2**20


def _leave_holes(num: int = 2000) -> bytearray:
  """Frees all but the last of many blocks, so that malloc keeps them."""
  blocks = [bytearray(b'1' * 100_000) for _ in range(num)]
  return blocks.pop()


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('limit_mib, is_trimmed', [(20, True), (2**30, False)])
def test_a_step_hands_back_what_is_free_if_it_is_much(
  monkeypatch, limit_mib, is_trimmed
):
  monkeypatch.setattr(execution, '_FREED', limit_mib * 2**20)
  step = execution.compiled(lambda state, batch, key: (state + batch, key))
  last = _leave_holes()
  before = _resident_mib()
  state, metrics = step(jnp.ones(2), jnp.full(2, 3.0), {'loss': 1})
  handed_back = before - _resident_mib()
  assert (handed_back > 100) == is_trimmed
  assert state.tolist() == [4, 4]
  assert metrics == {'loss': 1}
  assert len(last) == 100_000


def test_other_c_libraries_are_left_alone(monkeypatch):
  monkeypatch.setattr(execution.ctypes, 'CDLL', lambda name: object())
  execution._make_give_back.cache_clear()
  try:
    assert execution._make_give_back()() is None
  finally:
    execution._make_give_back.cache_clear()
