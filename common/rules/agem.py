"""Descent that does not raise the loss of the memory, to first order.

    g - (g . r / r . r) r where g . r < 0, r the gradient of kept cases of past
    sites (Chaudhry et al., "Efficient lifelong learning with A-GEM", ICLR 2019)

Adam scales a gradient element by element, so its step leaves the directions
that the projection left: the step is projected as well.
"""

import jax
import jax.numpy as jnp
import optax

from common import execution, tree
from common import train_state as ts
from common.rules import descent


def make_update(
  grad_fn: ts.GradFn,
  tx: optax.GradientTransformation,
  sample: ts.SampleFn,
  num_cases: int | None = None,
) -> ts.StepFn:
  """An update whose gradient and step agree with the memory.

  Args:
    grad_fn: of a batch.
    tx: optimizer.
    sample: (memory, size, key) -> remembered cases.
    num_cases: of them; None for as many as the batch has.
  """
  apply = descent.make_apply(tx)

  @execution.piece
  def agreed(grads, reference):
    along = tree.dot(grads, reference)
    return _without(grads, reference, jnp.minimum(along, 0)), along

  @execution.piece
  def confined(start, end, reference):
    moved = jax.tree.map(jnp.subtract, end, start)
    along = jnp.maximum(tree.dot(moved, reference), 0)
    return _without(end, reference, along)

  def update(state, batch, key):
    draw_key, past_key, key = jax.random.split(key, 3)
    size = num_cases or tree.num_items(batch)
    past = sample(state.memory, size, draw_key)
    reference, of_past = grad_fn(state.params, past, past_key)
    grads, metrics = grad_fn(state.params, batch, key)
    grads, along = agreed(grads, reference)
    start = state.params
    state, norms = apply(state, grads)
    params = confined(start, state.params, reference)
    return state.replace(params=params), {
      **metrics,
      **norms,
      'inner_product/memory': along,
      'replay/loss/total': of_past['loss/total'],
    }

  return update


def _without(
  vector: ts.Params, reference: ts.Params, along: jax.Array
) -> ts.Params:
  """v - (along / r . r) r; v where r is 0."""
  square = tree.dot(reference, reference)
  scale = jnp.where(square > 0, along / jnp.where(square > 0, square, 1), 0)
  return jax.tree.map(lambda v, r: v - scale * r, vector, reference)
