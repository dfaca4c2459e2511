"""Paired tests against values that can be counted by hand."""

import numpy as np
import pytest

from common.comparison import significance


def test_p_value_of_all_pairs_on_one_side():
  """5 pairs, all positive: 2 of 2^5 sign patterns are as extreme."""
  a = np.array([1.0, 2.0, 3.0, 4.0, 5.5])
  assert significance.paired(a, np.zeros(5)) == pytest.approx(2 / 32)
  assert significance.paired(np.zeros(5), a) == pytest.approx(2 / 32)


def test_a_pair_without_a_difference_says_nothing():
  """And does not turn the exact test into that for many pairs."""
  a = np.array([1.0, 2.0, 3.0, 4.0, 5.5, 0.0])
  assert significance.paired(a, np.zeros(6)) == pytest.approx(2 / 32)


def test_pairs_belong_together():
  """Equal distributions, but every case is better."""
  b = np.arange(10.0) ** 2
  assert significance.paired(b + 0.01 * (1 + np.arange(10)), b) < 0.01


def test_nothing_to_tell_apart():
  assert significance.paired([1.0, 2.0], [1.0, 2.0]) == 1.0
  assert np.isnan(significance.paired([], []))
  assert np.isnan(significance.paired([np.nan], [1.0]))


def test_holm_by_hand():
  """0.01 x 3, then 0.02 x 2, then 0.03 x 1, which may not fall below."""
  found = significance.holm(
    {'c': 0.03, 'a': 0.01, 'n': np.nan, 'b': 0.02, 'd': 0.9}
  )
  assert np.isnan(found.pop('n'))
  assert found == pytest.approx({'a': 0.04, 'b': 0.06, 'c': 0.06, 'd': 0.9})
  assert significance.holm({'a': 0.6, 'b': 0.7}) == {'a': 1.0, 'b': 1.0}
