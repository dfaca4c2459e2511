"""What a run carries from step to step: arrays only."""

from collections.abc import Callable, Iterable
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
# A loss in two parts: what the network says of a batch, and what that costs.
OutputFn = Callable[[Params, Batch], jax.Array]
ObjectiveFn = Callable[[jax.Array, Batch], tuple[jax.Array, Metrics]]
# (output, another output) -> how far they are apart.
DistanceFn = Callable[[jax.Array, jax.Array], jax.Array]


@flax.struct.dataclass
class TrainState:
  """Parameters, optimizer moments, memory and the number of steps done.

  `generator` is the state of what replays past sites, `rule` what else a method
  carries from site to site, where there is one.

  One optimizer state serves every update of a run: neither the Reptile
  interpolation nor a new site resets the moments, as in the released SAMCL.
  """

  step: jax.Array
  params: Params
  opt_state: optax.OptState
  memory: memory_lib.Memory | None = None
  generator: Any = None
  rule: Any = None


ProbeFn = Callable[[TrainState, Batch, jax.Array], Metrics]
StepFn = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
# A gradient that depends on more of the state than the parameters.
DirectionFn = Callable[[TrainState, Batch, jax.Array], tuple[Params, Metrics]]
# (memory, number of cases, key) -> remembered cases.
SampleFn = Callable[[memory_lib.Memory, int, jax.Array], Batch]
# (state, single cases of the site that is left, key, stage from 0) -> state.
ConsolidateFn = Callable[
  [TrainState, Iterable[Batch], jax.Array, int], TrainState
]


def create_state(
  params: Params,
  tx: optax.GradientTransformation,
  memory: memory_lib.Memory | None = None,
  generator: Any = None,
  rule: Any = None,
) -> TrainState:
  """A state at step 0."""
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=tx.init(params),
    memory=memory,
    generator=generator,
    rule=rule,
  )
