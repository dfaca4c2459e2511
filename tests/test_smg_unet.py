import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import conv
from smg import unet


@pytest.mark.parametrize('sides', [(8, 12), (8, 4, 12)])
def test_logits_of_every_voxel_and_a_gradient_for_every_parameter(sides):
  network = unet.UNet(num_classes=3, num_levels=2, num_channels=4)
  x = jax.random.uniform(jax.random.key(0), (2, *sides, 1))
  params = jax.jit(network.init)(jax.random.key(1), x)['params']

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def gradient(params):
    logits = network.apply({'params': params}, x)
    return jnp.sum(jnp.sin(logits)), logits

  grads, logits = gradient(params)
  assert logits.shape == (2, *sides, 3)
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    # A bias before a normalisation of groups of one channel does nothing.
    if 'norm' in str(path) or 'kernel' in str(path):
      assert np.abs(leaf).max() > 0, path


def test_samples_keep_to_themselves():
  network = unet.UNet(num_classes=2, num_levels=1, num_channels=4)
  x = jax.random.uniform(jax.random.key(0), (3, 4, 6, 2))
  params = jax.jit(network.init)(jax.random.key(1), x)
  order = np.array([2, 0, 1])
  np.testing.assert_allclose(
    network.apply(params, x)[order], network.apply(params, x[order]), atol=1e-5
  )


def test_sides_that_do_not_halve_are_refused():
  network = unet.UNet(num_classes=2, num_levels=3, num_channels=4)
  with pytest.raises(ValueError, match=r'found \(8, 12\), allowed multiples'):
    network.init(jax.random.key(0), jnp.zeros((1, 8, 12, 1)))


@pytest.mark.parametrize('rank', [2, 3])
def test_upsampling_by_hand(rank):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, *(3, 2, 4)[:rank], 5)).astype(np.float32)
  kernel = rng.normal(size=(2,) * rank + (5, 3)).astype(np.float32)
  bias = np.array([1.0, -2.0, 0.5], np.float32)
  y = np.asarray(conv.upsample2(x, kernel, bias))
  for index in np.ndindex(y.shape[1:-1]):
    source, corner = (tuple(f(i, 2) for i in index) for f in (
      lambda i, n: i // n, lambda i, n: i % n))  # fmt: skip
    expected = x[(slice(None), *source)] @ kernel[corner] + bias
    np.testing.assert_allclose(
      y[(slice(None), *index)], expected, rtol=1e-5, atol=1e-5
    )
