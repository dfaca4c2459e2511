"""Plain descent: a loss becomes a gradient, a gradient becomes a step.

Each piece is compiled by itself, so a step that needs the gradient many times,
as SAMCL's does, compiles it once per batch shape even where the step as a whole
is not compiled; see `execution.piece`.
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp
import optax

from common import execution, tree
from common import train_state as ts
from common.rules import samples


@functools.lru_cache(maxsize=4)
def make_gradient(loss_fn: ts.LossFn) -> ts.GradFn:
  """g = grad L(params; batch), with the metrics of the loss.

  Asked again for the same loss it gives the same function, compiled once.
  """
  differentiate = jax.value_and_grad(loss_fn, has_aux=True)

  @execution.piece
  def gradient(params, batch, key):
    (_, metrics), grads = differentiate(params, batch, key)
    return grads, metrics

  return gradient


def accumulate(grad_fn: ts.GradFn) -> ts.GradFn:
  """The mean of the gradients of the samples, in the memory that one takes.

  A loss that pools over its batch, as soft Dice does, then pools within each
  sample: a large organ in one case no longer drowns a small one in another.
  """
  add = execution.piece(tree.add, donate_argnums=0)

  def accumulated(params, batch, key):
    num = tree.num_items(batch)
    if num == 1:
      return grad_fn(params, batch, key)

    def body(total, sample, key):
      grads, metrics = grad_fn(params, sample, key)
      return add(total, grads), metrics

    total = jax.tree.map(jnp.zeros_like, params)
    total, metrics = samples.fold(body, total, batch, key)
    return jax.tree.map(lambda x: x / num, total), metrics

  return accumulated


def make_apply(
  tx: optax.GradientTransformation,
) -> Callable[[ts.TrainState, ts.Params], tuple[ts.TrainState, ts.Metrics]]:
  """(state, gradient) -> the state after one optimizer update, and norms.

  The optimizer's state is donated: the one before the update is gone.
  """
  tx = optax.with_extra_args_support(tx)

  @functools.partial(execution.piece, donate_argnums=1)
  def move(params, opt_state, grads, step):
    updates, opt_state = tx.update(grads, opt_state, params, step=step)
    norms = {
      'norm/grads': tree.norm(grads),
      'norm/updates': tree.norm(updates),
      'norm/params': tree.norm(params),
    }
    return optax.apply_updates(params, updates), opt_state, norms

  def apply(state, grads):
    params, opt_state, norms = move(
      state.params, state.opt_state, grads, state.step
    )
    return state.replace(params=params, opt_state=opt_state), norms

  return apply


def make_update(
  grad_fn: ts.GradFn, tx: optax.GradientTransformation
) -> ts.StepFn:
  """One optimizer update in the direction of `grad_fn`."""
  return follow(lambda state, *rest: grad_fn(state.params, *rest), tx)


def follow(
  direction: ts.DirectionFn, tx: optax.GradientTransformation
) -> ts.StepFn:
  """One optimizer update along a direction that depends on the state."""
  apply = make_apply(tx)

  def update(state, batch, key):
    grads, metrics = direction(state, batch, key)
    state, norms = apply(state, grads)
    return state, metrics | norms

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
