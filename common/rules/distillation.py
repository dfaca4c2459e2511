"""Outputs that are kept where they were: of a former network, or of a memory.

lwf  L(B) + c D(f(x), f_old(x)) on the incoming cases, f_old the network as
     it left the last site (Li and Hoiem, "Learning without forgetting",
     TPAMI 2018)
der  L(B) + alpha ||f(x') - y'||^2 + beta L(B''), y' the output when x' was
     met, B' and B'' drawn from the memory (Buzzega et al., "Dark experience
     for general continual learning", NeurIPS 2020: DER++)
"""

from collections.abc import Callable
import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from common import train_state as ts
from common import tree

# The field of a batch that holds outputs to keep to.
TARGET = 'target'


@dataclasses.dataclass(frozen=True)
class Lwf:
  """Strength of learning without forgetting.

  Attributes:
    weight: c; 0 is plain descent.
  """

  weight: float = 1.0

  def __post_init__(self):
    _check('lwf', weight=self.weight)


@dataclasses.dataclass(frozen=True)
class Der:
  """Strengths of dark experience replay.

  Attributes:
    alpha: of the remembered outputs.
    beta: of the loss of remembered cases; both 0 is plain descent.
  """

  alpha: float = 0.5
  beta: float = 0.5

  def __post_init__(self):
    _check('der', alpha=self.alpha, beta=self.beta)


@flax.struct.dataclass
class Teacher:
  """The network of the last site; `known` is 0 before there is one, then 1."""

  params: ts.Params
  known: jax.Array


def create_teacher(params: ts.Params) -> Teacher:
  return Teacher(jax.tree.map(jnp.copy, params), jnp.zeros(()))


def make_teacher_consolidation() -> ts.ConsolidateFn:
  """The network becomes the teacher when a site is left."""

  def consolidate(state, cases, key, stage):
    del cases, key, stage
    copy = jax.tree.map(jnp.copy, state.params)
    return state.replace(rule=Teacher(copy, jnp.ones(())))

  return consolidate


def with_distance(
  output: ts.OutputFn,
  objective: ts.ObjectiveFn,
  distance: ts.DistanceFn,
  weight: float,
) -> ts.LossFn:
  """The loss plus the distance to the targets in the batch.

  The batch has them as 'target' and their weight, one each, as 'known'. One
  pass through the network serves both terms.
  """

  def loss(params, batch, key):
    del key
    found = output(params, batch)
    total, metrics = objective(found, batch)
    kept = distance(found, batch[TARGET])
    total += weight * jnp.mean(batch['known']) * kept
    return total, metrics | {'loss/total': total, 'loss/distance': kept}

  return loss


def taught(grad_fn: ts.GradFn, output: ts.OutputFn) -> ts.DirectionFn:
  """The gradient of `with_distance` to the outputs of the teacher.

  The teacher sees the batch as it comes, without any simulated shift.
  """
  ask = jax.jit(output)

  def direction(state, batch, key):
    teacher = state.rule
    known = jnp.broadcast_to(teacher.known, tree.num_items(batch))
    batch = batch | {TARGET: ask(teacher.params, batch), 'known': known}
    return grad_fn(state.params, batch, key)

  return direction


def make_annotate(
  output: ts.OutputFn,
) -> Callable[[ts.Params, ts.Batch], ts.Batch]:
  """(params, batch) -> the batch with the outputs of the network."""
  return jax.jit(lambda params, batch: batch | {TARGET: output(params, batch)})


def make_observe(output: ts.OutputFn, observe: ts.StepFn) -> ts.StepFn:
  """A step that inserts the batch and its outputs into the memory."""
  annotate = make_annotate(output)

  def observed(state, batch, key):
    return observe(state, annotate(state.params, batch), key)

  return observed


def remembered(
  grad_fn: ts.GradFn,
  output: ts.OutputFn,
  sample: ts.SampleFn,
  strength: Der,
  num_cases: int | None = None,
) -> ts.DirectionFn:
  """The gradient of dark experience replay.

  Args:
    grad_fn: of the loss of a batch.
    output: of the network.
    sample: (memory, size, key) -> remembered cases with their outputs.
    strength: of both terms.
    num_cases: of either draw; None for as many as the batch has.
  """

  @jax.jit
  def darken(params, past):
    def gap(params):
      return jnp.mean((output(params, past) - past[TARGET]) ** 2)

    return jax.value_and_grad(gap)(params)

  @jax.jit
  def mix(grads, dark, past):
    return jax.tree.map(
      lambda g, d, p: g + strength.alpha * d + strength.beta * p,
      grads,
      dark,
      past,
    )

  def direction(state, batch, key):
    dark_key, draw_key, past_key, key = jax.random.split(key, 4)
    size = num_cases or tree.num_items(batch)
    value, dark = darken(state.params, sample(state.memory, size, dark_key))
    past = sample(state.memory, size, draw_key)
    past = {name: x for name, x in past.items() if name != TARGET}
    of_past, metrics_past = grad_fn(state.params, past, past_key)
    grads, metrics = grad_fn(state.params, batch, key)
    return mix(grads, dark, of_past), {
      **metrics,
      'loss/dark': value,
      'replay/loss/total': metrics_past['loss/total'],
    }

  return direction


def _check(name: str, **weights: float) -> None:
  for field, found in weights.items():
    if found < 0:
      raise ValueError(f'{name}.{field}: found {found}, must be >= 0')
