"""Evaluation beside the authors': what agrees, and where ours is defined.

Their conventions that are not ours: a label absent from both images scores
Dice 1 and ASSD 0; distances are in voxels; the landmark error is a root mean
square in a grid of twice the size and also taken at padding; the determinant
of a 3-D Jacobian has two wrong signs.
"""

import numpy as np
import pytest

from common import metrics, spatial
from tests import parity_arrays


def _labels(arrays: dict[str, np.ndarray]) -> range:
  return range(1, int(arrays['num_classes']))


def test_dice():
  arrays = parity_arrays.load('o_metrics')
  ours = np.stack(
    [
      metrics.dice_per_label(fixed, warped, _labels(arrays))
      for fixed, warped in zip(
        arrays['fixed_seg'], arrays['warped_moving_seg'], strict=True
      )
    ]
  )
  theirs = arrays['dice_per_class']
  absent = np.isnan(ours)
  np.testing.assert_allclose(ours[~absent], theirs[~absent], rtol=1e-9)
  np.testing.assert_array_equal(theirs[absent], 1.0)
  np.testing.assert_allclose(
    np.nan_to_num(ours, nan=1.0).mean(), arrays['dice_mean'], rtol=1e-9
  )


def test_assd():
  arrays = parity_arrays.load('o_metrics')
  undefined = arrays['assd_undefined'].astype(bool)
  for sample in range(len(undefined)):
    fixed = arrays['fixed_seg'][sample]
    warped = arrays['warped_moving_seg'][sample]
    ours = metrics.surface_scores_per_label(
      fixed, warped, _labels(arrays), spacing=(1.0,) * 3, tolerance=1.0
    )['assd']
    theirs, missing = arrays['assd_per_class'][sample], undefined[sample]
    np.testing.assert_allclose(ours[~missing], theirs[~missing], rtol=2e-3)
    np.testing.assert_array_equal(theirs[missing], 0.0)
    # Where theirs is set to the best value ours is unscored or the worst.
    worst = np.linalg.norm(fixed.shape)
    assert all(np.isnan(d) or d == pytest.approx(worst) for d in ours[missing])


def _tre_twofold(
  displacement: np.ndarray, fixed: np.ndarray, moving: np.ndarray
) -> np.ndarray:
  """`|q + 2 u(c) - r|` with `c = q (S - 1) / (2 S - 1)`, by the product.

  Half the residual `r - q` is moved to c, and the voxel is 2 fine voxels wide.
  """
  size = np.array(displacement.shape[:-1], dtype=np.float64)
  coarse = fixed * ((size - 1) / (2 * size - 1))[None]
  return metrics.tre(
    displacement, coarse, coarse + (moving - fixed) / 2, (2.0, 2.0, 2.0)
  )


def _root_mean_square(distances: np.ndarray) -> float:
  return float(np.sqrt(np.mean(distances**2)))


def test_landmarks_of_a_batch():
  arrays = parity_arrays.load('o_metrics')
  batch = parity_arrays.load('h_i_net_L2')
  displacement = parity_arrays.channels_last(arrays['disp'].astype(np.float64))
  theirs, ours = [], []
  for sample, count in enumerate(batch['n_keypoints']):
    fixed, moving = batch['keypoints'][sample, :, :count].astype(np.float64)
    distances = _tre_twofold(displacement[sample], fixed, moving)
    theirs.append(_root_mean_square(distances))
    if batch['domain'][sample] == 'NLST':
      ours.append(distances.mean())
    else:
      # One dummy point: their error is the corner's displacement.
      corner = 2 * np.linalg.norm(displacement[sample, 0, 0, 0])
      assert theirs[-1] == pytest.approx(corner, rel=1e-6)
  np.testing.assert_allclose(theirs, arrays['tre_per_sample'], rtol=1e-6)
  np.testing.assert_allclose(
    np.sum(theirs) / np.count_nonzero(theirs), arrays['tre_mean'], rtol=1e-6
  )
  # Ours averages real landmarks of samples that have any.
  assert len(ours) < len(theirs)
  assert np.mean(ours) != pytest.approx(float(arrays['tre_mean']), rel=1e-3)


def test_key_points():
  arrays = parity_arrays.load('o_keypoints')
  displacement = parity_arrays.channels_last(arrays['disp'].astype(np.float64))
  for sample, theirs in enumerate(arrays['tre']):
    fixed = arrays['fixed_keypoints'][sample].astype(np.float64)
    moving = arrays['moving_keypoints'][sample].astype(np.float64)
    distances = _tre_twofold(displacement[sample], fixed, moving)
    warped = arrays['warped_fixed_keypoints'][sample]
    np.testing.assert_allclose(
      distances, np.linalg.norm(warped - moving, axis=-1), rtol=1e-9
    )
    assert _root_mean_square(distances) == pytest.approx(theirs, rel=1e-9)
    # Ours reports every landmark, and reads the field where the point is.
    assert distances.mean() < theirs
    right = metrics.tre(displacement[sample], fixed / 2, moving / 2, (2,) * 3)
    assert np.abs(right - distances).max() > 1e-6


def _reference_determinant(displacement: np.ndarray) -> np.ndarray:
  """The determinant with the wrong signs of the released code added back."""
  true = np.asarray(spatial.jacobian_determinant(displacement))
  gradient = np.stack(np.gradient(displacement, axis=(1, 2, 3)), axis=-1)[
    :, 1:-1, 1:-1, 1:-1
  ]
  a, b, c = (np.moveaxis(gradient[..., k], -1, 0) for k in range(3))
  wrong = 2 * (1 + a[0]) * b[2] * c[1] + 2 * a[1] * b[0] * (1 + c[2])
  return true + wrong


@pytest.mark.parametrize('folded', ['', '_folded'])
def test_negative_jacobian_counts(x64, folded: str):
  del x64
  arrays = parity_arrays.load('o_metrics')
  displacement = parity_arrays.channels_last(
    arrays[f'disp{folded}'].astype(np.float64)
  )
  mask = arrays['fixed_mask']
  interior = mask[:, 1:-1, 1:-1, 1:-1].astype(bool)

  def count(determinant: np.ndarray) -> float:
    fractions = [
      metrics.folding_fraction(one, where)
      for one, where in zip(determinant, mask, strict=True)
    ]
    per_sample = np.multiply(fractions, interior.sum(axis=(1, 2, 3)))
    return float(per_sample.mean())

  true = np.asarray(spatial.jacobian_determinant(displacement))
  name = f'n_neg_jacobian{folded}'
  assert count(true) == pytest.approx(float(arrays[f'{name}_true']))
  reference = _reference_determinant(displacement)
  assert count(reference) == pytest.approx(float(arrays[f'{name}_reference']))
