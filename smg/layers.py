"""Layers of both networks, in two and three dimensions."""

from collections.abc import Callable
import itertools
import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from common import conv

_MAX_GROUPS = 8


class Conv(nn.Module):
  """Cross-correlation with a cubic kernel, zero padding and a bias."""

  features: int
  size: int = 3
  stride: int = 1
  kernel_init: Callable[..., jax.Array] = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(b, *s, c) -> (b, *(s / stride), features)."""
    shape = (self.size,) * (x.ndim - 2) + (x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape)
    bias = self.param('bias', nn.initializers.zeros_init(), (self.features,))
    return conv.conv(x, kernel, bias, stride=self.stride)


class GroupNorm(nn.Module):
  """Group normalisation, scale and shift as one affine map per channel.

  Statistics are taken of each channel, then of the group: reductions that keep
  the last axis, which are the fast ones on CPU.
  """

  @nn.compact
  def __call__(
    self, x: jax.Array, scale_shift: jax.Array | None = None
  ) -> jax.Array:
    """(b, *s, c), modulated by scale and shift, (b, 2 c)."""
    b, c = x.shape[0], x.shape[-1]
    # A group of a single channel would undo the bias before it.
    groups = 1 if c % 2 else math.gcd(c // 2, _MAX_GROUPS)
    gain = self.param('scale', nn.initializers.ones_init(), (1, c))
    bias = self.param('bias', nn.initializers.zeros_init(), (1, c))
    if scale_shift is not None:
      scale, shift = jnp.split(scale_shift, 2, axis=-1)
      gain, bias = gain * (1 + scale), bias * (1 + scale) + shift
    flat = x.reshape(b, -1, c)

    def mean(y: jax.Array) -> jax.Array:
      y = jnp.mean(y, axis=1).reshape(b, groups, -1)
      y = jnp.broadcast_to(jnp.mean(y, axis=-1, keepdims=True), y.shape)
      return y.reshape(b, c)

    centre = mean(flat)
    variance = jnp.maximum(mean(flat * flat) - centre * centre, 0)
    gain *= jax.lax.rsqrt(variance + 1e-5)
    bias -= gain * centre
    return (flat * gain[:, None] + bias[:, None]).reshape(x.shape)


def embed(t: jax.Array, size: int) -> jax.Array:
  """Sines and cosines of (b,) times in [0, 1], (b, size).

  Angles 1000 t / 10000^(i / (size / 2)) (Ho et al., "Denoising diffusion
  probabilistic models", NeurIPS 2020, appendix B).
  """
  exponents = jnp.arange(size // 2) / (size // 2)
  angles = 1000 * t[:, None] * (10_000.0**-exponents)[None]
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def to_depth(x: jax.Array, side: int) -> jax.Array:
  """(b, *s, c) -> (b, *(s / side), side^d c): cubes become channels."""
  b, *sides, c = x.shape
  rank = len(sides)
  split = itertools.chain.from_iterable((n // side, side) for n in sides)
  x = x.reshape(b, *split, c)
  outer, inner = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
  x = x.transpose(0, *outer, *inner, 2 * rank + 1)
  return x.reshape(b, *(n // side for n in sides), side**rank * c)


def from_depth(x: jax.Array, side: int, channels: int) -> jax.Array:
  """The inverse of `to_depth`, which had `channels` channels."""
  b, *sides, _ = x.shape
  rank = len(sides)
  x = x.reshape(b, *sides, *(side,) * rank, channels)
  order = itertools.chain.from_iterable(
    (i, i + rank) for i in range(1, rank + 1)
  )
  x = x.transpose(0, *order, 2 * rank + 1)
  return x.reshape(b, *(n * side for n in sides), channels)
