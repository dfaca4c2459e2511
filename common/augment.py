"""Simulated appearances: what another scanner might have made of an image.

Images are (b, *s, c) in [0, 1], in two and three dimensions; every sample gets
an appearance of its own, shapes and labels stay as they are.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp

from common import losses

_NUM_KNOTS = 6
_BIAS_GRID = 4


@dataclasses.dataclass(frozen=True)
class Appearance:
  """How strong the simulated shift is; 0 switches a part off.

  Attributes:
    contrast: 0 to 1, how far the curve of intensities leaves the diagonal.
    invert: probability that this curve falls instead of rises.
    bias: standard deviation of the logarithm of the bias field.
    noise: largest standard deviation of added noise.
    blur: share of a Gaussian-smoothed copy, from -blur / 2 (sharper) to blur;
      beyond the frame an image counts as 0, so its rim darkens or brightens.
    mix: largest share of low-frequency amplitudes taken from another image of
      the batch (Yang & Soatto, CVPR 2020).
  """

  contrast: float = 1.0
  invert: float = 0.3
  bias: float = 0.3
  noise: float = 0.08
  blur: float = 1.0
  mix: float = 0.5

  def __post_init__(self):
    for name, value in dataclasses.asdict(self).items():
      most = float('inf') if name in ('bias', 'noise') else 1
      if not 0 <= value <= most:
        raise ValueError(
          f'appearance.{name}: found {value}, allowed 0 to {most}'
        )


def make_shift(
  appearance: Appearance,
) -> Callable[[jax.Array, jax.Array], jax.Array]:
  """(images (b, *s, c) in [0, 1], key) -> images of other appearances."""

  def shift(images, key):
    keys = jax.random.split(key, 5)
    images = _mix_amplitudes(images, keys[0], appearance.mix)
    images = _bend_contrast(
      images, keys[1], appearance.contrast, appearance.invert
    )
    images = _blur(images, keys[2], appearance.blur)
    images = images * _bias_field(images.shape, keys[3], appearance.bias)
    images = _add_noise(images, keys[4], appearance.noise)
    return jnp.clip(images, 0, 1)

  return shift


def _bend_contrast(
  images: jax.Array, key: jax.Array, strength: float, invert: float
) -> jax.Array:
  """A random monotone curve through six knots for every sample and channel."""
  b, c = images.shape[0], images.shape[-1]
  knots = jnp.linspace(0, 1, _NUM_KNOTS)
  rise_key, flip_key = jax.random.split(key)
  steps = jax.random.exponential(rise_key, (b, c, _NUM_KNOTS - 1))
  curve = jnp.cumsum(steps, axis=-1) / jnp.sum(steps, axis=-1, keepdims=True)
  curve = jnp.pad(curve, ((0, 0), (0, 0), (1, 0)))
  diagonal = knots.reshape(1, 1, -1)
  curve = diagonal + strength * (curve - diagonal)
  falls = jax.random.bernoulli(flip_key, invert, (b, 1, 1))
  curve = jnp.where(falls, 1 - curve, curve)
  values = jnp.moveaxis(images, -1, 1).reshape(b, c, -1)
  bent = jax.vmap(jax.vmap(lambda v, y: jnp.interp(v, knots, y)))(values, curve)
  shape = (b, c, *images.shape[1:-1])
  return jnp.moveaxis(bent.reshape(shape), 1, -1)


def _blur(images: jax.Array, key: jax.Array, strength: float) -> jax.Array:
  if strength == 0:
    return images
  share = jax.random.uniform(
    key, (len(images),), minval=-strength / 2, maxval=strength
  )
  share = share.reshape((-1,) + (1,) * (images.ndim - 1))
  return images + share * (losses.gaussian_smooth(images, 1.0) - images)


def _bias_field(
  shape: tuple[int, ...], key: jax.Array, strength: float
) -> jax.Array:
  """exp of a smooth field, (b, *s, 1), one for all channels."""
  b, *sides, _ = shape
  coarse = jax.random.normal(key, (b, *[_BIAS_GRID] * len(sides), 1))
  field = jax.image.resize(coarse, (b, *sides, 1), 'cubic')
  return jnp.exp(strength * field)


def _add_noise(images: jax.Array, key: jax.Array, strength: float) -> jax.Array:
  """Rician: the magnitude of a complex signal with Gaussian noise."""
  level_key, noise_key = jax.random.split(key)
  level = jax.random.uniform(level_key, (len(images),), maxval=strength)
  level = level.reshape((-1,) + (1,) * (images.ndim - 1))
  noise = jax.random.normal(noise_key, (2, *images.shape))
  real, imaginary = level[None] * noise
  return jnp.hypot(images + real, imaginary)


def _mix_amplitudes(
  images: jax.Array, key: jax.Array, strength: float
) -> jax.Array:
  """Amplitudes of low frequencies drawn towards those of another sample."""
  if strength == 0:
    return images
  axes = tuple(range(1, images.ndim - 1))
  share_key, order_key = jax.random.split(key)
  share = jax.random.uniform(share_key, (len(images),), maxval=strength)
  share = share.reshape((-1,) + (1,) * (images.ndim - 1))
  other = jax.random.permutation(order_key, len(images))
  spectrum = jnp.fft.fftn(images, axes=axes)
  size = jnp.abs(spectrum)
  weight = share * _low_frequencies(images.shape[1:-1])
  mixed = size + weight * (size[other] - size)
  ratio = mixed / jnp.maximum(size, 1e-6)
  return jnp.clip(jnp.fft.ifftn(ratio * spectrum, axes=axes).real, 0, 1)


def _low_frequencies(sides: tuple[int, ...]) -> jax.Array:
  """1 at frequencies up to a tenth of the sampling rate, (1, *s, 1)."""
  frequencies = jnp.meshgrid(
    *[jnp.fft.fftfreq(side) for side in sides], indexing='ij'
  )
  inside = sum(f**2 for f in frequencies) <= 0.1**2
  return inside.astype(jnp.float32)[None, ..., None]
