"""Experience replay: steps that write to the memory or learn from it.

Chaudhry et al., "On tiny episodic memories in continual learning", 2019.
"""

import functools

import jax
import jax.numpy as jnp

from common import memory as memory_lib
from common import train_state as ts
from common import tree


def make_observe(policy: memory_lib.Policy = memory_lib.RESERVOIR) -> ts.StepFn:
  """A step that only inserts the batch into the memory."""

  insert = jax.jit(functools.partial(memory_lib.insert, policy=policy))

  def observe(state, batch, key):
    memory = insert(state.memory, batch, key)
    return state.replace(memory=memory), {}

  return observe


def on_replay(
  step: ts.StepFn,
  policy: memory_lib.Policy = memory_lib.RESERVOIR,
  num_cases: int | None = None,
) -> ts.StepFn:
  """Runs a step on `num_cases` remembered cases, by default a batch of them.

  Metrics are named 'replay/...'.
  """

  sample = make_sample(policy)

  def replayed(state, batch, key):
    draw_key, step_key = jax.random.split(key)
    past = sample(state.memory, num_cases or tree.num_items(batch), draw_key)
    state, metrics = step(state, past, step_key)
    return state, {f'replay/{name}': x for name, x in metrics.items()}

  return replayed


def with_replay(
  step: ts.StepFn,
  policy: memory_lib.Policy = memory_lib.RESERVOIR,
  num_cases: int | None = None,
  num_draws: int = 1,
) -> ts.StepFn:
  """Runs a step on the batch together with `num_draws * num_cases` old cases.

  They are different ones as long as the memory has so many.
  """

  sample = make_sample(policy)

  def mixed(state, batch, key):
    draw_key, step_key = jax.random.split(key)
    num_past = num_draws * (num_cases or tree.num_items(batch))
    past = sample(state.memory, num_past, draw_key)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), batch, past)
    return step(state, both, step_key)

  return mixed


def make_sample(
  policy: memory_lib.Policy = memory_lib.RESERVOIR,
) -> ts.SampleFn:
  """(memory, number of cases, key) -> remembered cases."""
  sample = functools.partial(memory_lib.sample, policy=policy)
  return jax.jit(sample, static_argnums=1)
