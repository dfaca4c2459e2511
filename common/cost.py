"""What a run takes: a machine, seconds of a step, and memory."""

from collections.abc import Callable
import os
import pathlib
import platform
import re
import resource
import statistics
import sys
import time

import jax


class Pace:
  """Seconds of a step, from times at which the device was waited for."""

  def __init__(self, clock: Callable[[], float] = time.monotonic):
    self._clock = clock
    self._since: tuple[int, float] | None = None
    self._seconds: list[float] = []

  def start(self, step: int) -> None:
    """`step` comes next, and nothing but steps until the next mark."""
    self._since = (step, self._clock())

  def mark(self, step: int) -> None:
    """All steps before `step` are done; what follows is no step."""
    if self._since is not None and step > self._since[0]:
      seconds = self._clock() - self._since[1]
      self._seconds.append(seconds / (step - self._since[0]))
    self._since = None

  @property
  def median(self) -> float | None:
    """None where no two steps followed each other unlogged."""
    return statistics.median(self._seconds) if self._seconds else None


def device() -> str:
  """The accelerator, or the processor with the cores that may be used of it."""
  found = jax.devices()[0]
  if found.platform != 'cpu':
    return f'{found.platform}: {found.device_kind}'
  cores = os.cpu_count()
  if hasattr(os, 'sched_getaffinity'):
    cores = len(os.sched_getaffinity(0))
  return f'cpu: {_processor()}, {cores} of {os.cpu_count()} cores'


def _processor() -> str:
  listed = pathlib.Path('/proc/cpuinfo')
  text = listed.read_text('utf-8') if listed.exists() else ''
  model = re.search(r'^model name\s*: (.+)', text, re.MULTILINE)
  return model[1] if model else platform.processor() or platform.machine()


def peak_gib() -> float | None:
  """The most memory held so far: of the GPU if there is one, else the process.

  GiB; None where the platform does not say.
  """
  device = jax.devices()[0]
  if device.platform != 'cpu':
    found = (device.memory_stats() or {}).get('peak_bytes_in_use')
    return None if found is None else found / 2**30
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak / (2**20 if sys.platform == 'linux' else 2**30)
