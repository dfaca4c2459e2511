"""Experience replay: steps that write to the memory or learn from it.

Chaudhry et al., "On tiny episodic memories in continual learning", 2019.
"""

import jax
import jax.numpy as jnp

from common import memory as memory_lib
from common import train_state as ts


def make_observe(policy: memory_lib.Policy = memory_lib.RESERVOIR) -> ts.StepFn:
  """A step that only inserts the batch into the memory."""

  def observe(state, batch, key):
    memory = memory_lib.insert(state.memory, batch, key, policy)
    return state.replace(memory=memory), {}

  return observe


def on_replay(
  step: ts.StepFn, policy: memory_lib.Policy = memory_lib.RESERVOIR
) -> ts.StepFn:
  """Runs a step on as many remembered cases as the batch has.

  Metrics are named 'replay/...'.
  """

  def replayed(state, batch, key):
    draw_key, step_key = jax.random.split(key)
    num = jax.tree.leaves(batch)[0].shape[0]
    past = memory_lib.draw(state.memory, num, draw_key, policy)
    state, metrics = step(state, past, step_key)
    return state, {f'replay/{name}': x for name, x in metrics.items()}

  return replayed


def with_replay(
  step: ts.StepFn, policy: memory_lib.Policy = memory_lib.RESERVOIR
) -> ts.StepFn:
  """Runs a step on the batch and as many remembered cases together."""

  def mixed(state, batch, key):
    draw_key, step_key = jax.random.split(key)
    num = jax.tree.leaves(batch)[0].shape[0]
    past = memory_lib.draw(state.memory, num, draw_key, policy)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), batch, past)
    return step(state, both, step_key)

  return mixed
