"""Do the gradients of two batches point one way? Measured, not changed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from common import train_state as ts
from common import tree

# (params, A, B, key) -> metrics.
MeasureFn = Callable[[ts.Params, ts.Batch, ts.Batch, jax.Array], ts.Metrics]


def make_cosine(grad_fn: ts.GradFn) -> MeasureFn:
  """Measures how well the gradients of two batches agree at the parameters."""

  @jax.jit
  def compare(g_a, g_b):
    inner = tree.dot(g_a, g_b)
    lengths = tree.norm(g_a) * tree.norm(g_b)
    cosine = inner / jnp.where(lengths > 0, lengths, 1)
    return {'inner_product': inner, 'cosine': cosine}

  def measure(params, a, b, key):
    (g_a, _), (g_b, _) = gradients(grad_fn, params, a, b, key)
    return compare(g_a, g_b)

  return measure


def gradients(
  grad_fn: ts.GradFn,
  params: ts.Params,
  a: ts.Batch,
  b: ts.Batch,
  key: jax.Array,
) -> tuple[tuple[ts.Params, ts.Metrics], tuple[ts.Params, ts.Metrics]]:
  """Gradient and metrics of A, and of B, at the same parameters."""
  key_a, key_b = keys(key)
  return grad_fn(params, a, key_a), grad_fn(params, b, key_b)


def keys(key: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The keys of A and of B."""
  # Not split: an estimator comes back to the draws of A and of B, on purpose.
  return jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
