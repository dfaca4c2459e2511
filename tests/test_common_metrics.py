"""Scores against hand-derived numbers and two independent implementations."""

import itertools

import numpy as np
import pytest
import SimpleITK

from common import metrics

SPACING = (1.0, 2.0, 3.0)


def _box(start: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
  mask = np.zeros((9, 8, 7), bool)
  mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = True
  return mask


def _blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
  """Two ragged masks that overlap, touch a border and differ in every axis."""
  rng = np.random.default_rng(seed)
  first = _box((0, 2, 1), (6, 4, 3)) & (rng.random((9, 8, 7)) < 0.9)
  second = _box((2, 1, 2), (6, 6, 4)) & (rng.random((9, 8, 7)) < 0.9)
  return first, second


def _slow_directed(
  first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...]
) -> np.ndarray:
  """Every pair of surface voxels, found by looking at each neighbour."""

  def surface(mask: np.ndarray) -> list[np.ndarray]:
    inside = {tuple(p) for p in np.argwhere(mask).tolist()}
    steps = [
      tuple(sign * (axis == k) for k in range(mask.ndim))
      for axis, sign in itertools.product(range(mask.ndim), (-1, 1))
    ]
    return [
      np.multiply(p, spacing)
      for p in sorted(inside)
      if any(tuple(np.add(p, step).tolist()) not in inside for step in steps)
    ]

  targets = surface(second)
  return np.array(
    [min(np.linalg.norm(p - q) for q in targets) for p in surface(first)]
  )


def test_dice_counts_voxels_and_names_the_label():
  fixed = np.array([[1, 1, 1, 0], [2, 2, 0, 0]])
  warped = np.array([[1, 1, 0, 0], [2, 0, 2, 5]])
  scores = metrics.dice_per_label(fixed, warped, (2, 1, 7, 5))
  np.testing.assert_allclose(scores, [0.5, 0.8, np.nan, 0.0], rtol=1e-15)


@pytest.mark.parametrize(
  ('axis', 'expected'), [(0, 2 * 1.0), (1, 2 * 2.0), (2, 2 * 3.0)]
)
def test_plates_two_voxels_apart(axis: int, expected: float):
  size = tuple(1 if k == axis else 3 for k in range(3))
  start = [2, 2, 2]
  first = _box(tuple(start), size)
  start[axis] += 2
  found = metrics.surface_distances(first, _box(tuple(start), size), SPACING)
  assert metrics.assd(found) == pytest.approx(expected)
  assert metrics.hd95(found) == pytest.approx(expected)
  assert metrics.surface_dice(found, expected) == 1
  assert metrics.surface_dice(found, expected - 1e-6) == 0


def test_hand_derived_line_segments():
  """A = {0, 1}, B = {1, 2, 3, 4, 5, 6} on a line of 0.5 mm voxels.

  With a second axis of one voxel all are surface: A to B 0.5, 0; B to A
  0, 0.5, 1, 1.5, 2, 2.5.
  """
  first, second = np.zeros((2, 8, 1), bool)
  first[:2], second[1:7] = True, True
  found = metrics.surface_distances(first, second, (0.5, 4.0))
  np.testing.assert_allclose(found.first_to_second, [0.5, 0])
  np.testing.assert_allclose(found.second_to_first, [0, 0.5, 1, 1.5, 2, 2.5])
  assert metrics.assd(found) == pytest.approx(8.0 / 8)
  assert metrics.hd95(found) == pytest.approx(2 + 0.75 * 0.5)
  assert metrics.surface_dice(found, 1.0) == pytest.approx(5 / 8)


@pytest.mark.parametrize('seed', range(3))
def test_agrees_with_exhaustive_search(seed: int):
  first, second = _blobs(seed)
  forward = _slow_directed(first, second, SPACING)
  backward = _slow_directed(second, first, SPACING)
  found = metrics.surface_distances(first, second, SPACING)
  np.testing.assert_allclose(found.first_to_second, forward)
  np.testing.assert_allclose(found.second_to_first, backward)
  both = np.concatenate([forward, backward])
  assert metrics.assd(found) == pytest.approx(both.mean())
  assert metrics.hd95(found) == pytest.approx(
    max(np.quantile(forward, 0.95), np.quantile(backward, 0.95))
  )
  assert metrics.surface_dice(found, 2.0) == pytest.approx((both <= 2.0).mean())


def test_agrees_with_simpleitk():
  first = _box((1, 1, 1), (3, 4, 2))
  second = _box((5, 3, 4), (3, 2, 2))

  def image(mask: np.ndarray) -> SimpleITK.Image:
    converted = SimpleITK.GetImageFromArray(mask.T.astype(np.uint8))
    converted.SetSpacing(SPACING)
    return converted

  hausdorff = SimpleITK.HausdorffDistanceImageFilter()
  hausdorff.Execute(image(first), image(second))
  found = metrics.surface_distances(first, second, SPACING)
  farthest = max(found.first_to_second.max(), found.second_to_first.max())
  assert farthest == pytest.approx(hausdorff.GetHausdorffDistance())

  def directed(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    edge = SimpleITK.LabelContour(image(target), fullyConnected=False)
    away = SimpleITK.Abs(
      SimpleITK.SignedMaurerDistanceMap(
        edge, squaredDistance=False, useImageSpacing=True
      )
    )
    here = SimpleITK.LabelContour(image(source), fullyConnected=False)
    return SimpleITK.GetArrayFromImage(away).T[
      SimpleITK.GetArrayFromImage(here).T > 0
    ]

  np.testing.assert_allclose(
    found.first_to_second, directed(first, second), rtol=1e-6
  )
  np.testing.assert_allclose(
    found.second_to_first, directed(second, first), rtol=1e-6
  )


def test_order_of_masks_does_not_matter_but_axes_do():
  first, second = _blobs(5)
  found = metrics.surface_distances(first, second, SPACING)
  swapped = metrics.surface_distances(second, first, SPACING)
  for score in (metrics.assd, metrics.hd95):
    assert score(found) == pytest.approx(score(swapped))
    wrong = metrics.surface_distances(first, second, SPACING[::-1])
    assert score(found) != pytest.approx(score(wrong))


def test_absent_labels():
  fixed = np.zeros((4, 5, 6), np.uint8)
  warped = np.zeros((4, 5, 6), np.uint8)
  fixed[1, 2, 3], warped[1, 2, 3] = 1, 1
  fixed[2, 2:4, 3] = 2
  warped[3, 1, 1] = 3
  scores = metrics.surface_scores_per_label(
    fixed, warped, (1, 2, 3, 4), spacing=SPACING, tolerance=1.0
  )
  diagonal = np.sqrt(4.0**2 + 10.0**2 + 18.0**2)
  for name in ('assd', 'hd95'):
    np.testing.assert_allclose(scores[name], [0, diagonal, diagonal, np.nan])
  np.testing.assert_allclose(scores['surface_dice'], [1, 0, 0, np.nan])


def test_tre_pulls_back_and_weighs_axes():
  """u = (2x, 0, -y) at (1.5, 2, 0.5) is (3, 0, -2), which leads to
  (4.5, 2, -1.5); the landmark there is missed by (0.5, 1, 2) voxels."""
  x, y, _ = np.meshgrid(*map(np.arange, (4, 5, 3)), indexing='ij')
  displacement = np.stack([2.0 * x, 0.0 * x, -1.0 * y], axis=-1)
  fixed = np.array([[1.5, 2.0, 0.5], [0.0, 0.0, 0.0]])
  moving = np.array([[4.0, 1.0, -3.5], [0.0, 0.0, 2.0]])
  np.testing.assert_allclose(
    metrics.tre(displacement, fixed, moving, (2.0, 3.0, 4.0)),
    [np.sqrt(1.0 + 9.0 + 64.0), 8.0],
  )


def test_tre_beyond_the_grid_and_without_landmarks():
  displacement = np.zeros((3, 4, 5, 3))
  displacement[2, :, :, 0] = 7.0
  outside = np.array([[2.6, 1.0, 1.0]])
  assert metrics.tre(displacement, outside, outside, SPACING) == (
    pytest.approx(7.0)
  )
  none = np.zeros((0, 3))
  assert metrics.tre(displacement, none, none, SPACING).shape == (0,)


def test_folding_fraction_trims_the_mask():
  determinant = np.ones((2, 3, 4))
  determinant[0, 1, 2], determinant[1, 0, 0], determinant[1, 2, 3] = -1, 0, -3
  mask = np.zeros((4, 5, 6))
  mask[1, 2, 3] = mask[2, 1, 1] = mask[1, 1, 1] = mask[0, 0, 0] = 1
  assert metrics.folding_fraction(determinant) == pytest.approx(3 / 24)
  assert metrics.folding_fraction(determinant, mask) == pytest.approx(2 / 3)
  assert np.isnan(metrics.folding_fraction(determinant, 0 * mask))


def test_sd_log_jacobian():
  determinant = np.exp(np.array([[1.0, 3.0], [1.0, 3.0]]))
  assert metrics.sd_log_jacobian(determinant) == pytest.approx(1.0)
  folded = np.array([1.0, -5.0])
  assert metrics.sd_log_jacobian(folded, floor=np.exp(-4)) == pytest.approx(2)
  assert np.isnan(metrics.sd_log_jacobian(determinant, np.zeros((2, 2))))
  keep = np.array([[1, 0], [1, 0]])
  assert metrics.sd_log_jacobian(determinant, keep) == pytest.approx(0.0)


def test_registry_says_which_way_is_up():
  up = {name for name, s in metrics.METRICS.items() if s.higher_is_better}
  assert up == {'dice', 'surface_dice'}
  assert {n for n, s in metrics.METRICS.items() if s.unit == 'mm'} == {
    'assd',
    'hd95',
    'tre',
  }


@pytest.mark.parametrize('spacing', [(1.0, 1.0), (1.0, 0.0, 1.0)])
def test_bad_spacing_is_named(spacing: tuple[float, ...]):
  mask = _box((1, 1, 1), (2, 2, 2))
  with pytest.raises(ValueError, match='spacing: found'):
    metrics.surface_distances(mask, mask, spacing)


def test_shapes_must_agree():
  with pytest.raises(ValueError, match='shapes differ'):
    metrics.dice_per_label(np.zeros((2, 3)), np.zeros((3, 2)), (1,))
