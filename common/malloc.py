"""How glibc is to hand out memory, which it reads when a process starts."""

import os
import sys

# Large arrays come and go with every step; without these glibc hands their
# pages back and takes them anew each time, a quarter of the time of a CPU step.
_SETTINGS = {
  'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1',
  'MALLOC_MMAP_MAX_': '0',
  'MALLOC_TRIM_THRESHOLD_': str(2**34),
  'MALLOC_TOP_PAD_': str(2**28),
}


def restart() -> None:
  """Starts the process over, once, with settings that glibc reads at start."""
  if sys.platform != 'linux' or any(name in os.environ for name in _SETTINGS):
    return
  arguments = [sys.executable, *sys.orig_argv[1:]]
  os.execve(sys.executable, arguments, os.environ | _SETTINGS)
