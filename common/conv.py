"""Convolution in 2-D and 3-D; in 3-D native on accelerators only.

XLA's 3-D convolution on CPU, above all its gradient, is an order of magnitude
slower than its 2-D one. A 3-D cross-correlation is a sum over the depth taps of
2-D ones; with the taps laid side by side in channels it is a single one. Where
that has many channels, minimal filtering along depth needs fewer products:
m + k - 1 for m planes instead of m k (Winograd, 1980; Lavin & Gray, "Fast
algorithms for convolutional neural networks", CVPR 2016); a small layer gains
less by that than it takes longer to compile. Where there are fewer voxels than
weights, all taps side by side make it one matrix product.
"""

from collections.abc import Sequence
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common import planes

# Where the polynomials of minimal filtering are evaluated, and infinity: more
# points, or larger ones, cost precision; these keep a relative error of 3e-6.
_POINTS = (0, 1, -1, 2, -2, 1 / 2, -1 / 2)
# Channels of the taps side by side, and products of the plain form, from which
# it is faster, as measured.
_MANY_CHANNELS = 24
_MANY_PRODUCTS = 2**25
# Voxels up to which all taps are better laid side by side.
_FEW_VOXELS = 64
# Features up to which the taps are better laid side by side in the result.
_FEW_FEATURES = 4


def conv(
  x: jax.Array,
  kernel: jax.Array,
  bias: jax.Array | None = None,
  *,
  stride: int = 1,
) -> jax.Array:
  """Cross-correlation with zero padding (k - 1) / 2, in 2-D or 3-D.

  Args:
    x: (b, *s, c).
    kernel: (*k, c, f), all sides k odd and equal.
    bias: (f,).
    stride: along every axis.

  Raises:
    ValueError: neither two nor three spatial axes.
  """
  if x.ndim == 5:
    return conv3d(x, kernel, bias, stride=stride)
  if x.ndim != 4:
    raise ValueError(f'x: found shape {x.shape}, allowed (b, *s, c)')
  y = planes.correlate(x, kernel, stride)
  return y if bias is None else y + bias.reshape((1,) * 3 + (-1,))


def conv3d(
  x: jax.Array,
  kernel: jax.Array,
  bias: jax.Array | None = None,
  *,
  stride: int = 1,
  dtype: Any = None,
) -> jax.Array:
  """Cross-correlation with zero padding (k - 1) / 2.

  Args:
    x: (b, x, y, z, c).
    kernel: (k, k, k, c, f), k odd.
    bias: (f,).
    stride: along every axis.
    dtype: of the operands; the result has the dtype of `x`.
  """
  out_dtype = x.dtype
  if dtype is not None:
    x, kernel = x.astype(dtype), kernel.astype(dtype)
  if jax.default_backend() == 'cpu':
    y = _on_cpu(x, kernel, stride)
  else:
    y = _native(x, kernel, stride)
  y = y.astype(out_dtype)
  return y if bias is None else y + bias.reshape((1,) * 4 + (-1,))


def _on_cpu(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """The fastest of the forms below for these sizes."""
  k, c, features = kernel.shape[0], *kernel.shape[-2:]
  num_products = math.prod(x.shape[:4]) * kernel.size
  if math.prod(x.shape[1:4]) <= _FEW_VOXELS:
    return _by_patches(x, kernel, stride)
  if stride == 1 and features <= _FEW_FEATURES:
    return _by_taps_of_result(x, kernel)
  precise = x.dtype.itemsize >= 4 and 3 <= k <= len(_POINTS)
  large = k * c >= _MANY_CHANNELS and num_products >= _MANY_PRODUCTS
  if stride == 1 and precise and large:
    return _by_filters(x, kernel)
  return _by_taps(x, kernel, stride)


def _native(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  half = kernel.shape[0] // 2
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride,) * 3,
    [(half, half)] * 3,
    dimension_numbers=('NXYZC', 'XYZIO', 'NXYZC'),
  )


def _taken(x: jax.Array, size: int, stride: int, axis: int) -> list[jax.Array]:
  """What each tap of a kernel sees along one axis, zeros beyond the border."""
  half, num = size // 2, -(-x.shape[axis] // stride)
  widths = [(0, 0)] * x.ndim
  widths[axis] = (half, half)
  padded = jnp.pad(x, widths)
  return [
    jax.lax.slice_in_dim(
      padded, i, i + (num - 1) * stride + 1, stride=stride, axis=axis
    )
    for i in range(size)
  ]


def _by_patches(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """One matrix product, which reads a kernel larger than the image once."""
  for axis in (3, 2, 1):
    x = jnp.concatenate(_taken(x, kernel.shape[0], stride, axis), axis=-1)
  return x @ kernel.reshape(-1, kernel.shape[-1])


def _by_taps(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  k = kernel.shape[0]
  stacked = jnp.concatenate(_taken(x, k, stride, axis=1), axis=-1)
  b, n, *plane, _ = stacked.shape
  stacked = stacked.reshape(b * n, *plane, -1)
  # (k, k, k, c, f) -> (k, k, k c, f), tap-major as the channels are.
  flat = jnp.moveaxis(kernel, 0, 2)
  flat = flat.reshape(k, k, k * kernel.shape[3], kernel.shape[4])
  y = planes.correlate(stacked, flat, stride)
  return y.reshape(b, n, *y.shape[1:])


def _by_taps_of_result(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """The planes of every tap in one convolution, then shifted and summed."""
  k, half = kernel.shape[0], kernel.shape[0] // 2
  b, n, *plane, c = x.shape
  flat = jnp.moveaxis(kernel, 0, 3).reshape(k, k, c, -1)
  y = planes.correlate(x.reshape(b * n, *plane, c), flat)
  y = y.reshape(b, n, *plane, k, -1)
  y = jnp.pad(y, ((0, 0), (half, half)) + ((0, 0),) * 4)
  return sum(y[:, i : i + n, ..., i, :] for i in range(k))


def _by_filters(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Minimal filtering F(m, k) along depth, in tiles of m + k - 1 planes."""
  k = kernel.shape[0]
  m = min(4, len(_POINTS) + 2 - k)
  b, n, *plane, c = x.shape
  num, half = -(-n // m), k // 2
  of_input, of_kernel, of_output = _filters(m, k)
  x = jnp.pad(x, ((0, 0), (0, num * m - n), (0, 0), (0, 0), (0, 0)))
  # Split, not sliced: transposed it is one concatenation, not a sum of m.
  own = jax.lax.split(x.reshape(b, num, m, *plane, c), [1] * m, axis=2)
  taken = [_of_tile(own, i - half) for i in range(m + k - 1)]
  tiles = [_combine(row, taken).reshape(b * num, *plane, c) for row in of_input]
  kernels = jnp.tensordot(jnp.asarray(of_kernel, x.dtype), kernel, 1)
  products = [
    planes.correlate(*pair) for pair in zip(tiles, kernels, strict=True)
  ]
  y = jnp.stack([_combine(row, products) for row in of_output], axis=1)
  return y.reshape(b, num * m, *y.shape[2:])[:, :n]


def _of_tile(own: Sequence[jax.Array], i: int) -> jax.Array:
  """Plane i of every tile, which before 0 and after m is a neighbour's."""
  tile, plane = divmod(i, len(own))
  widths = [(0, 0, 0)] * own[0].ndim
  widths[1] = (-tile, tile, 0)
  return jax.lax.pad(own[plane], jnp.zeros((), own[plane].dtype), widths)


def _combine(weights: np.ndarray, terms: Sequence[jax.Array]) -> jax.Array:
  """Weighted sum, written out: one loop over memory and no product by zero."""
  return sum(
    float(weight) * term
    for weight, term in zip(weights, terms, strict=True)
    if weight
  )


@functools.cache
def _filters(m: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Matrices (n, n), (n, k), (m, n) of F(m, k), n = m + k - 1.

  y = C ((B g) * (A x)) is the transpose of multiplying two polynomials by their
  values at n points, the last of which is infinity.
  """
  points = _POINTS[: m + k - 2]

  def values(size: int) -> np.ndarray:
    """Of the monomials below x^size, at the points and at infinity."""
    rows = np.vander(points, size, increasing=True)
    return np.vstack([rows, np.eye(size)[-1]])

  return np.linalg.inv(values(m + k - 1)).T, values(k), values(m).T


def pad_kernel(kernel: jax.Array, size: int) -> jax.Array:
  """A (k, k, k, c, f) kernel in the middle of a (size, size, size) one."""
  before = (size - kernel.shape[0]) // 2
  return jnp.pad(kernel, [(before, before)] * 3 + [(0, 0)] * 2)


def upsample2(
  x: jax.Array, kernel: jax.Array, bias: jax.Array, *, dtype: Any = None
) -> jax.Array:
  """Transposed convolution of side 2 and stride 2, as one matrix product.

      y[2 i + k, f] = bias[f] + sum_c x[i, c] kernel[k, c, f]

  Args:
    x: (b, *s, c), in 2-D or 3-D.
    kernel: (2, 2, c, f) or (2, 2, 2, c, f).
    bias: (f,).
    dtype: of the operands; the result has the dtype of `x`.
  """
  out_dtype = x.dtype
  if dtype is not None:
    x, kernel = x.astype(dtype), kernel.astype(dtype)
  product = 'bxyc,ijcf->bxiyjf' if x.ndim == 4 else 'bxyzc,ijkcf->bxiyjzkf'
  y = jnp.einsum(product, x, kernel).astype(out_dtype)
  sides = (2 * side for side in x.shape[1:-1])
  y = y.reshape(x.shape[0], *sides, kernel.shape[-1])
  return y + bias.reshape((1,) * (x.ndim - 1) + (-1,))
