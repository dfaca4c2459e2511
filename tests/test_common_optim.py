import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import errors, optim


def test_cosine_falls_to_its_final_ratio():
  schedule = optim.create_schedule(
    'cosine', lr=2.0, num_steps=(10, 4), warmup=2, final_ratio=0.25
  )
  np.testing.assert_allclose(schedule(0), 0.0)
  np.testing.assert_allclose(schedule(2), 2.0)
  np.testing.assert_allclose(schedule(6), (2.0 + 0.5) / 2, rtol=1e-6)
  np.testing.assert_allclose(schedule(10), 0.0)
  np.testing.assert_allclose(schedule(12), 2.0)
  np.testing.assert_allclose(schedule(13), (2.0 + 0.5) / 2, rtol=1e-6)
  np.testing.assert_allclose(schedule(14), 0.5, rtol=1e-6)


def test_updates_follow_the_schedule():
  grads = {'w': jnp.array([1.0, -2.0])}
  tx = optim.create_optimizer('sgd', schedule=lambda step: 0.1 * step)
  updates, _ = tx.update(grads, tx.init(grads), grads, step=jnp.array(3))
  np.testing.assert_allclose(updates['w'], [-0.3, 0.6], rtol=1e-6)


def test_decay_is_added_to_the_gradient():
  """Adam's first step has length lr whatever the gradient: L2, not AdamW."""
  params, zero = {'w': jnp.array([3.0, -2.0])}, {'w': jnp.zeros(2)}
  tx = optim.create_optimizer(
    'adam', schedule=optax.constant_schedule(0.1), weight_decay=1e-3
  )
  updates, _ = tx.update(zero, tx.init(params), params, step=0)
  np.testing.assert_allclose(updates['w'], [-0.1, 0.1], rtol=1e-3)
  tx = optim.create_optimizer(
    'adamw', schedule=optax.constant_schedule(0.1), weight_decay=1e-3
  )
  updates, _ = tx.update(zero, tx.init(params), params, step=0)
  np.testing.assert_allclose(updates['w'], [-3e-4, 2e-4], rtol=1e-5)


def test_clipping():
  tx = optim.create_optimizer(
    'sgd', schedule=optax.constant_schedule(1.0), clip_norm=1.0
  )
  grads = {'w': jnp.array([3.0, 4.0])}
  updates, _ = tx.update(grads, tx.init(grads), grads, step=0)
  np.testing.assert_allclose(updates['w'], [-0.6, -0.8], rtol=1e-6)
  assert float(optax.tree.norm(updates)) == pytest.approx(1.0)


@pytest.mark.parametrize('name', ['lion', ''])
def test_unknown_names_are_refused(name):
  with pytest.raises(errors.InputError, match='allowed: adam, adamw, sgd'):
    optim.create_optimizer(name, schedule=optax.constant_schedule(1.0))
  with pytest.raises(errors.InputError, match='allowed: constant, cosine'):
    optim.create_schedule(name, lr=1.0, num_steps=(3,))
