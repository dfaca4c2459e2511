"""Seconds of a step, from a clock that is read off a list."""

import jax.numpy as jnp

from common import cost


def test_pace_is_the_median_between_marks():
  times = iter([0.0, 10.0, 14.0, 100.0, 103.0, 103.5])
  pace = cost.Pace(clock=lambda: next(times))
  assert pace.median is None
  for step in (0, 5, 9):  # the first five with compilation: 2 s, then 1 s
    pace.mark(step)
  pace.pause()
  for step in (9, 15, 17):  # 0.5 s, then 0.25 s
    pace.mark(step)
  assert pace.median == 0.75


def test_peak_grows_with_what_is_held():
  before = cost.peak_gib()
  held = jnp.ones((64, 2**20)).block_until_ready()
  assert cost.peak_gib() >= before > 0.05
  assert cost.peak_gib() < 64
  del held
