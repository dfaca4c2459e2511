import jax
import numpy as np
import pytest

from common import augment

OFF = {
  'contrast': 0.0,
  'invert': 0.0,
  'bias': 0.0,
  'noise': 0.0,
  'blur': 0.0,
  'mix': 0.0,
}


def _images(shape=(5, 12, 10, 2)) -> np.ndarray:
  rng = np.random.default_rng(0)
  smooth = np.cumsum(rng.random(shape, np.float32), axis=1)
  return (smooth / smooth.max()).astype(np.float32)


def _shifted(images, **strengths) -> np.ndarray:
  shift = augment.make_shift(augment.Appearance(**(OFF | strengths)))
  return np.asarray(jax.jit(shift)(images, jax.random.key(3)))


def test_all_off_is_the_identity():
  np.testing.assert_allclose(_shifted(_images()), _images(), atol=1e-6)


def test_contrast_keeps_the_order_of_intensities_and_inversion_turns_it():
  images = _images()
  for strengths, sign in (({'contrast': 1.0}, 1), ({'invert': 1.0}, -1)):
    found = _shifted(images, **strengths)
    for before, after in zip(images, found, strict=True):
      for channel in range(2):
        order = np.argsort(before[..., channel].ravel())
        steps = np.diff(after[..., channel].ravel()[order])
        assert (sign * steps >= -1e-6).all()
    assert np.abs(found - images).max() > 0.05
  np.testing.assert_allclose(
    _shifted(images, invert=1.0), 1 - images, atol=1e-6
  )


def test_every_sample_gets_an_appearance_of_its_own():
  same = np.repeat(_images()[:1], 4, axis=0)
  for name in ('contrast', 'bias', 'noise', 'blur'):
    found = _shifted(same, **{name: 0.5})
    assert np.abs(found[0] - found[1]).max() > 1e-3, name


def test_the_bias_field_is_smooth_and_one_for_all_channels():
  flat = np.full((3, 32, 24, 2), 0.4, np.float32)
  found = _shifted(flat, bias=0.3) / 0.4
  np.testing.assert_allclose(found[..., 0], found[..., 1], rtol=1e-6)
  field = np.log(found)
  assert np.diff(field, axis=1).std() < 0.3 * field.std()
  assert field.std() > 0.1


def test_noise_is_rician():
  dark = np.zeros((200, 16, 16, 1), np.float32)
  found = _shifted(dark, noise=0.2)
  level = found.reshape(200, -1).mean(axis=1) / np.sqrt(np.pi / 2)
  assert level.min() < 0.02 and 0.17 < level.max() < 0.21
  assert level.mean() == pytest.approx(0.1, abs=0.012)


def test_blur_spreads_a_point_more_often_than_it_sharpens_it():
  """Of the point the smooth copy has the square of the middle tap,
  1 / (1 + 2 (e^-.5 + e^-2 + e^-4.5)), so that shares can be read off it."""
  point = np.zeros((200, 9, 7, 1), np.float32)
  point[:, 4, 3] = 0.5
  found = _shifted(point, blur=1.0)[:, 4, 3, 0] / 0.5
  tap = 1 / (1 + 2 * np.exp([-0.5, -2.0, -4.5]).sum())
  share = (1 - found) / (1 - tap**2)
  assert -0.501 < share.min() < -0.45 and 0.95 < share.max() < 1.001
  assert share.mean() == pytest.approx(0.25, abs=0.1)


def test_amplitudes_are_mixed_and_phases_kept():
  images = _images((4, 16, 16, 1))
  found = _shifted(images, mix=1.0)
  # Clipping to [0, 1] is not linear: compare where it does nothing.
  inside = (found > 0).all(axis=(1, 2, 3)) & (found < 1).all(axis=(1, 2, 3))
  assert inside.any()
  before, after = (np.fft.fft2(x[inside][..., 0]) for x in (images, found))
  low = np.abs(before) > 1e-3
  np.testing.assert_allclose(np.angle(after[low] / before[low]), 0, atol=1e-2)
  assert np.abs(np.abs(after) - np.abs(before)).max() > 0.1
  high = np.hypot(*np.meshgrid(np.fft.fftfreq(16), np.fft.fftfreq(16))) > 0.1
  np.testing.assert_allclose(after[:, high], before[:, high], atol=1e-3)


def test_volumes_too():
  images = _images((2, 8, 6, 10, 1))
  shift = augment.make_shift(augment.Appearance())
  found = np.asarray(shift(images, jax.random.key(0)))
  assert found.shape == images.shape
  assert found.min() >= 0 and found.max() <= 1


def test_bad_strengths_are_refused():
  with pytest.raises(
    ValueError, match=r'appearance.invert: found 2, allowed 0'
  ):
    augment.Appearance(invert=2)
