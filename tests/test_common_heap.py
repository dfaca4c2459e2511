import pathlib
import sys
import types

import jax
import jax.numpy as jnp
import pytest

from common import heap
from common.rules import descent


class _Function:
  """A function that, like one of ctypes, can be told its types."""

  def __init__(self, function):
    self._function = function

  def __call__(self, *args):
    return self._function(*args)


@pytest.fixture(autouse=True)
def _a_library_for_each_test():
  heap._make_give_back.cache_clear()
  yield
  heap._make_give_back.cache_clear()


def _resident_mib() -> int:
  pages = pathlib.Path('/proc/self/statm').read_text().split()[1]
  return int(pages) * 4096 // 2**20


def _leave_holes(num: int = 2000) -> bytearray:
  """Frees all but the last of many blocks, so that malloc keeps them."""
  blocks = [bytearray(b'1' * 100_000) for _ in range(num)]
  return blocks.pop()


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('limit_mib, is_trimmed', [(20, True), (2**30, False)])
def test_a_gradient_hands_back_what_is_free_if_it_is_much(
  monkeypatch, limit_mib, is_trimmed
):
  monkeypatch.setattr(heap, '_HOLES', limit_mib * 2**20)
  gradient = descent.make_gradient(
    lambda params, batch, key: ((params * batch).sum(), {'loss': 1.0})
  )
  last = _leave_holes()
  before = _resident_mib()
  grads, metrics = gradient(jnp.ones(2), jnp.full(2, 3.0), jax.random.key(0))
  handed_back = before - _resident_mib()
  assert (handed_back > 100) == is_trimmed
  assert grads.tolist() == [3, 3]
  assert metrics == {'loss': 1}
  assert len(last) == 100_000


def test_trimmed_when_it_has_grown_and_the_top_stays(monkeypatch):
  # The first is only to see whether it can be read.
  resident, trims = iter([0, 900, 400, 440, 470, 410, 450]), []
  found = heap._Mallinfo2(keepcost=300)
  libc = types.SimpleNamespace(
    mallinfo2=_Function(lambda: found), malloc_trim=_Function(trims.append)
  )
  monkeypatch.setattr(heap.ctypes, 'CDLL', lambda name: libc)
  monkeypatch.setattr(heap, '_HOLES', 50)
  monkeypatch.setattr(heap, '_resident', lambda: next(resident))
  heap.settled(0)  # 900, then 400
  heap.settled(0)  # 440
  assert trims == [300]
  found.keepcost = 350
  heap.settled(0)  # 470, then 410
  heap.settled(0)  # 450
  assert trims == [300, 350]
  assert not list(resident)


def test_a_system_without_proc_is_left_alone(monkeypatch):
  def missing():
    raise OSError('no /proc')

  monkeypatch.setattr(heap, '_resident', missing)
  assert heap.settled({'a': 1}) == {'a': 1}


def test_other_c_libraries_are_left_alone(monkeypatch):
  monkeypatch.setattr(heap.ctypes, 'CDLL', lambda name: object())
  assert heap.settled({'a': 1}) == {'a': 1}


def test_it_waits():
  waited = []
  leaf = types.SimpleNamespace(block_until_ready=lambda: waited.append(True))
  assert heap.settled({'a': leaf}) == {'a': leaf}
  assert waited


def test_it_passes_through_what_is_being_traced():
  assert jax.jit(heap.settled)(jnp.ones(2)).tolist() == [1, 1]
