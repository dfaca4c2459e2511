"""The memory that malloc holds on CPU, and when the system gets it back."""

from collections.abc import Callable
import ctypes
import functools
from typing import Any

import jax

# What may lie free below the top of the heap, bytes. Pages that are taken anew
# cost time, so the holes that small arrays leave are kept.
_HOLES = 2**26


def settled(tree: Any) -> Any:
  """Waits for what computes `tree`; then holes in the heap go back.

  Between programs small arrays break up the room that the next large one needs.
  The top of the heap stays: the next program fits in there.
  """
  jax.block_until_ready(tree)
  _make_give_back()()
  return tree


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
  """Trims the heap below its top; does nothing without glibc >= 2.33."""
  try:
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo2
    trim = libc.malloc_trim
    trim.argtypes = [ctypes.c_size_t]
  except (AttributeError, OSError, TypeError):
    return lambda: None

  def give_back() -> None:
    found = libc.mallinfo2()
    if found.fordblks - found.keepcost > _HOLES:
      trim(found.keepcost)

  return give_back
