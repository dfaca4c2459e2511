import jax.numpy as jnp
import numpy as np
import pytest

from smg import layers


@pytest.mark.parametrize('sides', [(4, 6), (6, 2, 4)])
def test_cubes_become_channels_and_back(sides):
  x = np.random.default_rng(0).normal(size=(2, *sides, 3))
  y = np.asarray(layers.to_depth(x, 2))
  half = tuple(n // 2 for n in sides)
  corners = list(np.ndindex((2,) * len(sides)))
  assert y.shape == (2, *half, 3 * len(corners))
  for index in np.ndindex(half):
    for i, corner in enumerate(corners):
      source = tuple(2 * n + k for n, k in zip(index, corner, strict=True))
      block = y[(slice(None), *index, slice(3 * i, 3 * i + 3))]
      np.testing.assert_array_equal(block, x[(slice(None), *source)])
  np.testing.assert_array_equal(layers.from_depth(y, 2, 3), x)


def test_the_embedding_by_hand():
  found = layers.embed(jnp.array([0.002, 0.0]), 4)
  expected = [[np.sin(2), np.sin(0.02), np.cos(2), np.cos(0.02)], [0, 0, 1, 1]]
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_group_norm_is_the_slow_one():
  rng = np.random.default_rng(0)
  x = 3 + 2 * rng.normal(size=(2, 3, 5, 12)).astype(np.float32)
  scale_shift = rng.normal(size=(2, 24)).astype(np.float32)
  gain, bias = rng.normal(size=(2, 1, 12)).astype(np.float32)
  params = {'params': {'scale': gain, 'bias': bias}}
  found = layers.GroupNorm().apply(params, x, scale_shift)
  for i in range(2):
    for group in np.split(np.arange(12), 2):  # gcd(6, 8) groups
      y = x[i][..., group]
      y = (y - y.mean()) / np.sqrt(y.var() + 1e-5)
      y = y * gain[0, group] + bias[0, group]
      y = y * (1 + scale_shift[i, group]) + scale_shift[i, 12 + group]
      np.testing.assert_allclose(found[i][..., group], y, atol=1e-4)


@pytest.mark.parametrize('sides', [(4, 5), (3, 4, 5)])
def test_convolution_sums_over_neighbours(sides):
  rng = np.random.default_rng(0)
  rank = len(sides)
  x = rng.normal(size=(2, *sides, 2)).astype(np.float32)
  kernel = rng.normal(size=(3,) * rank + (2, 3)).astype(np.float32)
  bias = np.array([1.0, -2.0, 0.5], np.float32)
  params = {'params': {'kernel': kernel, 'bias': bias}}
  found = np.asarray(layers.Conv(3).apply(params, x))
  padded = np.pad(x, ((0, 0), *((1, 1),) * rank, (0, 0)))
  expected = np.zeros((2, *sides, 3)) + bias
  for offset in np.ndindex((3,) * rank):
    where = tuple(slice(k, k + n) for k, n in zip(offset, sides, strict=True))
    expected += padded[(slice(None), *where)] @ kernel[offset]
  np.testing.assert_allclose(found, expected, atol=1e-4)
