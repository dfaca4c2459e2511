"""3-D convolution by backend: native on accelerators, 2-D taps on CPU.

XLA's 3-D convolution on CPU, above all its gradient, is an order of magnitude
slower than its 2-D one. A 3-D cross-correlation is a sum over the depth taps of
2-D ones; with the taps laid side by side in channels it is a single one.
"""

from typing import Any

import jax
import jax.numpy as jnp

_PRECISION = None


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
    y = _by_taps(x, kernel, stride)
  else:
    y = _native(x, kernel, stride)
  y = y.astype(out_dtype)
  return y if bias is None else y + bias.reshape((1,) * 4 + (-1,))


def _native(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  half = kernel.shape[0] // 2
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride,) * 3,
    [(half, half)] * 3,
    dimension_numbers=('NXYZC', 'XYZIO', 'NXYZC'),
  )


def _by_taps(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  k, half = kernel.shape[0], kernel.shape[0] // 2
  b, n = x.shape[:2]
  n_out = -(-n // stride)
  padded = jnp.pad(x, ((0, 0), (half, half), (0, 0), (0, 0), (0, 0)))
  taps = [
    jax.lax.slice_in_dim(
      padded, i, i + (n_out - 1) * stride + 1, stride=stride, axis=1
    )
    for i in range(k)
  ]
  stacked = jnp.concatenate(taps, axis=-1)
  stacked = stacked.reshape(b * n_out, *stacked.shape[2:])
  # (k, k, k, c, f) -> (k, k, k c, f), tap-major as the channels are.
  flat = jnp.moveaxis(kernel, 0, 2)
  flat = flat.reshape(k, k, k * kernel.shape[3], kernel.shape[4])
  y = jax.lax.conv_general_dilated(
    stacked,
    flat,
    (stride, stride),
    [(half, half)] * 2,
    dimension_numbers=('NYZC', 'YZIO', 'NYZC'),
  )
  return y.reshape(b, n_out, *y.shape[1:])


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
    x: (b, x, y, z, c).
    kernel: (2, 2, 2, c, f).
    bias: (f,).
    dtype: of the operands; the result has the dtype of `x`.
  """
  out_dtype = x.dtype
  if dtype is not None:
    x, kernel = x.astype(dtype), kernel.astype(dtype)
  y = jnp.einsum('bxyzc,ijkcf->bxiyjzkf', x, kernel).astype(out_dtype)
  b, nx, ny, nz, _ = x.shape
  y = y.reshape(b, 2 * nx, 2 * ny, 2 * nz, kernel.shape[-1])
  return y + bias.reshape((1,) * 4 + (-1,))
