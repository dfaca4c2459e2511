"""A-GEM: what is learnt does not contradict what the memory asks for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import methods, tree
from common import train_state as ts
from common.rules import agem, descent
from tests import linear_layer as layer


def _agem(past, tx=None):
  """The step of one batch with these cases in the memory, and its start."""
  tx = tx or optax.sgd(1.0)
  gradient = descent.make_gradient(layer.loss)
  step = agem.make_update(gradient, tx, lambda memory, num, key: past)
  return step, ts.create_state(layer.params(), tx)


def _moved(step, state, batch, key):
  after, metrics = step(state, batch, key)
  return jax.tree.map(jnp.subtract, after.params, state.params), metrics


@pytest.mark.parametrize('seed', range(8))
def test_agem_never_contradicts_the_memory(seed):
  """Moves by -(g - min(0, g . r) / (r . r) r)."""
  gradient = descent.make_gradient(layer.loss)
  batch, past = layer.batch(seed), layer.batch(100 + seed)
  step, state = _agem(past)
  moved, metrics = _moved(step, state, batch, jax.random.key(seed))
  plain = gradient(state.params, batch, jax.random.key(0))[0]
  reference = gradient(state.params, past, jax.random.key(0))[0]
  along = tree.dot(plain, reference)
  np.testing.assert_allclose(
    metrics['inner_product/memory'], along, rtol=1e-5, atol=1e-5
  )
  share = min(0.0, along) / tree.dot(reference, reference)
  jax.tree.map(
    lambda m, g, r: np.testing.assert_allclose(
      m, share * r - g, rtol=1e-5, atol=1e-6
    ),
    moved,
    plain,
    reference,
  )


def test_agem_holds_back_what_the_optimizer_adds():
  """Adam turns a gradient that agrees, which alone it gathers, into a step
  that need not."""
  for seed in range(8):
    batch, past = layer.batch(seed), layer.batch(100 + seed)
    step, state = _agem(past, optax.adam(0.1))
    after, _ = step(state, batch, jax.random.key(seed))
    moved = jax.tree.map(jnp.subtract, after.params, state.params)
    gradient = descent.make_gradient(layer.loss)
    reference = gradient(state.params, past, jax.random.key(0))[0]
    size = tree.norm(moved) * tree.norm(reference)
    assert tree.dot(moved, reference) < 1e-5 * size
    gathered = after.opt_state[0].mu
    size = tree.norm(gathered) * tree.norm(reference)
    assert tree.dot(gathered, reference) > -1e-5 * size


def test_agem_meets_both_cases():
  along = [
    float(
      tree.dot(
        *(
          descent.make_gradient(layer.loss)(
            layer.params(), b, jax.random.key(0)
          )[0]
          for b in (layer.batch(seed), layer.batch(100 + seed))
        )
      )
    )
    for seed in range(8)
  ]
  assert min(along) < 0 < max(along)


def test_agem_without_a_gradient_of_the_memory_is_descent():
  batch = layer.batch(0)
  known = batch | {'y': batch['x'] @ layer.params()['kernel']}
  step, state = _agem(known)
  moved, _ = _moved(step, state, batch, jax.random.key(0))
  plain = descent.make_gradient(layer.loss)(
    state.params, batch, jax.random.key(0)
  )
  jax.tree.map(
    lambda m, g: np.testing.assert_allclose(m, -g, rtol=1e-5, atol=1e-6),
    moved,
    plain[0],
  )


def test_agem_without_a_past_is_descent():
  tx, batch = optax.adam(0.1), layer.batch(0)
  state = ts.create_state(layer.params(), tx)
  first = methods.Settings(has_past=False)
  ends = [
    methods.get(name).make_step(layer.loss, tx, first)(
      ts.create_state(layer.params(), tx), batch, jax.random.key(0)
    )[0]
    for name in ('agem', 'sequential')
  ]
  jax.tree.map(np.testing.assert_array_equal, ends[0].params, ends[1].params)
  assert (
    tree.norm(jax.tree.map(jnp.subtract, ends[0].params, state.params)) > 0.1
  )
