"""Quadratic penalties that hold parameters where past sites need them.

Both add c sum_k O_k (w_k - w*_k)^2 to the loss, w* the parameters when the last
site was left, and differ in the importance O:

    ewc  O = Fisher information, gamma O + mean_i (grad L_i)^2 at w*
         (Kirkpatrick et al., PNAS 2017; online form: Schwarz et al., ICML 2018)
    si   O = O + max(0, path) / ((w - w*)^2 + damping), path = -sum_t g_t dw_t
         along the training of the site (Zenke et al., ICML 2017)
"""

from collections.abc import Iterable
import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import optax

from common import train_state as ts
from common import tree
from common.rules import descent


@dataclasses.dataclass(frozen=True)
class Ewc:
  """Strength of elastic weight consolidation.

  Attributes:
    weight: c; 0 is plain descent.
    gamma: what is kept of the importance of former sites when one is left.
  """

  weight: float = 1.0
  gamma: float = 1.0

  def __post_init__(self):
    _check_weight('ewc', self.weight)
    if not 0 <= self.gamma <= 1:
      raise ValueError(f'ewc.gamma: found {self.gamma}, must be in [0, 1]')


@dataclasses.dataclass(frozen=True)
class Si:
  """Strength of synaptic intelligence.

  Attributes:
    weight: c; 0 is plain descent.
    damping: keeps the importance of parameters that did not move finite.
  """

  weight: float = 1.0
  damping: float = 1e-3

  def __post_init__(self):
    _check_weight('si', self.weight)
    if self.damping <= 0:
      raise ValueError(f'si.damping: found {self.damping}, must be > 0')


@flax.struct.dataclass
class Anchor:
  """Parameters that are held, how much each is, and the path walked since."""

  params: ts.Params
  importance: ts.Params
  path: ts.Params | None = None


def create_anchor(params: ts.Params, *, with_path: bool = False) -> Anchor:
  """Before the first site: nothing is important."""
  zeros = jax.tree.map(jnp.zeros_like, params)
  return Anchor(
    params=jax.tree.map(jnp.copy, params),
    importance=zeros,
    path=jax.tree.map(jnp.copy, zeros) if with_path else None,
  )


def penalty(params: ts.Params, anchor: Anchor) -> jax.Array:
  """sum_k O_k (w_k - w*_k)^2."""
  gap = jax.tree.map(jnp.subtract, params, anchor.params)
  return tree.dot(anchor.importance, jax.tree.map(jnp.square, gap))


def make_update(
  grad_fn: ts.GradFn,
  tx: optax.GradientTransformation,
  *,
  weight: float,
) -> ts.StepFn:
  """An optimizer update on loss and penalty; adds to the path, if there is one.

  The path is that of the loss alone, as it was walked under the penalty.
  """
  apply = descent.make_apply(tx)
  pull = jax.jit(jax.value_and_grad(penalty))

  @jax.jit
  def walk(path, grads, before, after):
    return jax.tree.map(
      lambda p, g, a, b: p - g * (b - a), path, grads, before, after
    )

  def update(state, batch, key):
    anchor, before = state.rule, state.params
    grads, metrics = grad_fn(before, batch, key)
    value, back = pull(before, anchor)
    total = jax.tree.map(lambda g, b: g + weight * b, grads, back)
    state, norms = apply(state, total)
    if anchor.path is not None:
      path = walk(anchor.path, grads, before, state.params)
      state = state.replace(rule=anchor.replace(path=path))
    return state, metrics | norms | {'loss/penalty': weight * value}

  return update


def make_fisher_consolidation(
  grad_fn: ts.GradFn, *, gamma: float
) -> ts.ConsolidateFn:
  """The importance of `ewc` when a site is left."""
  add = jax.jit(lambda a, g: jax.tree.map(lambda x, y: x + y * y, a, g))

  def consolidate(state, cases: Iterable[ts.Batch], key, stage):
    del stage
    total, count = jax.tree.map(jnp.zeros_like, state.params), 0
    for count, case in enumerate(cases, start=1):
      case_key = jax.random.fold_in(key, count)
      total = add(total, grad_fn(state.params, case, case_key)[0])
    importance = jax.tree.map(
      lambda old, new: gamma * old + new / count, state.rule.importance, total
    )
    return _hold(state, importance)

  return consolidate


def make_path_consolidation(*, damping: float) -> ts.ConsolidateFn:
  """The importance of `si` when a site is left."""

  def consolidate(state, cases, key, stage):
    del cases, key, stage
    importance = jax.tree.map(
      lambda old, path, now, then: (
        old + jnp.maximum(path, 0) / ((now - then) ** 2 + damping)
      ),
      state.rule.importance,
      state.rule.path,
      state.params,
      state.rule.params,
    )
    return _hold(state, importance)

  return consolidate


def _hold(state: ts.TrainState, importance: ts.Params) -> ts.TrainState:
  anchor = create_anchor(
    state.params, with_path=state.rule.path is not None
  ).replace(importance=importance)
  return state.replace(rule=anchor)


def _check_weight(name: str, weight: float) -> None:
  if weight < 0:
    raise ValueError(f'{name}.weight: found {weight}, must be >= 0')
