"""The memory that malloc holds on CPU, and when the system gets it back."""

from collections.abc import Callable
import ctypes
import functools
import os
import pathlib
from typing import Any

import jax

# By how much memory may grow before holes in it go back, bytes. Handing back
# takes a while, as do pages that are taken anew; a small step leaves few.
_HOLES = 2**26


def settled(tree: Any) -> Any:
  """Waits for what computes `tree`; if memory grew, holes in the heap go back.

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
  """Trims the heap below its top, if the process has grown since it last did.

  Does nothing without glibc >= 2.33 and /proc.
  """
  try:
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo2
    trim = libc.malloc_trim
    trim.argtypes = [ctypes.c_size_t]
    _resident()
  except (AttributeError, OSError, TypeError):
    return lambda: None
  kept = 0

  def give_back() -> None:
    nonlocal kept
    if _resident() - kept > _HOLES:
      trim(libc.mallinfo2().keepcost)
      kept = _resident()

  return give_back


def _resident() -> int:
  """Bytes of this process in memory, without those of files."""
  pages = pathlib.Path('/proc/self/statm').read_text().split()
  return (int(pages[1]) - int(pages[2])) * os.sysconf('SC_PAGE_SIZE')
