"""Our network, loss and whole iteration on random pairs, to measure."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from common import execution, memory, methods, optim, train_state
from common import problem as problem_lib
from samcl import lku_net, losses

NUM_CLASSES = 14


class Problem(NamedTuple):
  """LKU-Net and its loss on pairs of one shape."""

  shape: tuple[int, ...]
  params: Any
  loss: train_state.LossFn


def make_problem(
  shape: Sequence[int],
  num_channels: int = 16,
  num_levels: int = 4,
  conv_dtype: Any = None,
) -> Problem:
  """The paper's losses, weights 1 and window 3."""
  network = lku_net.LKUNet(
    num_levels=num_levels, num_channels=num_channels, conv_dtype=conv_dtype
  )
  create_params = problem_lib.make_create_params(network)
  params = create_params(jax.random.key(0), jnp.zeros((1, *shape, 2)))
  loss = problem_lib.make_loss(
    lambda p, b: network.apply({'params': p}, losses.network_inputs(b)),
    losses.make_objective(num_classes=NUM_CLASSES),
  )
  return Problem(tuple(shape), params, loss)


def make_batch(shape: Sequence[int], size: int) -> dict[str, np.ndarray]:
  """Random pairs in the types that the reader gives; no landmarks."""
  rng, full = np.random.default_rng(0), (size, *shape)
  batch = {'landmark_weight': np.zeros((size, 1), np.float32)}
  for side in ('fixed', 'moving'):
    batch |= {
      side: rng.random(full, np.float32),
      f'{side}_mask': np.ones(full, np.uint8),
      f'{side}_label': rng.integers(0, NUM_CLASSES, full).astype(np.uint8),
      f'{side}_landmarks': np.zeros((size, 1, 3), np.float32),
    }
  return batch


def make_run(
  problem: Problem,
  *,
  batch_size: int,
  method: str,
  capacity: int = 4,
  accumulate: bool = True,
) -> Callable[[], None]:
  """A function that runs one iteration of the product, from where it stands."""
  batch = make_batch(problem.shape, batch_size)
  tx = optim.create_optimizer(
    'adam', schedule=optax.constant_schedule(1e-4), weight_decay=1e-5
  )
  chosen = methods.get(method)
  step = execution.compiled(
    chosen.make_step(problem.loss, tx, methods.Settings(accumulate=accumulate))
  )
  held = memory.create_memory(batch, capacity) if chosen.memory else None
  state = [train_state.create_state(problem.params, tx, held)]

  def run() -> None:
    state[0], _ = step(state[0], batch, jax.random.key(1))
    jax.block_until_ready(state[0])

  return run
