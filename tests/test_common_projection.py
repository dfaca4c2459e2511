"""Projections: what must not be undone is orthogonal to what is done."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import linalg

from common import methods, tree
from common import train_state as ts
from common.rules import descent, projection

INPUTS, OUTPUTS = 5, 3


def _loss(params, batch, key):
  """A linear layer, with an offset that is no kernel."""
  del key
  found = batch['x'] @ params['kernel'] + params['bias'][None]
  value = jnp.mean((found - batch['y']) ** 2)
  return value, {'loss/total': value}


def _batch(seed: int, num: int = 2, inputs=None):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(num, INPUTS)) if inputs is None else inputs
  y = rng.normal(size=(num, OUTPUTS))
  return {'x': jnp.asarray(x, jnp.float32), 'y': jnp.asarray(y, jnp.float32)}


def _params():
  rng = np.random.default_rng(9)
  return {
    'kernel': jnp.asarray(rng.normal(size=(INPUTS, OUTPUTS)), jnp.float32),
    'bias': jnp.zeros(OUTPUTS),
  }


def _agem(past, tx=None):
  """The step of one batch with these cases in the memory, and its start."""
  tx = tx or optax.sgd(1.0)
  gradient = descent.make_gradient(_loss)
  step = projection.make_agreeing(gradient, tx, lambda memory, num, key: past)
  return step, ts.create_state(_params(), tx)


def _moved(step, state, batch, key):
  after, metrics = step(state, batch, key)
  return jax.tree.map(jnp.subtract, after.params, state.params), metrics


@pytest.mark.parametrize('seed', range(8))
def test_agem_never_contradicts_the_memory(seed):
  gradient = descent.make_gradient(_loss)
  batch, past = _batch(seed), _batch(100 + seed)
  step, state = _agem(past)
  moved, metrics = _moved(step, state, batch, jax.random.key(seed))
  plain = gradient(state.params, batch, jax.random.key(0))[0]
  reference = gradient(state.params, past, jax.random.key(0))[0]
  along = tree.dot(plain, reference)
  np.testing.assert_allclose(
    metrics['inner_product/memory'], along, rtol=1e-5, atol=1e-5
  )
  if along >= 0:
    jax.tree.map(
      lambda m, g: np.testing.assert_allclose(m, -g, rtol=1e-5, atol=1e-6),
      moved,
      plain,
    )
  else:
    size = tree.norm(moved) * tree.norm(reference)
    assert abs(tree.dot(moved, reference)) < 1e-5 * size


def test_agem_holds_back_what_the_optimizer_adds():
  """Adam turns a gradient that agrees, which alone it gathers, into a step
  that need not."""
  for seed in range(8):
    batch, past = _batch(seed), _batch(100 + seed)
    step, state = _agem(past, optax.adam(0.1))
    after, _ = step(state, batch, jax.random.key(seed))
    moved = jax.tree.map(jnp.subtract, after.params, state.params)
    gradient = descent.make_gradient(_loss)
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
          descent.make_gradient(_loss)(_params(), b, jax.random.key(0))[0]
          for b in (_batch(seed), _batch(100 + seed))
        )
      )
    )
    for seed in range(8)
  ]
  assert min(along) < 0 < max(along)


def test_agem_without_a_gradient_of_the_memory_is_descent():
  batch = _batch(0)
  known = batch | {'y': batch['x'] @ _params()['kernel']}
  step, state = _agem(known)
  moved, _ = _moved(step, state, batch, jax.random.key(0))
  plain = descent.make_gradient(_loss)(state.params, batch, jax.random.key(0))
  jax.tree.map(
    lambda m, g: np.testing.assert_allclose(m, -g, rtol=1e-5, atol=1e-6),
    moved,
    plain[0],
  )


def test_agem_without_a_past_is_descent():
  tx, batch = optax.adam(0.1), _batch(0)
  state = ts.create_state(_params(), tx)
  first = methods.Settings(has_past=False)
  ends = [
    methods.get(name).make_step(_loss, tx, first)(
      ts.create_state(_params(), tx), batch, jax.random.key(0)
    )[0]
    for name in ('agem', 'sequential')
  ]
  jax.tree.map(np.testing.assert_array_equal, ends[0].params, ends[1].params)
  assert (
    tree.norm(jax.tree.map(jnp.subtract, ends[0].params, state.params)) > 0.1
  )


def _gpm(threshold=1.0, growth=0.0, num_cases=4, optimizer=optax.sgd):
  strength = projection.Gpm(threshold, growth)
  settings = methods.Settings(
    gpm=strength, num_consolidated=num_cases, num_stages=2
  )
  method, tx, params = methods.get('gpm'), optimizer(0.1), _params()
  state = ts.create_state(params, tx, rule=method.create_rule(params, settings))
  step = method.make_step(_loss, tx, settings)
  return state, step, method.make_consolidation(_loss, settings)


@pytest.mark.parametrize('optimizer', [optax.sgd, optax.adam])
def test_gpm_leaves_old_inputs_as_they_were(optimizer):
  """Inputs of the first site span two of five directions: their outputs stay,
  however the optimizer scales."""
  rng = np.random.default_rng(0)
  plane = rng.normal(size=(2, INPUTS))
  old = [_batch(i, 1, rng.normal(size=(1, 2)) @ plane) for i in range(4)]
  state, step, consolidate = _gpm(optimizer=optimizer)
  state = consolidate(state, old, jax.random.key(0), 0)
  basis = np.asarray(state.rule['kernel'])
  assert np.any(basis != 0, axis=0).sum() == 2
  before = state.params['kernel']
  for number in range(5):
    state, _ = step(state, _batch(50 + number), jax.random.key(number))
  moved = state.params['kernel'] - before
  assert np.abs(moved).max() > 0.01
  for case in old:
    np.testing.assert_allclose(case['x'] @ moved, 0, atol=1e-5)
  np.testing.assert_array_equal(state.params['bias'], _params()['bias'])


def test_gpm_gathers_momentum_in_the_free_part_alone():
  state, step, consolidate = _gpm(0.5, optimizer=lambda rate: optax.trace(0.9))
  state = consolidate(state, [_batch(0)], jax.random.key(0), 0)
  state, _ = step(state, _batch(1), jax.random.key(1))
  momentum = state.opt_state.trace['kernel']
  basis = np.asarray(state.rule['kernel'])
  assert np.abs(momentum).max() > 0.01
  assert 0 < np.any(basis != 0, axis=0).sum() < INPUTS
  np.testing.assert_allclose(basis.T @ momentum, 0, atol=1e-5)


def test_gpm_before_the_first_site_is_sequential():
  state, step, _ = _gpm()
  tx = optax.sgd(0.1)
  plain = methods.get('sequential').make_step(_loss, tx, methods.Settings())
  free = ts.create_state(_params(), tx)
  state, _ = step(state, _batch(0), jax.random.key(0))
  free, _ = plain(free, _batch(0), jax.random.key(0))
  jax.tree.map(np.testing.assert_array_equal, state.params, free.params)


def test_gpm_grows_and_stays_orthonormal():
  state, _, consolidate = _gpm(0.9, growth=0.05, num_cases=1)
  for stage in range(2):
    cases = [_batch(10 * stage + 1, 1)]
    state = consolidate(state, cases, jax.random.key(stage), stage)
  basis = np.asarray(state.rule['kernel'])
  filled = basis[:, np.any(basis != 0, axis=0)]
  assert filled.shape == (INPUTS, 2)
  np.testing.assert_allclose(filled.T @ filled, np.eye(2), atol=1e-6)


def test_later_sites_leave_less_free():
  """Three orthogonal inputs of squared gradients 4 : 1 : 1, about."""
  cases = [
    _batch(0, 1, inputs=scale * np.eye(INPUTS)[[axis]])
    for axis, scale in enumerate((4.0, 1.0, 1.0))
  ]
  found = []
  for stage in (0, 2):
    state, _, consolidate = _gpm(0.5, growth=0.25)
    state = consolidate(state, cases, jax.random.key(0), stage)
    basis = np.asarray(state.rule['kernel'])
    found.append(int(np.any(basis != 0, axis=0).sum()))
  assert found == [1, 3]


def test_what_a_basis_holds_already_counts():
  matrix = np.diag([3.0, 1.0])
  held = np.array([[1.0], [0.0]])
  assert projection.extend(held, matrix, 0.85).shape == (2, 1)
  assert projection.extend(held, matrix, 0.95).shape == (2, 2)


def test_a_basis_has_as_few_directions_as_hold_the_share():
  """Singular values 4, 2, 1: shares 16, 4, 1 of 21."""
  rng = np.random.default_rng(1)
  u = np.linalg.qr(rng.normal(size=(6, 3)))[0]
  v = np.linalg.qr(rng.normal(size=(4, 3)))[0]
  matrix = u @ np.diag([4.0, 2.0, 1.0]) @ v.T
  none = np.zeros((6, 0))
  for threshold, num in ((0.0, 0), (0.7, 1), (0.9, 2), (0.96, 3), (1.0, 3)):
    basis = projection.extend(none, matrix, threshold)
    assert basis.shape == (6, num)
    left = projection.remove(matrix, basis)
    assert np.sum(left**2) <= (1 - threshold) * 21 + 1e-9
  first = projection.extend(none, matrix, 0.7)
  np.testing.assert_allclose(np.abs(first[:, 0]), np.abs(u[:, 0]), atol=1e-9)
  whole = projection.extend(none, matrix, 1.0)
  assert projection.extend(whole, matrix, 1.0).shape == (6, 3)
  assert projection.extend(whole, 0 * matrix, 1.0).shape == (6, 3)


def test_gpm_keeps_more_of_every_later_site():
  """Shares .7, .9 and 1 of squares 16, 4 and 1: of 21 they hold .76, .95, 1."""
  inputs = np.diag([4.0, 2.0, 1.0, 0.0, 0.0])[:3]
  outputs = inputs @ np.asarray(_params()['kernel']) - 1
  cases = [
    {'x': jnp.asarray(x[None], jnp.float32), 'y': jnp.asarray(y[None])}
    for x, y in zip(inputs, outputs, strict=True)
  ]
  state, _, consolidate = _gpm(0.7, growth=0.2)
  for stage, num_held in enumerate((1, 2, 3)):
    after = consolidate(state, cases, jax.random.key(0), stage)
    held = np.any(np.asarray(after.rule['kernel']) != 0, axis=0)
    assert held.sum() == num_held


@pytest.mark.parametrize('seed', range(20))
def test_at_threshold_zero_no_direction_is_held(seed):
  matrix = np.random.default_rng(seed).normal(size=(12, 7)).astype(np.float32)
  none = np.zeros((12, 0), np.float32)
  assert projection.extend(none, matrix, 0.0).shape == (12, 0)


def test_a_basis_never_outgrows_its_space():
  """Ten sites whose gradients, each nearly flat, share what they span."""
  rng = np.random.default_rng(2)
  basis = np.zeros((24, 0), np.float32)
  for _ in range(10):
    matrix = rng.normal(size=(24, 40)) * np.logspace(0, -6, 24)[:, None]
    basis = projection.extend(basis, matrix.astype(np.float32), 1.0)
    assert basis.dtype == np.float32
    assert basis.shape[1] <= 24
    found = basis.T @ basis
    np.testing.assert_allclose(found, np.eye(len(found)), atol=1e-5)


def test_a_basis_grows_where_divide_and_conquer_gives_up(monkeypatch):
  """As it did on a finite matrix of rank 111 in 256 columns."""

  def give_up(matrix, **kwargs):
    if kwargs.pop('lapack_driver', 'gesdd') == 'gesdd':
      raise np.linalg.LinAlgError('SVD did not converge')
    return svd(matrix, lapack_driver='gesvd', **kwargs)

  svd = linalg.svd
  monkeypatch.setattr(linalg, 'svd', give_up)
  monkeypatch.setattr(np.linalg, 'svd', give_up)
  matrix = np.array([[0, 0], [0, 3], [2, 0]], np.float32)
  found = projection.extend(np.zeros((3, 0), np.float32), matrix, 0.5)
  np.testing.assert_allclose(np.abs(found), [[0], [1], [0]], atol=1e-6)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'threshold': 1.5}, 'gpm.threshold: found 1.5'),
    ({'growth': -0.1}, 'gpm.growth: found -0.1'),
  ],
)
def test_bad_strengths_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    projection.Gpm(**fields)
