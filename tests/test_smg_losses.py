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
  logits = np.random.default_rng(0).normal(size=(2, 3, 4, 3))
  return {'image': logits.astype(np.float32), 'label': label}


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
  index = np.select([batch['label'] == 5, batch['label'] == 2], [1, 2], 0)
  surprise = -np.log(np.take_along_axis(p, index[..., None], -1))[..., 0]
  dice = []
  for c in (1, 2):
    q = index == c
    overlap = (p[..., c] * q).sum()
    dice.append(2 * overlap / ((p[..., c] ** 2).sum() + q.sum()))
  total, metrics = _loss(batch, dice_weight=2.0, cross_entropy_weight=3.0)
  np.testing.assert_allclose(
    metrics['loss/cross_entropy'], surprise.mean(), rtol=1e-5
  )
  np.testing.assert_allclose(metrics['loss/dice'], 1 - np.mean(dice), rtol=1e-5)
  np.testing.assert_allclose(
    total, 2 * (1 - np.mean(dice)) + 3 * surprise.mean(), rtol=1e-5
  )


def test_the_right_answer_has_no_loss():
  batch = _batch()
  index = np.select([batch['label'] == 5, batch['label'] == 2], [1, 2], 0)
  batch['image'] = 50 * np.eye(3, dtype=np.float32)[index]
  assert float(_loss(batch)[0]) == pytest.approx(0, abs=1e-4)


def test_distance_is_the_softened_divergence_times_four():
  rng = np.random.default_rng(1)
  found, wanted = (rng.normal(size=(2, 3, 4, 3)) for _ in range(2))

  def soft(x):
    p = np.exp(x / 2)
    return p / p.sum(-1, keepdims=True)

  p, q = soft(wanted), soft(found)
  by_voxel = (p * np.log(p / q)).sum(-1)
  expected = 4 * by_voxel.mean()
  np.testing.assert_allclose(
    losses.distance(found, wanted), expected, rtol=1e-5
  )
  assert losses.distance(wanted, wanted) == 0
