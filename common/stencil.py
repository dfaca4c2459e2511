"""Warping by at most one voxel, as a stencil instead of a gather.

Where every displacement component lies in [-1, 1], linear interpolation reads
only the 3^d neighbours of a voxel, with the weights of a hat function along
each axis. Shifted multiply-adds take a fraction of the time of a gather, and
their transpose that of a scatter. Derivatives of first order only, forward and
reverse.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp

Weights = tuple[jax.Array, jax.Array, jax.Array]


@jax.custom_jvp
def warp_near(volume: jax.Array, displacement: jax.Array) -> jax.Array:
  """`volume(p + displacement(p))`, linear, zeros outside.

      out(p) = sum_k prod_d hat(u_d(p) - k_d) volume(p + k),  k in {-1, 0, 1}^d

  Args:
    volume: (b, *s, c).
    displacement: (b, *s, d), voxels, every component in [-1, 1].
  """
  return _correlate(displacement, volume)


@functools.partial(warp_near.defjvp, symbolic_zeros=True)
def _warp_near_jvp(primals, tangents):
  volume, displacement = primals
  volume_dot, displacement_dot = tangents
  out = warp_near(volume, displacement)
  out_dot = jnp.zeros_like(out)
  if not isinstance(volume_dot, jax.custom_derivatives.SymbolicZero):
    out_dot += jax.custom_derivatives.linear_call(
      _correlate, _correlate_transpose, displacement, volume_dot
    )
  if not isinstance(displacement_dot, jax.custom_derivatives.SymbolicZero):
    for axis, slope in enumerate(_slopes(volume, displacement)):
      along = displacement_dot[..., axis : axis + 1]
      out_dot += slope * spread(along, volume.shape[-1])
  return out, out_dot


def spread(x: jax.Array, channels: int) -> jax.Array:
  """(..., 1) to (..., channels).

  Written as a product with ones, because so is its transpose: XLA sums over
  the last axis on CPU some twenty times slower than it multiplies matrices.
  """
  return x @ jnp.ones((1, channels), x.dtype)


def _hat(u: jax.Array) -> Weights:
  """Weights of the neighbours at -1, 0, 1."""
  after = jnp.where(u >= 0, u, 0)
  before = jnp.where(u >= 0, 0, -u)
  return before, 1 - before - after, after


def _hat_slope(u: jax.Array) -> Weights:
  """Their derivatives; at u = 0 the one to the right."""
  right = (u >= 0).astype(u.dtype)
  return right - 1, 1 - 2 * right, right


def _weights(displacement: jax.Array, slope: int | None = None):
  return [
    (_hat_slope if axis == slope else _hat)(displacement[..., axis : axis + 1])
    for axis in range(displacement.shape[-1])
  ]


def _slopes(volume: jax.Array, displacement: jax.Array) -> list[jax.Array]:
  """d out / d u along each axis, (b, *s, c)."""
  padded = _pad(volume)
  return [
    jax.lax.optimization_barrier(_sum(padded, _weights(displacement, axis)))
    for axis in range(displacement.shape[-1])
  ]


def _correlate(displacement: jax.Array, volume: jax.Array) -> jax.Array:
  return _sum(_pad(volume), _weights(displacement))


def _sum(padded: jax.Array, weights: list[Weights]) -> jax.Array:
  """The stencil, one axis inside the other so that weights are shared."""
  sizes = weights[0][0].shape[:-1] + padded.shape[-1:]

  def inner(axis: int, corner: tuple[int, ...]) -> jax.Array:
    if axis == len(weights):
      return _cut(padded, corner, sizes)
    return sum(
      weights[axis][k] * inner(axis + 1, (*corner, k)) for k in range(3)
    )

  return inner(0, ())


def _correlate_transpose(
  displacement: jax.Array, cotangent: jax.Array
) -> jax.Array:
  """out(q) = sum_k prod_d hat(u_d(q - k) - k_d) cotangent(q - k)."""
  padded = _pad(cotangent)
  weights = [[_pad(w) for w in axis] for axis in _weights(displacement)]
  sizes = cotangent.shape[:-1]
  total = jnp.zeros((), cotangent.dtype)
  for k in itertools.product(range(3), repeat=displacement.shape[-1]):
    corner = tuple(2 - i for i in k)
    weight = math.prod(
      _cut(weights[axis][i], corner, (*sizes, 1)) for axis, i in enumerate(k)
    )
    total += weight * _cut(padded, corner, cotangent.shape)
  return total


def _pad(x: jax.Array) -> jax.Array:
  """One zero around every spatial axis, kept apart from what reads it."""
  widths = [(0, 0), *[(1, 1)] * (x.ndim - 2), (0, 0)]
  return jax.lax.optimization_barrier(jnp.pad(x, widths))


def _cut(
  x: jax.Array, corner: tuple[int, ...], sizes: tuple[int, ...]
) -> jax.Array:
  start = (0, *corner, 0)
  stop = tuple(a + n for a, n in zip(start, sizes, strict=True))
  return jax.lax.slice(x, start, stop)
