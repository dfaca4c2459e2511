"""How a step is run: compiled as a whole on accelerators, in pieces on CPU."""

from collections.abc import Callable
import ctypes
import functools

import jax

from common import train_state as ts

# What malloc may hold of freed memory after a step on CPU, bytes. Taking pages
# anew costs time, 2 % of a large step, so what small ones leave is kept.
_FREED = 2**29


def compiled(step: ts.StepFn) -> ts.StepFn:
  """The step as it is best here; on accelerators the state is donated.

  On CPU the pieces of a step are compiled one by one: SAMCL's would hold six
  copies of the gradient, a minute and more to compile. Between its programs
  malloc is left with holes that the next large block does not fit into; they go
  back to the system after the step.
  """
  if jax.default_backend() != 'cpu':
    return jax.jit(step, donate_argnums=0)
  give_back = _make_give_back()

  def run(state, batch, key):
    after = step(state, batch, key)
    give_back()
    return after

  return run


class _Mallinfo2(ctypes.Structure):
  """`struct mallinfo2` of glibc's malloc.h."""

  _fields_ = [
    (name, ctypes.c_size_t)
    for name in (
      'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd',
      'usmblks', 'fsmblks', 'uordblks', 'fordblks', 'keepcost',
    )
  ]  # fmt: skip


@functools.cache
def _make_give_back() -> Callable[[], None]:
  """Trims the heap where much of it is free; nothing without glibc >= 2.33."""
  try:
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo2
    trim = libc.malloc_trim
  except (AttributeError, OSError, TypeError):
    return lambda: None

  def give_back() -> None:
    if libc.mallinfo2().fordblks > _FREED:
      trim(0)

  return give_back
