"""What a run takes: seconds of a step, and memory."""

import resource
import statistics
import sys
import time

import jax


class Pace:
  """Seconds of a step, from the times at which the device was waited for."""

  def __init__(self, clock=time.monotonic):
    self._clock = clock
    self._last: tuple[int, float] | None = None
    self._seconds: list[float] = []

  def pause(self) -> None:
    """What lies between now and the next mark is no step."""
    self._last = None

  def mark(self, step: int) -> None:
    """All steps before `step` are done."""
    now = self._clock()
    if self._last is not None and step > self._last[0]:
      self._seconds.append((now - self._last[1]) / (step - self._last[0]))
    self._last = (step, now)

  @property
  def median(self) -> float | None:
    """None before the second mark."""
    return statistics.median(self._seconds) if self._seconds else None


def peak_gib() -> float | None:
  """The most memory held so far: of the GPU if there is one, else the process.

  GiB; None where the platform does not say.
  """
  device = jax.devices()[0]
  if device.platform != 'cpu':
    return (device.memory_stats() or {}).get('peak_bytes_in_use', 0) / 2**30
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak / (2**20 if sys.platform == 'linux' else 2**30)
