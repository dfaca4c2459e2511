import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import conv


def _native(x, kernel, stride):
  half = kernel.shape[0] // 2
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride,) * 3,
    [(half, half)] * 3,
    dimension_numbers=('NXYZC', 'XYZIO', 'NXYZC'),
  )


@pytest.mark.parametrize('channels, features', [(3, 5), (3, 2), (32, 5)])
@pytest.mark.parametrize(
  'size, stride', [(1, 1), (3, 1), (3, 2), (5, 1), (7, 1), (9, 2)]
)
# Whole tiles of minimal filtering, broken ones, and few voxels.
@pytest.mark.parametrize('shape', [(8, 6, 4), (5, 7, 6), (4, 3, 5)])
@pytest.mark.parametrize('many_products', [0, conv._MANY_PRODUCTS])
def test_is_the_native_convolution(
  x64, monkeypatch, channels, features, size, stride, shape, many_products
):
  monkeypatch.setattr(conv, '_MANY_PRODUCTS', many_products)
  rng = np.random.default_rng(size)
  x = jnp.asarray(rng.normal(size=(2, *shape, channels)))
  kernel = jnp.asarray(rng.normal(size=(size,) * 3 + (channels, features)))
  kernel /= (channels * size**3) ** 0.5

  def loss(form):
    return lambda x, k: jnp.sum(jnp.sin(form(x, k)))

  ours = loss(lambda x, k: conv.conv3d(x, k, stride=stride))
  native = loss(lambda x, k: _native(x, k, stride))
  found = jax.value_and_grad(ours, argnums=(0, 1))(x, kernel)
  expected = jax.value_and_grad(native, argnums=(0, 1))(x, kernel)
  for a, b in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
  tangent = (jnp.ones_like(x), kernel)
  _, forward = jax.jvp(ours, (x, kernel), tangent)
  reverse = sum(jnp.vdot(g, t) for g, t in zip(found[1], tangent, strict=True))
  np.testing.assert_allclose(forward, reverse, rtol=1e-10)


@pytest.mark.parametrize('size', [3, 5, 7])
def test_minimal_filtering_keeps_single_precision(monkeypatch, size):
  monkeypatch.setattr(conv, '_MANY_PRODUCTS', 0)
  rng = np.random.default_rng(size)
  x = jnp.asarray(rng.normal(size=(1, 9, 6, 5, 48)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(size,) * 3 + (48, 5)), jnp.float32)
  expected = _native(x, kernel, 1)
  error = np.abs(conv.conv3d(x, kernel) - expected).max()
  assert error < 1e-5 * np.abs(expected).max()


def test_bias_and_lower_precision():
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(1, 4, 6, 5, 2)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 2, 3)), jnp.float32)
  bias = jnp.array([1.0, -2.0, 3.0])
  plain = conv.conv3d(x, kernel)
  np.testing.assert_allclose(
    conv.conv3d(x, kernel, bias), plain + bias.reshape(1, 1, 1, 1, 3), rtol=1e-6
  )
  half = conv.conv3d(x, kernel, dtype=jnp.bfloat16)
  assert half.dtype == jnp.float32
  np.testing.assert_allclose(half, plain, atol=0.15)
  assert np.abs(half - plain).max() > 1e-4


def test_upsampling_fills_disjoint_blocks():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 3, 2, 4, 3)).astype(np.float32)
  kernel = rng.normal(size=(2, 2, 2, 3, 5)).astype(np.float32)
  bias = rng.normal(size=5).astype(np.float32)
  y = np.asarray(conv.upsample2(x, kernel, bias))
  assert y.shape == (2, 6, 4, 8, 5)
  expected = np.zeros_like(y)
  for i, j, k in np.ndindex(2, 2, 2):
    expected[:, i::2, j::2, k::2] = x @ kernel[i, j, k] + bias
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_a_smaller_kernel_sits_in_the_middle():
  kernel = np.arange(27.0).reshape(3, 3, 3, 1, 1)
  padded = np.asarray(conv.pad_kernel(kernel, 5))
  np.testing.assert_array_equal(padded[1:4, 1:4, 1:4], kernel)
  assert padded.sum() == kernel.sum()
