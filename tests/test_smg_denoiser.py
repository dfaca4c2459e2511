import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from smg import denoiser, layers

NET = denoiser.Denoiser(
  num_sites=3,
  num_channels=4,
  num_levels=2,
  num_tokens=2,
  token_dim=6,
  num_heads=2,
  adapter_rank=2,
)
SITES = jnp.array([2, 0, 1, 3])  # The last one is the null prompt.
TIMES = jnp.array([0.1, 0.9, 0.4, 0.6])
_apply = jax.jit(lambda params, *args: NET.apply({'params': params}, *args))


def _images(shape=(8, 12, 3)):
  return np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)


@functools.cache
def _init():
  x = _images()
  return jax.jit(NET.init)(jax.random.key(0), x, TIMES, SITES)['params'], x


@functools.cache
def _trained(shape=(8, 12, 3)):
  """Parameters none of which is at its start."""
  x, rng = _images(shape), np.random.default_rng(1)
  like = jax.eval_shape(NET.init, jax.random.key(0), x, TIMES, SITES)['params']

  def draw(path, leaf):
    p = 0.2 * rng.normal(size=leaf.shape) + (path[-1].key == 'scale')
    return jnp.asarray(p, jnp.float32)

  return jax.tree_util.tree_map_with_path(draw, like), x


def _is_site(path):
  return path[-1].key.startswith('site_')


def _flat(tree):
  return jax.tree_util.tree_leaves_with_path(tree)


def test_starts_at_zero_and_no_site_matters_but_by_its_prompt():
  params, x = _init()
  np.testing.assert_array_equal(_apply(params, x, TIMES, SITES), 0)
  names = {path[-1].key for path, _ in _flat(params) if _is_site(path)}
  assert names == {
    'site_prompt',
    'site_matrix',
    'site_offset',
    'site_down',
    'site_up',
  }
  trained, _ = _trained()
  same = jax.tree_util.tree_map_with_path(
    lambda path, new, old: old if _is_site(path) else new, trained, params
  )
  prompt = same['site_prompt'].at[:].set(same['null_prompt'])
  same = same | {'site_prompt': prompt}
  x, t = x[:1].repeat(4, 0), TIMES[:1].repeat(4)
  y = np.asarray(_apply(same, x, t, SITES))
  np.testing.assert_allclose(y, y[3:].repeat(4, 0), atol=1e-5)
  assert np.abs(y).max() > 0.1


@pytest.mark.parametrize('shape', [(8, 12, 3), (4, 8, 12, 2)])
def test_samples_keep_to_themselves(shape):
  params, x = _trained(shape)
  y = np.asarray(_apply(params, x, TIMES, SITES))
  assert y.shape == x.shape
  assert np.isfinite(y).all()
  order = np.array([2, 0, 3, 1])
  permuted = _apply(params, x[order], TIMES[order], SITES[order])
  np.testing.assert_allclose(permuted, y[order], atol=1e-5)
  for t, site in ((TIMES[::-1], SITES), (TIMES, SITES[::-1])):
    other = np.asarray(_apply(params, x, t, site))
    assert (np.abs(other - y).max((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize('shape', [(8, 12, 3), (8, 8, 12, 2)])
def test_the_gradient_reaches_every_parameter(x64, shape):
  params, x = jax.tree.map(lambda p: p.astype(np.float64), _trained(shape))

  @jax.jit
  def grad(sites):
    return jax.grad(
      lambda p: jnp.sum(_apply(p, x, TIMES, sites) ** 2 * (1 + x))
    )(params)

  grads = grad(SITES)
  largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(grads))
  for path, leaf in _flat(grads):
    assert np.mean(np.abs(leaf) > 1e-12 * largest) > 0.95, path
  for path, leaf in _flat(grad(jnp.array([1, 3, 1, 3]))):
    if _is_site(path):
      moved = np.abs(leaf).reshape(3, -1).max(1) > 0
      np.testing.assert_array_equal(moved, [False, True, False], str(path))


def test_the_masks_name_rows_and_trunk():
  params, _ = _trained()
  for trunk in (False, True):
    masks = denoiser.trainable(params, 1, trunk)
    for (path, mask), leaf in zip(
      _flat(masks), jax.tree.leaves(params), strict=True
    ):
      full = np.broadcast_to(mask, leaf.shape)
      if _is_site(path):
        assert full[1].all()
        assert not full[[0, 2]].any()
      else:
        assert (full == trunk).all()


def test_a_frozen_trunk_keeps_all_other_sites_for_ever():
  params, x = _trained()
  masks = denoiser.trainable(params, 1, trunk=False)
  tx = optax.adamw(1e-2)
  # Moments of an earlier stage, which would move every parameter.
  _, state = tx.update(params, tx.init(params), params)

  @jax.jit
  def step(params, state):
    grads = jax.grad(lambda p: jnp.mean((_apply(p, x, TIMES, SITES) - x) ** 2))(
      params
    )
    updates, state = tx.update(grads, state, params)
    updates = jax.tree.map(jnp.multiply, updates, masks)
    return optax.apply_updates(params, updates), state

  before, after = _apply(params, x, TIMES, SITES), params
  for _ in range(5):
    after, state = step(after, state)
  after = np.asarray(_apply(after, x, TIMES, SITES))
  others = np.array([0, 1, 3])
  np.testing.assert_array_equal(after[others], before[others])
  assert np.abs(after[2] - before[2]).max() > 1e-3


def test_the_null_site_has_no_adapters():
  params, x = _trained()
  wild = jax.tree_util.tree_map_with_path(
    lambda path, p: p + jnp.nan if _is_site(path) else p, params
  )
  before = _apply(params, x, TIMES, SITES)
  after = np.asarray(_apply(wild, x, TIMES, SITES))
  np.testing.assert_array_equal(after[3], before[3])
  assert np.isnan(after[:3]).all()


@pytest.mark.parametrize('way', ['attention', 'prompt'])
def test_the_prompt_modulates_and_is_attended_to(way):
  params, x = _trained()
  x, t = x[:1].repeat(4, 0), TIMES[:1].repeat(4)
  params = jax.tree_util.tree_map_with_path(
    lambda path, p: 0 * p if _is_site(path) and p.shape[1:] != (2, 6) else p,
    params,
  )
  # With one way closed the other still tells the sites apart; with none, no.
  closed = params | {way: jax.tree.map(jnp.zeros_like, params[way])}
  y = np.asarray(_apply(closed, x, t, SITES))
  assert np.abs(y[1:] - y[:1]).max((1, 2, 3)).min() > 1e-3
  both = ('attention', 'prompt')
  closed |= {name: jax.tree.map(jnp.zeros_like, params[name]) for name in both}
  y = np.asarray(_apply(closed, x, t, SITES))
  np.testing.assert_allclose(y, y[:1].repeat(4, 0), atol=1e-5)


def test_a_copied_site_behaves_like_its_source():
  params, x = _trained()
  x, t = x[:1].repeat(4, 0), TIMES[:1].repeat(4)
  before = np.asarray(_apply(params, x, t, SITES))
  copied = denoiser.copy_site(params, 0, 2)
  after = np.asarray(_apply(copied, x, t, SITES))
  np.testing.assert_allclose(after[0], after[1], atol=1e-5)
  np.testing.assert_array_equal(after[1:], before[1:])
  assert np.abs(before[0] - before[1]).max() > 1e-3


def test_an_adapter_may_invert_the_image():
  params, x = _trained()
  # At site 1, -1 times what site 0 does to -x: both mixes add -2 x.
  params = denoiser.copy_site(params, 0, 1)
  for name in ('mix_in', 'mix_out'):
    mix = jax.tree.map(lambda p: p.at[:2].set(0), params[name])
    eye = -2 * jnp.eye(mix['site_matrix'].shape[-1]) / 10
    matrix = mix['site_matrix'].at[1].set(eye)
    params = params | {name: mix | {'site_matrix': matrix}}
  ones = jnp.ones(4, jnp.int32)
  inverted = _apply(params, x, TIMES, ones)
  plain = _apply(params, -x, TIMES, 0 * ones)
  np.testing.assert_allclose(inverted, -plain, atol=1e-4)


def test_a_constant_image_has_finite_gradients():
  params, x = _trained()

  def loss(params, x):
    return jnp.sum(_apply(params, x, TIMES, SITES) ** 2)

  gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
  grads = gradient(params, jnp.zeros_like(x))
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_attention_is_a_set_function_of_the_prompt():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 3, 4, 8)).astype(np.float32)
  tokens = rng.normal(size=(2, 3, 5)).astype(np.float32)
  attend = denoiser.Attention(num_heads=2)
  variables = attend.init(jax.random.key(0), x, tokens)
  y = attend.apply(variables, x, tokens)
  permuted = attend.apply(variables, x, tokens[:, [2, 0, 1]])
  np.testing.assert_allclose(permuted, y, atol=1e-5)
  assert np.ptp(y, axis=(1, 2)).min() > 1e-3  # Places ask for different things.
  # Of one token there is nothing to choose from: its value, everywhere.
  alone = attend.apply(variables, x, tokens[:, :1])
  p = variables['params']
  value = tokens[:, 0] @ p['value']['kernel'] @ p['out']['kernel']
  value = np.broadcast_to(value[:, None, None], alone.shape)
  np.testing.assert_allclose(alone, value, atol=1e-5)


def test_attention_is_scaled_by_the_width_of_a_head():
  """softmax(q k^T / sqrt(d)) v (Vaswani et al., NeurIPS 2017, equation 1)."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(1, 2, 3, 8)).astype(np.float32)
  tokens = rng.normal(size=(1, 5, 6)).astype(np.float32)
  attend = denoiser.Attention(num_heads=2)
  variables = attend.init(jax.random.key(0), x, tokens)
  p = jax.tree.map(np.asarray, variables['params'])
  normal = np.asarray(layers.GroupNorm().apply({'params': p['norm']}, x))
  normal = normal.reshape(6, 8)
  query = normal @ p['query']['kernel'] + p['query']['bias']
  key, value = (tokens[0] @ p[name]['kernel'] for name in ('key', 'value'))
  heads = []
  for h in (slice(0, 4), slice(4, 8)):
    weights = np.exp(query[:, h] @ key[:, h].T / 2)
    weights /= weights.sum(axis=1, keepdims=True)
    assert weights.max() - weights.min() > 0.1
    heads.append(weights @ value[:, h])
  expected = np.concatenate(heads, axis=1) @ p['out']['kernel']
  found = attend.apply(variables, x, tokens).reshape(6, 8)
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize('sides', [(8, 10), (8,), (8, 8, 6)])
def test_other_sides_are_refused(sides):
  x = jnp.zeros((1, *sides, 2))
  with pytest.raises(ValueError, match='allowed: two or three sides, multiple'):
    NET.init(jax.random.key(0), x, jnp.zeros(1), jnp.zeros(1, jnp.int32))
