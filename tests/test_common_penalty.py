"""Penalties on losses whose gradients are known by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import methods
from common import train_state as ts
from common.rules import penalty

KEY = 0
W = np.array([1.0, -2.0], np.float32)


def _loss(params, batch, key):
  """0.5 mean_b |w - x_b|^2: the gradient is w - mean x."""
  del key
  gap = params['w'][None] - batch['x']
  value = 0.5 * jnp.mean(jnp.sum(gap**2, axis=-1))
  return value, {'loss/total': value}


def _batch(*points):
  return {'x': jnp.array(points, jnp.float32)}


def _state(tx, importance=(0.0, 0.0), held=(0.0, 0.0), with_path=False):
  params = {'w': jnp.asarray(W)}
  anchor = penalty.create_anchor(params, with_path=with_path).replace(
    params={'w': jnp.array(held)}, importance={'w': jnp.array(importance)}
  )
  return ts.create_state(params, tx, rule=anchor)


def _step(name, tx, **settings):
  return methods.get(name).make_step(_loss, tx, methods.Settings(**settings))


@pytest.mark.parametrize('name', ['ewc', 'si'])
def test_the_step_is_down_loss_and_penalty(name):
  """g = w - x + 2 c O (w - w*), with O = (3, 0.5), w* = (2, 1), c = 0.25."""
  tx = optax.sgd(1.0)
  strength = {
    'ewc': penalty.Ewc(weight=0.25),
    'si': penalty.Si(weight=0.25),
  }
  step = _step(name, tx, **strength)
  state = _state(tx, (3.0, 0.5), (2.0, 1.0), with_path=name == 'si')
  state, metrics = step(state, _batch((0.5, 0.0)), jax.random.key(KEY))
  gradient = np.array([0.5 + 0.5 * 3 * -1, -2.0 + 0.5 * 0.5 * -3])
  np.testing.assert_allclose(state.params['w'], W - gradient, rtol=1e-6)
  held = 0.25 * (3 * 1 + 0.5 * 9)
  np.testing.assert_allclose(metrics['loss/penalty'], held, rtol=1e-6)


@pytest.mark.parametrize(
  ('name', 'strength'),
  [('ewc', penalty.Ewc(weight=0.0)), ('si', penalty.Si(weight=0.0))],
)
def test_weight_zero_is_sequential(name, strength):
  tx = optax.adam(0.1)
  step = _step(name, tx, **{name: strength})
  plain = _step('sequential', tx)
  held, free = _state(tx, (5.0, 5.0), with_path=name == 'si'), _state(tx)
  for number in range(3):
    batch = _batch((number, 1.0))
    held, _ = step(held, batch, jax.random.key(number))
    free, _ = plain(free, batch, jax.random.key(number))
  np.testing.assert_array_equal(held.params['w'], free.params['w'])


def test_fisher_information_is_the_mean_square_of_single_gradients():
  tx = optax.sgd(1.0)
  consolidate = methods.get('ewc').make_consolidation(
    _loss, methods.Settings(ewc=penalty.Ewc(gamma=0.5))
  )
  state = _state(tx, importance=(4.0, 2.0))
  cases = [_batch((0.0, 0.0)), _batch((3.0, -2.0))]
  state = consolidate(state, cases, jax.random.key(KEY), 1)
  # Gradients (1, -2) and (-2, 0): squares (1, 4) and (4, 0).
  np.testing.assert_allclose(
    state.rule.importance['w'], [0.5 * 4 + 2.5, 0.5 * 2 + 2.0]
  )
  np.testing.assert_array_equal(state.rule.params['w'], W)


def test_the_path_is_what_each_parameter_gained_of_the_loss():
  """On a quadratic with small steps the path sums to the fall of the loss."""
  tx = optax.sgd(1e-3)
  step = _step('si', tx, si=penalty.Si(weight=0.0))
  state, batch = _state(tx, with_path=True), _batch((0.0, 1.0))
  start = state.params
  for number in range(300):
    state, _ = step(state, batch, jax.random.key(number))
  fall = [_loss(p, batch, None)[0] for p in (start, state.params)]
  path = state.rule.path['w']
  assert path[1] > path[0] > 0
  np.testing.assert_allclose(path.sum(), fall[0] - fall[1], rtol=2e-3)


def test_importance_of_a_path():
  tx = optax.sgd(1.0)
  consolidate = methods.get('si').make_consolidation(
    _loss, methods.Settings(si=penalty.Si(damping=0.5))
  )
  state = _state(tx, (1.0, 1.0), held=(0.0, -2.0), with_path=True)
  path = {'w': jnp.array([3.0, -4.0])}
  state = state.replace(rule=state.rule.replace(path=path))
  state = consolidate(state, iter(()), jax.random.key(KEY), 0)
  # Moved by 1 and by 0; a path that went uphill makes nothing important.
  np.testing.assert_allclose(state.rule.importance['w'], [1 + 3 / 1.5, 1.0])
  np.testing.assert_array_equal(state.rule.path['w'], 0)
  np.testing.assert_array_equal(state.rule.params['w'], W)


def test_the_path_does_not_see_the_penalty():
  tx = optax.sgd(0.1)
  step = _step('si', tx, si=penalty.Si(weight=1.0))
  state = _state(tx, (1.0, 1.0), held=(1.0, -3.0), with_path=True)
  before = state.params['w']
  state, _ = step(state, _batch((0.0, 0.0)), jax.random.key(KEY))
  moved = state.params['w'] - before
  np.testing.assert_allclose(state.rule.path['w'], -before * moved, rtol=1e-6)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda: penalty.Ewc(weight=-1), 'ewc.weight: found -1'),
    (lambda: penalty.Ewc(gamma=1.5), 'ewc.gamma: found 1.5'),
    (lambda: penalty.Si(weight=-1), 'si.weight: found -1'),
    (lambda: penalty.Si(damping=0), 'si.damping: found 0'),
  ],
)
def test_bad_strengths_are_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()
