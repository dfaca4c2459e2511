"""Resampling of volumes by displacement fields, in two and three dimensions.

Arrays are channels last: volumes `(b, *s, c)`, displacements `(b, *s, d)` with
`d = len(s)`; component d lies along spatial axis d and is measured in voxels.
Warping is pull-back: `warped(p) = volume(p + displacement(p))`.
"""

from collections.abc import Callable, Sequence
import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp

from common import fusion, stencil

# Channels from which a volume is warped slab by slab on CPU, and in how many.
_MANY_CHANNELS = 8
_NUM_SLABS = 4


def identity_grid(
  shape: Sequence[int], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
  """Voxel coordinates of every voxel, (*shape, d)."""
  axes = [jnp.arange(size, dtype=dtype) for size in shape]
  return jnp.stack(jnp.meshgrid(*axes, indexing='ij'), axis=-1)


def warp(
  volume: jax.Array,
  displacement: jax.Array,
  *,
  order: int = 1,
  outside: str = 'zeros',
) -> jax.Array:
  """`volume(p + displacement(p))` for every voxel p.

  Args:
    volume: (b, *s, c), any type; order 0 keeps it.
    displacement: (b, *s, d), voxels.
    order: 1 for linear interpolation, 0 for the nearest voxel (halves go to
      the even index).
    outside: 'zeros' counts every neighbour outside the volume as 0, 'border'
      first clamps coordinates to `[0, S - 1]`.

  Returns:
    (b, *s, c). At integer coordinates the derivative with respect to the
    displacement is the forward difference.

  Raises:
    ValueError: for another `order` or `outside`.
  """
  grid = identity_grid(displacement.shape[1:-1], displacement.dtype)
  sample = functools.partial(_sample, volume, order=order, outside=outside)
  many = order == 1 and volume.shape[-1] >= _MANY_CHANNELS
  if many and jax.default_backend() == 'cpu':
    sample = _by_slabs(sample)
  return sample(grid[None] + displacement)


def _by_slabs(
  sample: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array], jax.Array]:
  """Samples slab by slab, and again for the gradient: (b, *s, d) points.

  Kept from one to the other, what is read around each point would be half of
  the memory of a registration step; slab by slab it stays in the cache.
  """

  def sampled(points: jax.Array) -> jax.Array:
    batch, size, *rest = points.shape
    num = math.gcd(size, _NUM_SLABS)
    slabs = points.reshape(batch, num, size // num, *rest)
    found = jax.lax.map(jax.checkpoint(sample), jnp.moveaxis(slabs, 1, 0))
    return jnp.moveaxis(found, 0, 1).reshape(*points.shape[:-1], -1)

  return sampled


def sample_at(
  volume: jax.Array, points: jax.Array, *, outside: str = 'zeros'
) -> jax.Array:
  """Linear interpolation of (b, *s, c) at (b, k, d) voxel points: (b, k, c)."""
  return _sample(volume, points, 1, outside)


def compose(first: jax.Array, second: jax.Array) -> jax.Array:
  """Displacement of `p -> q = p + first(p) -> q + second(q)`, (b, *s, d)."""
  return first + warp(second, first)


def sample_composed(
  first: jax.Array,
  second: jax.Array,
  points: jax.Array,
  *,
  outside: str = 'zeros',
) -> jax.Array:
  """`sample_at(compose(first, second), points)` without composing everywhere.

  The composition is formed at the voxels around each point only: (b, k, d).
  """
  batch, count, rank = points.shape
  size = jnp.asarray(first.shape[1:-1], points.dtype)[None, None, None]
  points = points[:, :, None]
  if outside == 'border':
    points = jnp.clip(points, 0, size - 1)
  corners = jnp.asarray(list(itertools.product((0, 1), repeat=rank)))
  corners = corners.astype(points.dtype)[None, None]
  voxels = jnp.floor(jax.lax.stop_gradient(points)) + corners
  weight = jnp.prod(1 - jnp.abs(points - voxels), axis=-1)
  known = jnp.all((voxels >= 0) & (voxels < size), axis=-1)
  voxels = voxels.reshape(batch, -1, rank)
  moved = sample_at(first, voxels)
  moved += sample_at(second, voxels + moved)
  moved = moved.reshape(batch, count, -1, rank)
  return jnp.sum(jnp.where(known, weight, 0)[..., None] * moved, axis=2)


def exponentiate(velocity: jax.Array, num_squarings: int = 7) -> jax.Array:
  """Displacement of the unit-time flow of a stationary velocity, (b, *s, d).

  Scaling and squaring: `u = v / 2^n`, then n times `u <- u + u(p + u)`
  (Arsigny et al., MICCAI 2006, algorithm 2).
  """

  def square(displacement: jax.Array, _: None) -> tuple[jax.Array, None]:
    return displacement + _follow(displacement, displacement), None

  scaled = jnp.moveaxis(velocity / 2**num_squarings, -1, 0)
  return jnp.moveaxis(
    jax.lax.scan(square, scaled, length=num_squarings)[0], 0, -1
  )


@jax.custom_jvp
def _follow(volume: jax.Array, displacement: jax.Array) -> jax.Array:
  """`warp` of (c, b, *s) by (d, b, *s), much faster within one voxel.

  The first squarings move everything by less than that. Derivatives of first
  order only, forward and reverse.
  """
  return _near_or(stencil.warp_near, _warp_far, displacement)(
    volume, displacement
  )


@_follow.defjvp
def _follow_jvp(
  primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:

  def push(residuals, tangents):
    def far(volume, displacement, *tangents):
      return jax.jvp(_warp_far, (volume, displacement), tangents)[1]

    choose = _near_or(stencil.warp_near_jvp, far, residuals[1])
    return choose(*residuals, *tangents)

  def pull(residuals, cotangent):
    def far(volume, displacement, cotangent):
      return jax.vjp(_warp_far, volume, displacement)[1](cotangent)

    choose = _near_or(stencil.warp_near_vjp, far, residuals[1])
    return choose(*residuals, cotangent)

  out_dot = jax.custom_derivatives.linear_call(push, pull, primals, tangents)
  return _follow(*primals), out_dot


def _warp_far(volume: jax.Array, displacement: jax.Array) -> jax.Array:
  volume, displacement = (
    jnp.moveaxis(x, 0, -1) for x in (volume, displacement)
  )
  return jnp.moveaxis(warp(volume, displacement), -1, 0)


def _near_or(
  near: Callable[..., Any], far: Callable[..., Any], displacement: jax.Array
) -> Callable[..., Any]:
  """`near` where no component of the displacement exceeds one voxel.

  On CPU XLA runs the branches of a conditional on one thread but the body of a
  loop on all, so there the choice is a loop of at most one turn.
  """
  is_far = jnp.max(jnp.abs(displacement)) > 1
  if jax.default_backend() != 'cpu':
    return lambda *args: jax.lax.cond(is_far, far, near, *args)

  def choose(*args):
    def turn(_):
      return jnp.zeros((), bool), far(*args)

    start = is_far, near(*args)
    return jax.lax.while_loop(lambda state: state[0], turn, start)[1]

  return choose


def inside(displacement: jax.Array) -> jax.Array:
  """Where `0 < p_d + u_d <= S_d` for every axis d: bool (b, *s).

  The bounds are those of the released SAMCL code: coordinate 0 is out, and up
  to one voxel beyond the last one is in.
  """
  shape = displacement.shape[1:-1]
  target = identity_grid(shape, displacement.dtype)[None] + displacement
  upper = jnp.asarray(shape, displacement.dtype)
  upper = upper.reshape((1,) * (displacement.ndim - 1) + (-1,))
  return jnp.all((target > 0) & (target <= upper), axis=-1)


def jacobian_determinant(displacement: jax.Array) -> jax.Array:
  """`det(I + du/dx)` by centred differences on interior voxels, (b, *(s-2))."""
  rank = displacement.shape[-1]
  columns = [
    trimmed_difference(displacement, axis) for axis in range(1, rank + 1)
  ]
  columns = [
    _trim(column, [k for k in range(1, rank + 1) if k != axis])
    for axis, column in enumerate(columns, start=1)
  ]
  matrix = [
    [columns[j][..., i] + (i == j) for j in range(rank)] for i in range(rank)
  ]
  return _determinant(matrix)


def trimmed_difference(field: jax.Array, axis: int) -> jax.Array:
  """`(f(p + 1) - f(p - 1)) / 2` along one axis, which loses two voxels."""
  size = field.shape[axis]
  upper = jax.lax.slice_in_dim(field, 2, size, axis=axis)
  return (upper - jax.lax.slice_in_dim(field, 0, size - 2, axis=axis)) / 2


def _trim(field: jax.Array, axes: Sequence[int]) -> jax.Array:
  for axis in axes:
    field = jax.lax.slice_in_dim(field, 1, field.shape[axis] - 1, axis=axis)
  return field


def _determinant(rows: list[list[jax.Array]]) -> jax.Array:
  """Laplace expansion along the first row."""
  if len(rows) == 1:
    return rows[0][0]
  minors = [
    _determinant([row[:j] + row[j + 1 :] for row in rows[1:]])
    for j in range(len(rows))
  ]
  terms = [(-1) ** j * rows[0][j] * minor for j, minor in enumerate(minors)]
  return sum(terms[1:], terms[0])


def _sample(
  volume: jax.Array, points: jax.Array, order: int, outside: str
) -> jax.Array:
  """Values of (b, *s, c) at (b, *t, d): (b, *t, c)."""
  if order not in (0, 1):
    raise ValueError(f'order is {order!r}, allowed: 0, 1')
  if outside not in ('zeros', 'border'):
    raise ValueError(f"outside is {outside!r}, allowed: 'zeros', 'border'")
  shape = volume.shape[1:-1]
  volume, points = fusion.fence(volume), fusion.fence(points)
  coordinates = [points[..., d] for d in range(len(shape))]
  if outside == 'border':
    coordinates = [
      jnp.clip(x, 0, size - 1)
      for x, size in zip(coordinates, shape, strict=True)
    ]
  if order == 0:
    return _gather(
      volume,
      [
        _to_index(jnp.round(x), n)
        for x, n in zip(coordinates, shape, strict=True)
      ],
    )
  lower = [jnp.floor(jax.lax.stop_gradient(x)) for x in coordinates]
  fractions = [x - low for x, low in zip(coordinates, lower, strict=True)]
  base = [_to_index(low, n) for low, n in zip(lower, shape, strict=True)]
  total = jnp.zeros((), volume.dtype)
  for corner in itertools.product((0, 1), repeat=len(shape)):
    weight = math.prod(
      f if bit else 1 - f for f, bit in zip(fractions, corner, strict=True)
    )
    index = [low + bit for low, bit in zip(base, corner, strict=True)]
    values = _gather(volume, index)
    total = total + fusion.spread(weight[..., None], values.shape[-1]) * values
  return fusion.fence(total)


def _to_index(coordinate: jax.Array, size: int) -> jax.Array:
  """Integer index; far outside becomes an index just outside."""
  return jnp.clip(coordinate, -2, size).astype(jnp.int32)


def _gather(volume: jax.Array, index: list[jax.Array]) -> jax.Array:
  """Rows of (b, *s, c) at integer indices d x (b, *t); 0 outside."""
  batch, *shape, channels = volume.shape
  valid = jnp.ones((), bool)
  flat = jnp.zeros((), jnp.int32)
  for i, size in zip(index, shape, strict=True):
    valid = valid & (i >= 0) & (i < size)
    flat = flat * size + jnp.clip(i, 0, size - 1)
  rows = volume.reshape(batch, -1, channels)
  values = jax.vmap(lambda v, k: v[k])(rows, flat)
  return jnp.where(valid[..., None], values, jnp.zeros((), volume.dtype))
