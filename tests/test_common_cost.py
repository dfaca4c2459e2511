"""Seconds of a step, from a clock that is read off a list."""

import os
import re

import jax
import numpy as np
import pytest

from common import cost


def test_pace_is_the_median_between_marks():
  times = iter([0.0, 10.0, 100.0, 103.0, 200.0, 200.5])
  pace = cost.Pace(clock=lambda: next(times))
  pace.mark(0)  # not started
  assert pace.median is None
  for first, end in ((1, 6), (7, 13), (14, 16)):  # 2 s, 0.5 s, 0.25 s
    pace.start(first)
    pace.mark(end)
    pace.mark(end + 1)  # between them, what is no step
  assert pace.median == 0.5


def test_nothing_is_measured_without_a_step():
  pace = cost.Pace()
  pace.start(3)
  pace.mark(3)
  assert pace.median is None


def test_peak_holds_what_was_held():
  held = np.ones(2**26)  # half a GiB, written
  assert 0.5 < cost.peak_gib() < 64
  assert held[-1] == 1


@pytest.mark.skipif(
  not hasattr(os, 'sched_setaffinity') or jax.default_backend() != 'cpu',
  reason='needs a processor whose cores can be chosen',
)
def test_a_processor_is_named_with_the_cores_that_are_free():
  assert re.fullmatch(r'cpu: .+, \d+ of \d+ cores', cost.device())
  allowed = os.sched_getaffinity(0)
  try:
    os.sched_setaffinity(0, {min(allowed)})
    assert f', 1 of {os.cpu_count()} cores' in cost.device()
  finally:
    os.sched_setaffinity(0, allowed)
