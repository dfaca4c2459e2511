"""GPM: a basis of what must stay, and steps orthogonal to it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import linalg

from common import methods
from common import train_state as ts
from common.rules import gpm
from tests import linear_layer as layer


def _gpm(threshold=1.0, growth=0.0, num_cases=4, optimizer=optax.sgd):
  strength = gpm.Gpm(threshold, growth)
  settings = methods.Settings(
    gpm=strength, num_consolidated=num_cases, num_stages=2
  )
  method, tx, params = methods.get('gpm'), optimizer(0.1), layer.params()
  state = ts.create_state(params, tx, rule=method.create_rule(params, settings))
  step = method.make_step(layer.loss, tx, settings)
  return state, step, method.make_consolidation(layer.loss, settings)


@pytest.mark.parametrize('optimizer', [optax.sgd, optax.adam])
def test_gpm_leaves_old_inputs_as_they_were(optimizer):
  """Inputs of the first site span two of five directions: their outputs stay,
  however the optimizer scales."""
  rng = np.random.default_rng(0)
  plane = rng.normal(size=(2, layer.INPUTS))
  old = [layer.batch(i, 1, rng.normal(size=(1, 2)) @ plane) for i in range(4)]
  state, step, consolidate = _gpm(optimizer=optimizer)
  state = consolidate(state, old, jax.random.key(0), 0)
  basis = np.asarray(state.rule['kernel'])
  assert np.any(basis != 0, axis=0).sum() == 2
  before = state.params['kernel']
  for number in range(5):
    state, _ = step(state, layer.batch(50 + number), jax.random.key(number))
  moved = state.params['kernel'] - before
  assert np.abs(moved).max() > 0.01
  for case in old:
    np.testing.assert_allclose(case['x'] @ moved, 0, atol=1e-5)
  np.testing.assert_array_equal(state.params['bias'], layer.params()['bias'])


def test_gpm_gathers_momentum_in_the_free_part_alone():
  state, step, consolidate = _gpm(0.5, optimizer=lambda rate: optax.trace(0.9))
  state = consolidate(state, [layer.batch(0)], jax.random.key(0), 0)
  state, _ = step(state, layer.batch(1), jax.random.key(1))
  momentum = state.opt_state.trace['kernel']
  basis = np.asarray(state.rule['kernel'])
  assert np.abs(momentum).max() > 0.01
  assert 0 < np.any(basis != 0, axis=0).sum() < layer.INPUTS
  np.testing.assert_allclose(basis.T @ momentum, 0, atol=1e-5)


def test_gpm_before_the_first_site_is_sequential():
  state, step, _ = _gpm()
  tx = optax.sgd(0.1)
  plain = methods.get('sequential').make_step(
    layer.loss, tx, methods.Settings()
  )
  free = ts.create_state(layer.params(), tx)
  state, _ = step(state, layer.batch(0), jax.random.key(0))
  free, _ = plain(free, layer.batch(0), jax.random.key(0))
  jax.tree.map(np.testing.assert_array_equal, state.params, free.params)


def test_gpm_grows_and_stays_orthonormal():
  state, _, consolidate = _gpm(0.9, growth=0.05, num_cases=1)
  for stage in range(2):
    cases = [layer.batch(10 * stage + 1, 1)]
    state = consolidate(state, cases, jax.random.key(stage), stage)
  basis = np.asarray(state.rule['kernel'])
  filled = basis[:, np.any(basis != 0, axis=0)]
  assert filled.shape == (layer.INPUTS, 2)
  np.testing.assert_allclose(filled.T @ filled, np.eye(2), atol=1e-6)


def test_what_a_basis_holds_already_counts():
  matrix = np.diag([3.0, 1.0])
  held = np.array([[1.0], [0.0]])
  assert gpm.extend(held, matrix, 0.85).shape == (2, 1)
  assert gpm.extend(held, matrix, 0.95).shape == (2, 2)


def test_a_basis_has_as_few_directions_as_hold_the_share():
  """Singular values 4, 2, 1: shares 16, 4, 1 of 21."""
  rng = np.random.default_rng(1)
  u = np.linalg.qr(rng.normal(size=(6, 3)))[0]
  v = np.linalg.qr(rng.normal(size=(4, 3)))[0]
  matrix = u @ np.diag([4.0, 2.0, 1.0]) @ v.T
  none = np.zeros((6, 0))
  for threshold, num in ((0.0, 0), (0.7, 1), (0.9, 2), (0.96, 3), (1.0, 3)):
    basis = gpm.extend(none, matrix, threshold)
    assert basis.shape == (6, num)
    left = gpm.remove(matrix, basis)
    assert np.sum(left**2) <= (1 - threshold) * 21 + 1e-9
  first = gpm.extend(none, matrix, 0.7)
  np.testing.assert_allclose(np.abs(first[:, 0]), np.abs(u[:, 0]), atol=1e-9)
  whole = gpm.extend(none, matrix, 1.0)
  assert gpm.extend(whole, matrix, 1.0).shape == (6, 3)
  assert gpm.extend(whole, 0 * matrix, 1.0).shape == (6, 3)


def test_gpm_keeps_more_of_every_later_site():
  """Shares .7, .9 and 1 of squares 16, 4 and 1: of 21 they hold .76, .95, 1."""
  inputs = np.diag([4.0, 2.0, 1.0, 0.0, 0.0])[:3]
  outputs = inputs @ np.asarray(layer.params()['kernel']) - 1
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
  assert gpm.extend(none, matrix, 0.0).shape == (12, 0)


def test_a_basis_never_outgrows_its_space():
  """Ten sites whose gradients, each nearly flat, share what they span."""
  rng = np.random.default_rng(2)
  basis = np.zeros((24, 0), np.float32)
  for _ in range(10):
    matrix = rng.normal(size=(24, 40)) * np.logspace(0, -6, 24)[:, None]
    basis = gpm.extend(basis, matrix.astype(np.float32), 1.0)
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
  found = gpm.extend(np.zeros((3, 0), np.float32), matrix, 0.5)
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
    gpm.Gpm(**fields)
