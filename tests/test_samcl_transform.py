"""Constant predictions, whose every displacement is known."""

import numpy as np
import pytest

from samcl import transform

SHAPE = (12, 8, 10)
MIDDLE = (0, 6, 4, 5)
ONES = {
  f'{side}_mask': np.ones((1, *SHAPE), np.uint8) for side in ('fixed', 'moving')
}


def _half_a_voxel(axis: int) -> np.ndarray:
  prediction = np.zeros((1, *SHAPE, 3), np.float32)
  prediction[..., axis] = 0.5
  return prediction


@pytest.mark.parametrize(
  ('fields', 'displacement'),
  [
    ({}, 1.0),
    ({'symmetric': False}, 0.5),
    ({'output': 'displacement'}, 0.5),
  ],
)
def test_there_and_back(fields, displacement):
  """exp(v) o exp(v), exp(v), and v itself; each the other way for -v."""
  way, prediction = transform.Transform(**fields), _half_a_voxel(axis=1)
  found = way.deform(prediction, ONES)
  wanted = np.array([0, displacement, 0])
  np.testing.assert_allclose(found.displacement[MIDDLE], wanted, atol=1e-3)
  back = way.inverse(prediction, found)
  np.testing.assert_allclose(back[MIDDLE], -wanted, atol=1e-3)


def test_images_meet_half_way_or_where_the_fixed_one_is():
  prediction = _half_a_voxel(axis=2)
  symmetric = transform.SYMMETRIC.deform(prediction, ONES)
  np.testing.assert_allclose(symmetric.half[MIDDLE], [0, 0, 0.5], atol=1e-3)
  np.testing.assert_allclose(
    symmetric.half_inverse[MIDDLE], [0, 0, -0.5], atol=1e-3
  )
  single = transform.Transform(symmetric=False).deform(prediction, ONES)
  np.testing.assert_array_equal(single.half, single.displacement)
  assert not np.any(single.half_inverse)


def test_a_voxel_counts_where_both_masks_come_to_lie():
  """One voxel along x: a column that either mask lacks, and the border."""
  masks = {name: mask.copy() for name, mask in ONES.items()}
  masks['moving_mask'][:, 7] = 0
  masks['fixed_mask'][:, 2] = 0
  prediction = 2 * _half_a_voxel(axis=0)
  way = transform.Transform(output='displacement')
  found = way.deform(prediction, masks).mask[0, :, 4, 5]
  wanted = np.ones(SHAPE[0], bool)
  wanted[[6, 2, SHAPE[0] - 1]] = False
  np.testing.assert_array_equal(found, wanted)


def test_an_output_that_is_none():
  with pytest.raises(ValueError, match='flow'):
    transform.Transform(output='flow')
