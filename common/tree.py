"""Arithmetic on parameter trees, with a convention at zero; size of batches."""

from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


def dot(a: Tree, b: Tree) -> jax.Array:
  """Sum over all leaves of the element-wise product."""
  products = jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)
  return jax.tree.reduce(jnp.add, products)


def norm(a: Tree) -> jax.Array:
  """Euclidean norm over all leaves; its gradient at zero is zero."""
  square = dot(a, a)
  positive = square > 0
  return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)


def add(a: Tree, b: Tree) -> Tree:
  return jax.tree.map(jnp.add, a, b)


def interpolate(a: Tree, b: Tree, weight: float) -> Tree:
  """a + weight (b - a)."""
  return jax.tree.map(lambda x, y: x + weight * (y - x), a, b)


def num_items(batch: Tree) -> int:
  """Size of the leading axis, which all leaves share."""
  return jax.tree.leaves(batch)[0].shape[0]
