import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import conv
from samcl import lku_net

NET = lku_net.LKUNet(num_levels=2, num_channels=4)


def _init(net, shape=(8, 12, 4)):
  x = np.random.default_rng(0).normal(size=(1, *shape, 2)).astype(np.float32)
  return jax.jit(net.init)(jax.random.key(1), x)['params'], x


def test_has_the_parameters_of_the_paper():
  shapes = jax.eval_shape(
    lku_net.LKUNet().init, jax.random.key(0), jnp.zeros((1, 16, 16, 16, 2))
  )
  assert sum(x.size for x in jax.tree.leaves(shapes)) == 8_187_014


def test_starts_without_motion():
  params, x = _init(NET)
  velocity = jax.jit(NET.apply)({'params': params}, x)
  assert velocity.shape == (1, 8, 12, 4, 3)
  np.testing.assert_array_equal(velocity, 0)


def test_the_large_kernel_is_the_sum_of_its_branches():
  block = lku_net.LargeKernel(5)
  x = np.random.default_rng(0).normal(size=(1, 5, 6, 7, 3)).astype(np.float32)
  params = block.init(jax.random.key(0), x)['params']
  total = x + sum(
    conv.conv3d(x, params[f'{name}_kernel'], params[f'{name}_bias'])
    for name in ('regular', 'one', 'large')
  )
  expected = np.where(total >= 0, total, 0.25 * total)
  np.testing.assert_allclose(
    block.apply({'params': params}, x), expected, atol=1e-5
  )


def test_initial_weights_have_pytorchs_range():
  params, _ = _init(NET)
  kernel = np.asarray(params['merge_1_0']['kernel'])
  bound = (kernel.shape[3] * 27) ** -0.5
  assert 0.98 * bound < np.abs(kernel).max() <= bound


def test_sides_must_halve():
  with pytest.raises(ValueError, match=r'found \(8, 10, 6\), every side must'):
    _init(NET, (8, 10, 6))


def test_he_weights_keep_the_signal_that_torch_weights_lose():
  x = np.random.default_rng(0).normal(size=(1, 6, 8, 7, 16)).astype(np.float32)
  spread = {}
  for weights in lku_net.GAINS:
    layers = [lku_net.Conv(16, weights=weights) for _ in range(4)]
    y = x
    for i, layer in enumerate(layers):
      params = layer.init(jax.random.key(i), y)
      y = jax.jit(layer.apply)(params, y)
      y = jnp.where(y >= 0, y, 0.25 * y)
    spread[weights] = float(jnp.std(y[:, 2:-2, 2:-2, 2:-2]))
  assert spread['he'] > 0.4
  assert spread['torch'] < 0.1


def test_unknown_weights_are_refused():
  net = lku_net.LKUNet(num_levels=1, num_channels=2, weights='zeros')
  with pytest.raises(ValueError, match="found 'zeros', allowed: torch, he"):
    _init(net)
