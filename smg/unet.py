"""The segmenter: a U-Net for slices or volumes.

Ronneberger et al., MICCAI 2015, with group normalisation (Wu & He, ECCV 2018),
which holds no statistics of a site.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from common import conv
from smg import layers

_GROUPS = 4
_HE = nn.initializers.he_normal()


class Up(nn.Module):
  """Transposed convolution of side 2 and stride 2."""

  features: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    rank = x.ndim - 2
    shape = (2,) * rank + (x.shape[-1], self.features)
    init = nn.initializers.variance_scaling(
      1.0, 'fan_in', 'normal', in_axis=-2, batch_axis=tuple(range(rank))
    )
    kernel = self.param('kernel', init, shape)
    bias = self.param('bias', nn.initializers.zeros_init(), (self.features,))
    return conv.upsample2(x, kernel, bias)


class Block(nn.Module):
  """Twice convolution, group normalisation, leaky rectifier."""

  features: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    for i, stride in enumerate((self.stride, 1)):
      x = layers.Conv(
        self.features, stride=stride, kernel_init=_HE, name=f'conv_{i}'
      )(x)
      x = nn.GroupNorm(num_groups=_GROUPS, name=f'norm_{i}')(x)
      x = nn.leaky_relu(x)
    return x


class UNet(nn.Module):
  """Scores of classes at every voxel.

  Attributes:
    num_classes: background included.
    num_levels: halvings of the resolution; sides are multiples of 2**levels.
    num_channels: at full resolution, doubled at each level; a multiple of 4.
  """

  num_classes: int
  num_levels: int = 3
  num_channels: int = 16

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(b, *s, c) images in [0, 1] -> (b, *s, num_classes) logits.

    Raises:
      ValueError: a side is no multiple of 2**num_levels.
    """
    stride = 2**self.num_levels
    if any(side % stride for side in x.shape[1:-1]):
      raise ValueError(
        f'sides: found {x.shape[1:-1]}, allowed multiples of '
        f'2**num_levels = {stride}'
      )
    x = Block(self.num_channels, name='stem')(2 * x - 1)
    skips = []
    for level in range(self.num_levels):
      skips.append(x)
      features = self.num_channels * 2 ** (level + 1)
      x = Block(features, stride=2, name=f'down_{level}')(x)
    for level in reversed(range(self.num_levels)):
      features = self.num_channels * 2**level
      x = Up(features, name=f'up_{level}')(x)
      x = jnp.concatenate([skips[level], x], axis=-1)
      x = Block(features, name=f'merge_{level}')(x)
    return layers.Conv(self.num_classes, size=1, kernel_init=_HE, name='head')(
      x
    )
