"""LKU-Net: a U-Net whose encoder sees far through large kernels.

Jia et al., "U-Net vs Transformer: is U-Net outdated in medical image
registration?", MLMI 2022, in the form that SAMCL was released with: PReLU with
one slope per layer, no normalisation, skip connections taken before the large
kernel, and a flow head that starts at zero.
"""

from collections.abc import Callable, Sequence
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from common import conv

Params = Any
_SLOPE = 0.25


# Half the width of the uniform distribution of a weight, times sqrt(fan_in):
# PyTorch's default, which the released code starts from, loses four fifths of
# the signal's variance in every layer; that of He et al., ICCV 2015, equation
# 15, keeps it in a plain layer. A few hundred steps see little of the former.
GAINS = {'torch': 1.0, 'he': (6 / (1 + _SLOPE**2)) ** 0.5}


def _uniform(fan_in: int, weights: str) -> Callable[..., jax.Array]:
  """U(-g, g) with g = GAINS[weights] / sqrt(fan_in)."""
  if weights not in GAINS:
    allowed = ', '.join(GAINS)
    raise ValueError(f'model.weights: found {weights!r}, allowed: {allowed}')
  bound = GAINS[weights] * fan_in**-0.5

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


class PReLU(nn.Module):
  """x where positive, slope x elsewhere; one learnt slope for all channels."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    slope = self.param('slope', nn.initializers.constant(_SLOPE), (1,))
    return jnp.where(x >= 0, x, slope.reshape((1,) * x.ndim) * x)


class Conv(nn.Module):
  """Cross-correlation with a cubic kernel, zero padding, and a bias."""

  features: int
  size: int = 3
  stride: int = 1
  dtype: Any = None
  weights: str = 'torch'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    fan_in = x.shape[-1] * self.size**3
    shape = (self.size,) * 3 + (x.shape[-1], self.features)
    init = _uniform(fan_in, self.weights)
    kernel = self.param('kernel', init, shape)
    bias = self.param('bias', init, (self.features,))
    return conv.conv3d(x, kernel, bias, stride=self.stride, dtype=self.dtype)


class LargeKernel(nn.Module):
  """PReLU(conv3(x) + conv1(x) + conv_large(x) + x), as one convolution.

  All four branches are linear, so their kernels are summed first: the same
  parameters and the same function at the cost of the large kernel alone.
  """

  size: int
  dtype: Any = None
  weights: str = 'torch'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    features = x.shape[-1]
    total, total_bias = jnp.eye(features, dtype=x.dtype), 0.0
    total = conv.pad_kernel(total[None, None, None], self.size)
    for name, size in (('regular', 3), ('one', 1), ('large', self.size)):
      init = _uniform(features * size**3, self.weights)
      shape = (size,) * 3 + (features, features)
      kernel = self.param(f'{name}_kernel', init, shape)
      total += conv.pad_kernel(kernel, self.size)
      total_bias += self.param(f'{name}_bias', init, (features,))
    return PReLU(name='act')(
      conv.conv3d(x, total, total_bias, dtype=self.dtype)
    )


class LKUNet(nn.Module):
  """Predicts a velocity from a pair of images.

  Attributes:
    num_levels: halvings of the resolution; sides are multiples of 2**levels.
    num_channels: at full resolution, doubled at each level but the last.
    large_kernel: side of the large kernel, odd.
    conv_dtype: of the convolutions' operands, e.g. bfloat16; the rest, and all
      parameters, stay in single precision.
    weights: how they start, a name in `GAINS`; the flow head starts at zero.
  """

  num_levels: int = 4
  num_channels: int = 16
  large_kernel: int = 5
  conv_dtype: Any = None
  weights: str = 'torch'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(b, x, y, z, 2) images -> (b, x, y, z, 3) velocity in voxels."""
    _check_sides(x.shape[1:-1], self.num_levels)
    skips, x = self._encode(x)
    for level in reversed(range(self.num_levels)):
      x = self._up(x, skips[level], level)
    return self._flow(x)

  def _channels(self, level: int) -> int:
    return self.num_channels * 2 ** min(level, self.num_levels - 1)

  def _conv(
    self, x: jax.Array, features: int, name: str, **kwargs: Any
  ) -> jax.Array:
    x = Conv(
      features, dtype=self.conv_dtype, weights=self.weights, name=name, **kwargs
    )(x)
    return PReLU(name=f'{name}_act')(x)

  def _encode(self, x: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    x = self._conv(x, self.num_channels, 'stem_0')
    skips = [self._conv(x, self.num_channels, 'stem_1')]
    x = skips[0]
    for level in range(self.num_levels):
      x = self._conv(x, self._channels(level + 1), f'down_{level}', stride=2)
      skips.append(x)
      x = LargeKernel(
        self.large_kernel,
        self.conv_dtype,
        self.weights,
        name=f'large_kernel_{level}',
      )(x)
      self.sow('intermediates', f'encoder_{level}', x)
    self.sow('intermediates', 'skips', tuple(skips))
    return skips, x

  def _up(self, x: jax.Array, skip: jax.Array, level: int) -> jax.Array:
    features = x.shape[-1]
    init = _uniform(features * 8, self.weights)
    shape = (2, 2, 2, features, features)
    kernel = self.param(f'up_{level}_kernel', init, shape)
    bias = self.param(f'up_{level}_bias', init, (features,))
    x = conv.upsample2(x, kernel, bias, dtype=self.conv_dtype)
    x = PReLU(name=f'up_{level}_act')(x)
    x = jnp.concatenate([x, skip], axis=-1)
    x = self._conv(x, self.num_channels * 2**level, f'merge_{level}_0')
    features = self.num_channels * 2 ** max(level - 1, 0)
    return self._conv(x, features, f'merge_{level}_1')

  def _flow(self, x: jax.Array) -> jax.Array:
    shape = (3, 3, 3, x.shape[-1], 3)
    kernel = self.param('flow_kernel', nn.initializers.zeros_init(), shape)
    return conv.conv3d(x, kernel, dtype=self.conv_dtype)


CONV_DTYPES = {'float32': None, 'bfloat16': jnp.bfloat16}


def create(*, conv_dtype: str, **fields: Any) -> LKUNet:
  """The network of `config.model`.

  Raises:
    TypeError, ValueError: a field is unknown or cannot be used.
  """
  if conv_dtype not in CONV_DTYPES:
    raise ValueError(
      f'model.conv_dtype: found {conv_dtype!r}, allowed: '
      f'{", ".join(CONV_DTYPES)}'
    )
  return LKUNet(conv_dtype=CONV_DTYPES[conv_dtype], **fields)


def _check_sides(sides: Sequence[int], num_levels: int) -> None:
  multiple = 2**num_levels
  if any(side % multiple for side in sides):
    raise ValueError(
      f'volume shape: found {tuple(sides)}, every side must be a multiple of '
      f'2**num_levels = {multiple}'
    )
