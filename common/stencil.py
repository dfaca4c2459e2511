"""Warping by at most one voxel, as a stencil instead of a gather.

Where every displacement component lies in [-1, 1], linear interpolation reads
only the 3^d neighbours of a voxel, with the weights of a hat function along
each axis. Shifted multiply-adds over whole planes take a fraction of the time
of a gather, and their transpose that of a scatter.

Arrays are channels FIRST here, (c, b, *s), so that weights, which have no
channels, need no spreading over a short last axis.
"""

from collections.abc import Callable, Sequence
import itertools
import math

import jax
import jax.numpy as jnp

from common import fusion

Weights = tuple[jax.Array, jax.Array, jax.Array]


def warp_near(volume: jax.Array, displacement: jax.Array) -> jax.Array:
  """`volume(p + displacement(p))`, linear, zeros outside.

      out(p) = sum_k prod_d hat(u_d(p) - k_d) volume(p + k),  k in {-1, 0, 1}^d

  Args:
    volume: (c, b, *s).
    displacement: (d, b, *s), voxels, every component in [-1, 1].
  """
  weights = [_hat(u) for u in fusion.fence(displacement, axis=0)]
  return _contract(_neighbours(fusion.fence(volume, axis=0)), weights)


def warp_near_jvp(
  volume: jax.Array,
  displacement: jax.Array,
  volume_dot: jax.Array,
  displacement_dot: jax.Array,
) -> jax.Array:
  """Derivative of `warp_near` along tangents of its arguments."""
  out_dot = warp_near(volume_dot, displacement)
  neighbour = _neighbours(fusion.fence(volume, axis=0))
  for axis, along in enumerate(displacement_dot):
    slope = _contract(neighbour, _weights(displacement, axis))
    out_dot += slope * along[None]
  return out_dot


def warp_near_vjp(
  volume: jax.Array, displacement: jax.Array, cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Transpose of `warp_near_jvp`: cotangents of volume and displacement.

  volume_bar(q) = sum_k prod_d hat(u_d(q - k) - k_d) cotangent(q - k)
  u_bar_i(p) = sum_k (d/du_i prod_d hat) <cotangent(p), volume(p + k)>
  """
  volume, displacement = (
    fusion.fence(volume, axis=0),
    fusion.fence(displacement, axis=0),
  )
  cotangent = fusion.fence(cotangent, axis=0)
  return (
    _scatter(displacement, cotangent),
    _project(volume, displacement, cotangent),
  )


def _scatter(displacement: jax.Array, cotangent: jax.Array) -> jax.Array:
  padded = _neighbours(cotangent)
  weights = [
    [_neighbours(w[None]) for w in _hat(component)]
    for component in displacement
  ]
  total = jnp.zeros((), cotangent.dtype)
  for k in itertools.product(range(3), repeat=len(weights)):
    back = tuple(2 - i for i in k)
    weight = math.prod(
      axis[i](back) for axis, i in zip(weights, k, strict=True)
    )
    total += weight * padded(back)
  return total


def _project(
  volume: jax.Array, displacement: jax.Array, cotangent: jax.Array
) -> jax.Array:
  neighbour = _neighbours(volume)

  def product(corner: tuple[int, ...]) -> jax.Array:
    there = neighbour(corner)
    return sum(a * b for a, b in zip(cotangent, there, strict=True))

  rows = [
    _contract(product, _weights(displacement, axis))
    for axis in range(len(displacement))
  ]
  return fusion.fence(jnp.stack(rows), axis=0)


def _hat(u: jax.Array) -> Weights:
  """Weights of the neighbours at -1, 0, 1."""
  after = jnp.where(u >= 0, u, 0)
  before = jnp.where(u >= 0, 0, -u)
  return before, 1 - before - after, after


def _hat_slope(u: jax.Array) -> Weights:
  """Their derivatives; at u = 0 the one to the right."""
  right = (u >= 0).astype(u.dtype)
  return right - 1, 1 - 2 * right, right


def _weights(displacement: jax.Array, slope: int) -> list[Weights]:
  return [
    (_hat_slope if axis == slope else _hat)(u)
    for axis, u in enumerate(displacement)
  ]


def _contract(
  value: Callable[[tuple[int, ...]], jax.Array], weights: Sequence[Weights]
) -> jax.Array:
  """`sum_k prod_d weights[d][k_d] value(k)`, weights shared between rows."""

  def inner(corner: tuple[int, ...]) -> jax.Array:
    if len(corner) == len(weights):
      return value(corner)
    terms = [
      _times(weight, inner((*corner, k)))
      for k, weight in enumerate(weights[len(corner)])
    ]
    return sum(terms[1:], terms[0])

  return inner(())


def _times(weight: jax.Array, value: jax.Array) -> jax.Array:
  return (
    weight.reshape((1,) * (value.ndim - weight.ndim) + weight.shape) * value
  )


def _neighbours(x: jax.Array) -> Callable[[tuple[int, ...]], jax.Array]:
  """corner in {0, 1, 2}^d -> `x(p + corner - 1)` of (c, b, *s), 0 outside."""
  padded = jnp.pad(x, [(0, 0)] * 2 + [(1, 1)] * (x.ndim - 2))

  def cut(corner: tuple[int, ...]) -> jax.Array:
    start = (0, 0, *corner)
    stop = tuple(a + n for a, n in zip(start, x.shape, strict=True))
    return jax.lax.slice(padded, start, stop)

  return cut
