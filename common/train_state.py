"""What a run carries from step to step: arrays only."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from common import memory as memory_lib

Params = Any
Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
LossFn = Callable[[Params, Batch, jax.Array], tuple[jax.Array, Metrics]]
GradFn = Callable[[Params, Batch, jax.Array], tuple[Params, Metrics]]


@flax.struct.dataclass
class TrainState:
  """Parameters, optimizer moments, memory and the number of steps done.

  `generator` is the state of what replays past sites, where there is one.

  One optimizer state serves every update of a run: neither the Reptile
  interpolation nor a new site resets the moments, as in the released SAMCL.
  """

  step: jax.Array
  params: Params
  opt_state: optax.OptState
  memory: memory_lib.Memory | None = None
  generator: Any = None


ProbeFn = Callable[[TrainState, Batch, jax.Array], Metrics]
StepFn = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]


def create_state(
  params: Params,
  tx: optax.GradientTransformation,
  memory: memory_lib.Memory | None = None,
  generator: Any = None,
) -> TrainState:
  """A state at step 0."""
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=tx.init(params),
    memory=memory,
    generator=generator,
  )
