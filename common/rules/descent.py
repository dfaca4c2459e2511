"""Plain descent: a loss becomes a gradient, a gradient becomes a step."""

import jax
import optax

from common import train_state as ts
from common import tree


def make_gradient(loss_fn: ts.LossFn) -> ts.GradFn:
  """g = grad L(params; batch), with the metrics of the loss."""
  differentiate = jax.value_and_grad(loss_fn, has_aux=True)

  def gradient(params, batch, key):
    (_, metrics), grads = differentiate(params, batch, key)
    return grads, metrics

  return gradient


def make_update(
  grad_fn: ts.GradFn, tx: optax.GradientTransformation
) -> ts.StepFn:
  """One optimizer update in the direction of `grad_fn`."""

  def update(state, batch, key):
    grads, metrics = grad_fn(state.params, batch, key)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics |= {
      'norm/grads': tree.norm(grads),
      'norm/updates': tree.norm(updates),
      'norm/params': tree.norm(params),
    }
    return state.replace(params=params, opt_state=opt_state), metrics

  return update


def chain(*steps: ts.StepFn) -> ts.StepFn:
  """Steps one after the other on the same batch; metrics are merged."""

  def chained(state, batch, key):
    metrics = {}
    for i, step in enumerate(steps):
      state, new = step(state, batch, jax.random.fold_in(key, i))
      metrics |= new
    return state, metrics

  return chained
