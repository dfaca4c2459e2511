"""Distillation on an output that is the parameters times the input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import memory as memory_lib
from common import methods
from common import train_state as ts
from common.rules import distillation

W = np.array([1.0, -2.0], np.float32)


def _output(params, batch):
  return batch['x'] * params['w'][None]


def _objective(output, batch):
  value = 0.5 * jnp.mean(jnp.sum((output - batch['y']) ** 2, axis=-1))
  return value, {'loss/total': value}


def _distance(output, wanted):
  return jnp.mean(jnp.sum((output - wanted) ** 2, axis=-1))


def _loss(params, batch, key):
  del key
  return _objective(_output(params, batch), batch)


def _settings(**fields) -> methods.Settings:
  return methods.Settings(
    output=_output, objective=_objective, distance=_distance, **fields
  )


def _batch(x, y):
  return {'x': jnp.array([x], jnp.float32), 'y': jnp.array([y], jnp.float32)}


def _taught(weight: float, old, tx):
  settings = _settings(lwf=distillation.Lwf(weight))
  params = {'w': jnp.asarray(W)}
  method = methods.get('lwf')
  state = ts.create_state(
    params, tx, rule=method.create_rule({'w': jnp.array(old)}, settings)
  )
  consolidate = method.make_consolidation(_loss, settings)
  return state, method.make_step(_loss, tx, settings), consolidate


def test_lwf_by_hand():
  """f = x w; gradient x (x w - y) + c 2 x (x w - x w_old)."""
  x, y, old = np.array([2.0, 1.0]), np.array([1.0, 0.0]), np.array([0.5, 3.0])
  tx = optax.sgd(1.0)
  state, step, consolidate = _taught(0.25, (0.5, 3.0), tx)
  known = consolidate(
    state.replace(params={'w': jnp.array(old, jnp.float32)}),
    iter(()),
    jax.random.key(0),
    0,
  ).replace(params=state.params)
  batch = _batch(x, y)
  moved = {
    name: W - np.asarray(step(s, batch, jax.random.key(0))[0].params['w'])
    for name, s in (('first', state), ('later', known))
  }
  plain = x * (x * W - y)
  np.testing.assert_allclose(moved['first'], plain, rtol=1e-6)
  held = 0.25 * 2 * x * (x * W - x * old)
  np.testing.assert_allclose(moved['later'], plain + held, rtol=1e-6)


def test_lwf_at_weight_zero_is_sequential():
  tx = optax.adam(0.1)
  state, step, consolidate = _taught(0.0, (9.0, 9.0), tx)
  state = consolidate(state, iter(()), jax.random.key(0), 0)
  plain = methods.get('sequential').make_step(_loss, tx, methods.Settings())
  free = ts.create_state(state.params, tx)
  for number in range(3):
    batch = _batch((1.0, 2.0), (number, 0.0))
    state, _ = step(state, batch, jax.random.key(number))
    free, _ = plain(free, batch, jax.random.key(number))
  np.testing.assert_array_equal(state.params['w'], free.params['w'])


def _dark(alpha: float, beta: float, tx):
  settings = _settings(der=distillation.Der(alpha, beta))
  method = methods.get('der')
  params = {'w': jnp.asarray(W)}
  example = method.build_annotation(settings)(params, _batch((1, 1), (1, 1)))
  state = ts.create_state(params, tx, memory_lib.create_memory(example, 1))
  return state, method.make_step(_loss, tx, settings)


def test_der_remembers_outputs():
  state, step = _dark(0.5, 0.5, optax.sgd(0.1))
  state, metrics = step(state, _batch((2, 1), (0, 0)), jax.random.key(0))
  np.testing.assert_allclose(state.memory.items['target'], [[2.0, -2.0]])
  np.testing.assert_allclose(metrics['loss/dark'], 0, atol=1e-12)


def test_der_by_hand():
  """One case is held: x = (2, 1), y = (0, 0), remembered output (1, 5)."""
  tx = optax.sgd(1.0)
  state, step = _dark(0.5, 0.25, tx)
  held = _batch((2, 1), (0, 0)) | {'target': jnp.array([[1.0, 5.0]])}
  # Many have been seen: the step does not keep the new case.
  memory = memory_lib.append(state.memory, held).replace(
    num_seen=jnp.array(10**6, jnp.int32)
  )
  state, metrics = step(
    state.replace(memory=memory), _batch((1, 1), (3, 3)), jax.random.key(0)
  )
  plain = W - 3
  x = np.array([2.0, 1.0])
  # The mean over the two numbers of an output: (gap^2)/2, slope gap.
  dark = x * (x * W - np.array([1.0, 5.0]))
  past = x * (x * W)
  np.testing.assert_allclose(
    state.params['w'], W - (plain + 0.5 * dark + 0.25 * past), rtol=1e-6
  )
  np.testing.assert_allclose(metrics['loss/dark'], (1 + 49) / 2)


def test_der_without_strength_is_descent():
  tx = optax.sgd(0.1)
  state, step = _dark(0.0, 0.0, tx)
  plain = methods.get('sequential').make_step(_loss, tx, methods.Settings())
  free = ts.create_state(state.params, tx)
  for number in range(3):
    batch = _batch((1.0, 2.0), (number, 0.0))
    state, _ = step(state, batch, jax.random.key(number))
    free, _ = plain(free, batch, jax.random.key(number))
  np.testing.assert_allclose(state.params['w'], free.params['w'], rtol=1e-6)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda: distillation.Lwf(-1), 'lwf.weight: found -1'),
    (lambda: distillation.Der(alpha=-1), 'der.alpha: found -1'),
    (lambda: distillation.Der(beta=-1), 'der.beta: found -1'),
  ],
)
def test_bad_strengths_are_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()
