"""Similarity, overlap and smoothness terms, in two and three dimensions.

Images and masks are `(b, *s)`, probability maps `(b, *s, c)`, displacement or
velocity fields `(b, *s, d)` in voxels. Every division has a convention for a
vanishing denominator, with a finite gradient.
"""

from collections.abc import Sequence
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from common import spatial

_VARIANCE_FLOOR = 1e-5  # In units of squared intensities, squared.
_OVERLAP_FLOOR = 1e-5


def local_ncc(
  a: jax.Array,
  b: jax.Array,
  mask: jax.Array | None = None,
  *,
  window: int = 3,
) -> jax.Array:
  """One minus the mean squared local correlation coefficient.

  With sums over a window of `n = window^d` voxels, zeros beyond the border,

    cross = sum ab - sum a sum b / n,  var_a = sum a^2 - (sum a)^2 / n,
    loss  = 1 - sum_p m cross^2 / (var_a var_b + 1e-5) / sum_p m,

  where both outer sums run over the voxels of all samples (Balakrishnan et
  al., IEEE TMI 2019, equation 5, with a mask).

  Args:
    a: image, (b, *s).
    b: image, (b, *s).
    mask: (b, *s), voxels that count; None for all. Where no voxel counts the
      loss is 0 and so is its gradient.
    window: odd edge length of the window, voxels.

  Raises:
    ValueError: if `window` is even or not positive.
  """
  if window < 1 or window % 2 == 0:
    raise ValueError(f'window is {window!r}, allowed: odd positive integers')
  num_voxels = window ** (a.ndim - 1)
  moments = jnp.stack([a, b, a * a, b * b, a * b])
  sum_a, sum_b, sum_aa, sum_bb, sum_ab = _box_sums(moments, window)
  cross = sum_ab - sum_a * sum_b / num_voxels
  variance_a = sum_aa - sum_a * sum_a / num_voxels
  variance_b = sum_bb - sum_b * sum_b / num_voxels
  squared = cross * cross / (variance_a * variance_b + _VARIANCE_FLOOR)
  if mask is None:
    return 1 - jnp.mean(squared)
  mask = mask.astype(a.dtype)
  count = jnp.sum(mask)
  mean = jnp.sum(squared * mask) / jnp.maximum(count, 1)
  return jnp.where(count > 0, 1 - mean, jnp.zeros((), a.dtype))


def one_hot(
  label: jax.Array, num_classes: int, dtype: jnp.dtype = jnp.float32
) -> jax.Array:
  """(b, *s) integers to (b, *s, num_classes); other values give all zeros."""
  classes = jnp.arange(num_classes, dtype=jnp.int32)
  classes = classes.reshape((1,) * label.ndim + (-1,))
  return (label[..., None].astype(jnp.int32) == classes).astype(dtype)


def gaussian_taps(sigma: float) -> np.ndarray:
  """Samples of a Gaussian on `-floor(3 sigma) .. floor(3 sigma)`, sum 1."""
  if sigma == 0:
    return np.ones(1)
  radius = int(3 * sigma)
  positions = np.arange(-radius, radius + 1)
  taps = np.exp(-0.5 * (positions / sigma) ** 2)
  return taps / taps.sum()


def gaussian_smooth(x: jax.Array, sigma: float = 1.0) -> jax.Array:
  """Truncated Gaussian over the spatial axes of (b, *s, c), zeros outside."""
  taps = gaussian_taps(sigma)
  for axis in range(1, x.ndim - 1):
    x = _filter(x, taps, axis)
  return x


def soft_dice(
  p: jax.Array,
  q: jax.Array,
  num_classes: int | jax.Array,
  mask: jax.Array | None = None,
) -> jax.Array:
  """Soft Dice loss with squared denominators, pooled over the batch.

    1 - 1/C sum_c 2 sum_v m p_c q_c / (sum_v m (p_c^2 + q_c^2) + 1e-5)

  (Milletari et al., 3DV 2016, section 3, for several classes).

  Args:
    p: (b, *s, c) in [0, 1].
    q: (b, *s, c) in [0, 1].
    num_classes: the divisor C, which may be traced: the number of classes in
      use where some of the channels are empty in both maps (they add 0).
    mask: (b, *s), voxels that count; None for all.
  """
  weight = jnp.ones((), p.dtype) if mask is None else mask[..., None]
  weight = weight.astype(p.dtype)
  axes = tuple(range(p.ndim - 1))
  overlap = jnp.sum(weight * p * q, axis=axes)
  total = jnp.sum(weight * (p * p + q * q), axis=axes)
  return 1 - jnp.sum(2 * overlap / (total + _OVERLAP_FLOOR)) / num_classes


def membrane_energy(field: jax.Array) -> jax.Array:
  """Mean over samples, components and voxels of `sum_i (d_i v)^2`.

  Centred differences on interior voxels.
  """
  axes = range(1, field.ndim - 1)
  return sum(_mean_square(_derivative(field, (axis,))) for axis in axes)


def bending_energy(field: jax.Array) -> jax.Array:
  """Mean of `sum_i (d_ii v)^2 + 2 sum_{i<j} (d_ij v)^2`.

  Centred differences applied twice, on voxels two away from the border
  (Rueckert et al., IEEE TMI 1999, equation 8, in voxel units).
  """
  axes = range(1, field.ndim - 1)
  pairs = itertools.combinations_with_replacement(axes, 2)
  return sum(
    (1 if i == j else 2) * _mean_square(_derivative(field, (i, j)))
    for i, j in pairs
  )


def _mean_square(x: jax.Array) -> jax.Array:
  return jnp.mean(x * x)


def _derivative(field: jax.Array, axes: Sequence[int]) -> jax.Array:
  """Centred differences along `axes`, every axis trimmed `len(axes)` times."""
  for axis in axes:
    for other in range(1, field.ndim - 1):
      if other == axis:
        continue
      field = jax.lax.slice_in_dim(field, 1, field.shape[other] - 1, axis=other)
    field = spatial.trimmed_difference(field, axis)
  return field


def _box_sums(x: jax.Array, window: int) -> jax.Array:
  """Sums over windows around every voxel of (m, b, *s), zeros outside."""
  for axis in range(2, x.ndim):
    sides = [1] * x.ndim
    sides[axis] = window
    x = jax.lax.reduce_window(
      x, np.zeros((), x.dtype), jax.lax.add, sides, (1,) * x.ndim, 'SAME'
    )
  return x


def _filter(x: jax.Array, taps: np.ndarray, axis: int) -> jax.Array:
  """Correlates one axis with `taps`, zeros outside."""
  radius, size = len(taps) // 2, x.shape[axis]
  widths = [(0, 0)] * x.ndim
  widths[axis] = (radius, radius)
  padded = jnp.pad(x, widths)
  return sum(
    float(tap) * jax.lax.slice_in_dim(padded, k, k + size, axis=axis)
    for k, tap in enumerate(taps)
  )
