import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import problem
from smg import losses

# Class 5 comes before class 2 in the order of the logits.
CLASSES = (5, 2)


def _batch():
  label = np.zeros((2, 3, 4), np.uint8)
  label[0, 1], label[1, :, 2], label[1, 0, 0] = 5, 2, 5
  mask = np.ones_like(label)
  mask[0, :, 3] = 0
  logits = np.random.default_rng(0).normal(size=(2, 3, 4, 3))
  return {'image': logits.astype(np.float32), 'label': label, 'mask': mask}


def _make_loss(**weights):
  return problem.make_loss(
    lambda p, batch: p * batch['image'],
    losses.make_objective(classes=CLASSES, **weights),
  )


def _loss(batch, **weights):
  loss = _make_loss(**weights)
  return loss(jnp.float32(1), batch, jax.random.key(0))


def test_both_terms_by_hand():
  batch = _batch()
  p = np.exp(batch['image']) / np.exp(batch['image']).sum(-1, keepdims=True)
  inside = batch['mask'] > 0
  index = np.select([batch['label'] == 5, batch['label'] == 2], [1, 2], 0)
  surprise = -np.log(np.take_along_axis(p, index[..., None], -1))[..., 0]
  dice = []
  for c in (1, 2):
    q = (index == c)[inside]
    overlap = (p[..., c][inside] * q).sum()
    dice.append(2 * overlap / ((p[..., c][inside] ** 2).sum() + q.sum()))
  total, metrics = _loss(batch, dice_weight=2.0, cross_entropy_weight=3.0)
  np.testing.assert_allclose(
    metrics['loss/cross_entropy'], surprise[inside].mean(), rtol=1e-5
  )
  np.testing.assert_allclose(metrics['loss/dice'], 1 - np.mean(dice), rtol=1e-5)
  np.testing.assert_allclose(
    total, 2 * (1 - np.mean(dice)) + 3 * surprise[inside].mean(), rtol=1e-5
  )


def test_what_is_outside_the_mask_does_not_count():
  batch, other = _batch(), _batch()
  other['image'][0, :, 3] += 7
  other['label'][0, :, 3] = 2
  assert _loss(batch)[0] == _loss(other)[0]


def test_an_empty_mask_is_finite():
  batch = _batch()
  batch['mask'][:] = 0
  value, grads = jax.value_and_grad(
    lambda p: _make_loss()(p, batch, jax.random.key(0))[0]
  )(jnp.float32(1))
  assert np.isfinite(value) and np.isfinite(grads)


def test_the_right_answer_has_no_loss():
  batch = _batch()
  index = np.select([batch['label'] == 5, batch['label'] == 2], [1, 2], 0)
  batch['image'] = 50 * np.eye(3, dtype=np.float32)[index]
  assert float(_loss(batch)[0]) == pytest.approx(0, abs=1e-4)


def test_distance_is_the_softened_divergence_times_four():
  rng = np.random.default_rng(1)
  found, wanted = (rng.normal(size=(2, 3, 4, 3)) for _ in range(2))
  batch = _batch()

  def soft(x):
    p = np.exp(x / 2)
    return p / p.sum(-1, keepdims=True)

  p, q = soft(wanted), soft(found)
  by_voxel = (p * np.log(p / q)).sum(-1)
  expected = 4 * by_voxel[batch['mask'] > 0].mean()
  np.testing.assert_allclose(
    losses.distance(found, wanted, batch), expected, rtol=1e-5
  )
  assert losses.distance(wanted, wanted, batch) == 0
