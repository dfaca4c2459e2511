import numpy as np

from smg import gate


def _judge(shares, **fields):
  """Of labels of 20 voxels, as many of them foreground as the shares say."""
  label = np.zeros((len(shares), 20), np.uint8)
  for row, share in zip(label, shares, strict=True):
    row[: round(20 * share)] = 1
  return gate.judge(
    np.zeros((len(shares), 20, 1)),
    label,
    label,
    classes=(1,),
    agreement=1.0,
    **fields,
  )


def test_the_range_of_foreground_is_widened_at_both_ends():
  """.2 to .4 by a half: .1 to .6."""
  shares = (0.05, 0.1, 0.15, 0.5, 0.6, 0.65)
  found = _judge(shares, area=np.array([0.2, 0.4]), area_margin=0.5)
  assert found.sized.tolist() == [False, True, True, True, True, False]
  assert found.choose(5).tolist() == [1, 2, 3, 4, 1]
  assert found.to_metrics()['replay/rejected_area'] == 2


def test_without_a_margin_the_range_is_that_of_the_site():
  found = _judge(
    (0.15, 0.2, 0.4, 0.45), area=np.array([0.2, 0.4]), area_margin=0
  )
  assert found.sized.tolist() == [False, True, True, False]


def test_where_none_passes_the_finite_ones_are_taken():
  found = _judge((0.9, 0.95), area=np.array([0.2, 0.4]), area_margin=0.5)
  assert not found.passed.any()
  assert found.choose(3).tolist() == [0, 1, 0]
