"""Which slices stand for a site."""

import numpy as np
import pytest

from smg import figures


@pytest.mark.parametrize(
  'filled, chosen',
  (
    # Three volumes of 20 slices, of which the middle four have classes.
    ([8, 9, 10, 11, 28, 29, 30, 31, 48, 49, 50, 51], [9, 11, 29, 31, 49, 51]),
    ([7], [7] * 6),
    ([3, 50, 59], [3, 3, 50, 50, 59, 59]),
    ([], [5, 15, 25, 35, 45, 55]),
  ),
)
def test_slices_that_show_something_stand_for_a_site(filled, chosen):
  label = np.zeros((60, 4, 5), np.uint8)
  label[filled, 2, 3] = 1
  assert figures.spread(label).tolist() == chosen
