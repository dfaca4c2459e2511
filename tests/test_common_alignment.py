"""Alignment on a quadratic and on a small network, in double precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import tree
from common.rules import (
  agreement,
  alignment,
  descent,
)

pytestmark = pytest.mark.usefixtures('x64')
KEY = 0


def _quadratic(params, batch, key):
  """0.5 (w - x)^T H (w - x), with the H and the x of the batch."""
  del key
  gap = params['w'] - batch['x'][0]
  value = 0.5 * gap @ (batch['h'][0] @ gap)
  return value, {'loss/total': value}


def _batch(seed: int) -> dict[str, jax.Array]:
  rng = np.random.default_rng(seed)
  root = rng.normal(size=(4, 4))
  return {
    'x': jnp.asarray(rng.normal(size=(1, 4))),
    'h': jnp.asarray((root @ root.T + np.eye(4))[None] / 4),
  }


def _known():
  """w, g_A, g_B, H_A, H_B."""
  w = np.array([1.0, -2.0, 3.0, 0.5])
  a, b = _batch(1), _batch(2)
  h_a, h_b = np.asarray(a['h'][0]), np.asarray(b['h'][0])
  g_a = h_a @ (w - np.asarray(a['x'][0]))
  g_b = h_b @ (w - np.asarray(b['x'][0]))
  return w, g_a, g_b, h_a, h_b


def _aligned(loss=_quadratic, order='forward', **strength):
  rule = alignment.make_aligned(
    descent.make_gradient(loss), alignment.Strength(**strength), order=order
  )
  return lambda params, a, b: rule(params, a, b, jax.random.key(KEY))[0]


def _on_quadratic(**kwargs) -> np.ndarray:
  w = _known()[0]
  return np.asarray(_aligned(**kwargs)({'w': w}, _batch(1), _batch(2))['w'])


def test_estimators_on_a_quadratic():
  _, g_a, g_b, h_a, h_b = _known()
  alpha, ahead_of_a = 0.07, g_b - 0.07 * h_b @ g_a
  expected = {
    'exact': g_a + g_b - alpha * (h_a @ g_b + h_b @ g_a),
    'meta': g_a + ahead_of_a - alpha * h_a @ ahead_of_a,
    'first_order': g_a + ahead_of_a,
  }
  for estimator, value in expected.items():
    np.testing.assert_allclose(
      _on_quadratic(estimator=estimator, alpha=alpha), value, rtol=1e-12
    )


def test_symmetric_first_order_by_hand():
  _, g_a, g_b, h_a, h_b = _known()
  found = _on_quadratic(alpha=0.07, order='symmetric')
  expected = g_a - 0.07 * h_a @ g_b + g_b - 0.07 * h_b @ g_a
  np.testing.assert_allclose(found, expected, rtol=1e-12)


def _drawn(params, batch, key):
  """The quadratic times 1 + what is drawn from the key."""
  value, metrics = _quadratic(params, batch, key)
  # A clone, as an estimator comes back to the draws of a batch on purpose.
  return value * (1 + jax.random.uniform(jax.random.clone(key))), metrics


@pytest.mark.parametrize(
  ('estimator', 'order'),
  [
    ('exact', 'forward'),
    ('meta', 'forward'),
    ('meta', 'symmetric'),
    ('first_order', 'forward'),
    ('first_order', 'symmetric'),
  ],
)
def test_a_batch_has_the_same_draws_wherever_it_is_met(estimator, order):
  """Those of A are of another key than those of B."""
  _, g_a, g_b, h_a, h_b = _known()
  s_a, s_b = (
    1 + float(jax.random.uniform(jax.random.fold_in(jax.random.key(KEY), i)))
    for i in range(2)
  )
  g_a, h_a, g_b, h_b = s_a * g_a, s_a * h_a, s_b * g_b, s_b * h_b
  alpha = 0.07
  ahead_of_a, ahead_of_b = g_b - alpha * h_b @ g_a, g_a - alpha * h_a @ g_b
  meta = g_a + ahead_of_a - alpha * h_a @ ahead_of_a
  other = g_b + ahead_of_b - alpha * h_b @ ahead_of_b
  expected = {
    ('exact', 'forward'): g_a + g_b - alpha * (h_a @ g_b + h_b @ g_a),
    ('meta', 'forward'): meta,
    ('meta', 'symmetric'): (meta + other) / 2,
    ('first_order', 'forward'): g_a + ahead_of_a,
    ('first_order', 'symmetric'): ahead_of_b + ahead_of_a,
  }[estimator, order]
  found = _on_quadratic(
    loss=_drawn, estimator=estimator, order=order, alpha=alpha
  )
  np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_symmetric_meta_is_the_mean_of_both_orders():
  w = _known()[0]
  rule = _aligned(estimator='meta', alpha=0.07)
  both = [rule({'w': w}, *_pair)['w'] for _pair in _orders()]
  np.testing.assert_allclose(
    _on_quadratic(estimator='meta', alpha=0.07, order='symmetric'),
    np.mean(both, axis=0),
    rtol=1e-12,
  )


def _orders():
  return (_batch(1), _batch(2)), (_batch(2), _batch(1))


def test_random_order_takes_either_and_is_half_of_both_on_average():
  _, g_a, g_b, h_a, h_b = _known()
  rule = alignment.make_aligned(
    descent.make_gradient(_quadratic),
    alignment.Strength(alpha=0.07),
    order='random',
  )
  w = {'w': _known()[0]}
  either = [g_a + g_b - 0.07 * curved for curved in (h_b @ g_a, h_a @ g_b)]
  found = np.array(
    [
      rule(w, _batch(1), _batch(2), jax.random.key(i))[0]['w']
      for i in range(60)
    ]
  )
  nearest = [
    min(range(2), key=lambda k: np.abs(one - either[k]).max()) for one in found
  ]
  for one, k in zip(found, nearest, strict=True):
    np.testing.assert_allclose(one, either[k], rtol=1e-12)
  assert 15 < sum(nearest) < 45


@pytest.mark.parametrize('estimator', ['exact', 'meta', 'first_order'])
@pytest.mark.parametrize('order', ['forward', 'symmetric'])
def test_zero_strength_is_descent_on_both(estimator, order):
  _, g_a, g_b, _, _ = _known()
  found = _on_quadratic(estimator=estimator, alpha=0.0, order=order)
  np.testing.assert_allclose(found, g_a + g_b, rtol=1e-12)


def test_fixed_length_moves_by_alpha_and_meta_differentiates_it():
  w, g_a, g_b, _, h_b = _known()
  rho, length = 0.3, np.linalg.norm(g_a)
  ahead = g_b - rho / length * h_b @ g_a
  np.testing.assert_allclose(
    _on_quadratic(alpha=rho, fixed_length=True), g_a + ahead, rtol=1e-12
  )

  def objective(params):
    value_a, gradient = jax.value_and_grad(
      lambda p: _quadratic(p, _batch(1), None)[0]
    )(params)
    there = jax.tree.map(
      lambda p, g: p - rho * g / jnp.linalg.norm(g), params, gradient
    )
    return value_a + _quadratic(there, _batch(2), None)[0]

  np.testing.assert_allclose(
    _on_quadratic(estimator='meta', alpha=rho, fixed_length=True),
    jax.grad(objective)({'w': w})['w'],
    rtol=1e-10,
  )


def test_normalised_exact_descends_the_cosine():
  w = {'w': jnp.asarray(_known()[0])}

  def objective(params):
    (a, g_a), (b, g_b) = (
      jax.value_and_grad(lambda p, x=x: _quadratic(p, x, None)[0])(params)
      for x in (_batch(1), _batch(2))
    )
    cosine = tree.dot(g_a, g_b) / (tree.norm(g_a) * tree.norm(g_b))
    return a + b - 0.4 * cosine

  np.testing.assert_allclose(
    _on_quadratic(estimator='exact', alpha=0.4, normalize=True),
    jax.grad(objective)(w)['w'],
    rtol=1e-10,
  )


@pytest.mark.parametrize(
  'strength',
  [
    {'estimator': 'first_order', 'fixed_length': True},
    {'estimator': 'meta', 'fixed_length': True},
    {'estimator': 'exact', 'normalize': True},
    {'estimator': 'exact'},
  ],
)
def test_safe_where_both_gradients_are_zero(strength):
  batch = _batch(1)
  found = _aligned(alpha=0.3, **strength)({'w': batch['x'][0]}, batch, batch)
  np.testing.assert_array_equal(found['w'], 0)
  measured = agreement.make_cosine(descent.make_gradient(_quadratic))(
    {'w': batch['x'][0]}, batch, batch, jax.random.key(KEY)
  )
  assert measured == {'inner_product': 0, 'cosine': 0}


def _network(params, batch, key):
  """A small network with curvature of every order."""
  del key
  hidden = jnp.tanh(batch['x'] @ params['a'])
  value = jnp.mean((jnp.sin(hidden @ params['b']) - batch['y']) ** 2)
  return value, {'loss/total': value}


def _network_case(seed: int):
  rng = np.random.default_rng(seed)
  params = {
    'a': jnp.asarray(rng.normal(size=(3, 5))),
    'b': jnp.asarray(rng.normal(size=(5, 2))),
  }
  batches = [
    {
      'x': jnp.asarray(rng.normal(size=(4, 3))),
      'y': jnp.asarray(rng.normal(size=(4, 2))),
    }
    for _ in range(2)
  ]
  return params, *batches


def _slope(gaps: list[float]) -> float:
  """Order of convergence over successive halvings."""
  return float(np.polyfit(np.arange(len(gaps)), -np.log2(gaps), 1)[0])


def _product(loss, params, direction, batch):
  """<direction, grad L(batch)>, without the gradient."""
  return jax.jvp(lambda p: loss(p, batch, None)[0], (params,), (direction,))[1]


def test_taylor_gap_quarters_when_alpha_halves():
  """L(B; w - alpha g_A) = L(B) - alpha <g_A, g_B> + O(alpha^2)."""
  _, g_a, _, _, _ = _known()
  w, b = {'w': _known()[0]}, _batch(2)
  value = _quadratic(w, b, None)[0]
  inner = _product(_quadratic, w, {'w': g_a}, b)
  gaps = []
  for alpha in 0.1 * 0.5 ** np.arange(5):
    there = {'w': w['w'] - alpha * g_a}
    gaps.append(abs(_quadratic(there, b, None)[0] - (value - alpha * inner)))
  assert _slope(gaps) == pytest.approx(2, abs=0.05)


def test_symmetric_first_order_becomes_exact():
  params, a, b = _network_case(0)
  gaps = []
  for alpha in 0.02 * 0.5 ** np.arange(5):
    found = [
      _aligned(_network, order, estimator=estimator, alpha=alpha)(params, a, b)
      for estimator, order in (
        ('first_order', 'symmetric'),
        ('exact', 'forward'),
      )
    ]
    gaps.append(float(tree.norm(jax.tree.map(jnp.subtract, *found))))
  assert _slope(gaps) == pytest.approx(2, abs=0.05)
  one_sided = _aligned(_network, alpha=alpha)(params, a, b)
  assert float(tree.norm(jax.tree.map(jnp.subtract, one_sided, found[1]))) > (
    100 * gaps[-1]
  )


def test_meta_is_the_gradient_of_the_meta_objective():
  params, a, b = _network_case(1)

  def objective(p):
    value, g = jax.value_and_grad(lambda q: _network(q, a, None)[0])(p)
    there = jax.tree.map(lambda x, y: x - 0.2 * y, p, g)
    return value + _network(there, b, None)[0]

  found = _aligned(_network, estimator='meta', alpha=0.2)(params, a, b)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-9),
    found,
    jax.grad(objective)(params),
  )


def test_exact_is_the_gradient_of_the_objective():
  params, a, b = _network_case(2)

  def objective(p):
    (u, g), (v, h) = (
      jax.value_and_grad(lambda q, x=x: _network(q, x, None)[0])(p)
      for x in (a, b)
    )
    return u + v - 0.2 * tree.dot(g, h)

  found = _aligned(_network, estimator='exact', alpha=0.2)(params, a, b)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-9),
    found,
    jax.grad(objective)(params),
  )


def test_jvp_is_the_dot_product_of_gradients():
  params, a, b = _network_case(3)
  g_a, g_b = (jax.grad(lambda p, x=x: _network(p, x, None)[0])(params)
              for x in (a, b))  # fmt: skip
  found = _product(_network, params, g_a, b)
  np.testing.assert_allclose(found, tree.dot(g_a, g_b), rtol=1e-6)
  measured = agreement.make_cosine(descent.make_gradient(_network))(
    params, a, b, jax.random.key(KEY)
  )
  np.testing.assert_allclose(measured['inner_product'], found, rtol=1e-6)
  expected = tree.dot(g_a, g_b) / tree.norm(g_a) / tree.norm(g_b)
  np.testing.assert_allclose(measured['cosine'], expected, rtol=1e-9)


def test_parallel_weighs_both_alignments():
  def constant(value):
    return lambda params, a, b, key: ({'w': value + a + b}, {'of': a})

  both = alignment.parallel(constant(1.0), constant(10.0), (0.25, 0.75))
  grads, metrics = both({}, (2.0, 3.0), (4.0, 5.0), jax.random.key(KEY))
  assert grads['w'] == 0.25 * (1 + 2 + 3) + 0.75 * (10 + 4 + 5)
  assert metrics == {'of': 2.0, 'arbitrary/of': 4.0}


@pytest.mark.parametrize(
  ('strength', 'order', 'message'),
  [
    ({'estimator': 'best'}, 'forward', "estimator: found 'best', allowed: ex"),
    ({}, 'both', "order: found 'both', allowed: forward"),
    ({'alpha': -1}, 'forward', 'alpha: found -1'),
    ({'normalize': True}, 'forward', 'normalize: found True for first_order'),
    (
      {'estimator': 'exact', 'fixed_length': True},
      'forward',
      'fixed_length: found True for exact',
    ),
  ],
)
def test_bad_strengths_are_refused(strength, order, message):
  with pytest.raises(ValueError, match=message):
    alignment.make_aligned(
      descent.make_gradient(_quadratic),
      alignment.Strength(**strength),
      order=order,
    )
