"""Reservoir memory: a uniform sample of everything seen, in fixed shapes.

Vitter, "Random sampling with a reservoir", 1985. With n items seen before, the
next one goes to slot n while there is room, and to slot j ~ U{0..n} after; j
beyond the capacity means that the item is not kept. So every item seen is held
with the same probability.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from common import tree


@flax.struct.dataclass
class Memory:
  """Items as arrays `(capacity, ...)` and the number of items seen."""

  items: dict[str, jax.Array]
  num_seen: jax.Array

  @property
  def capacity(self) -> int:
    return tree.num_items(self.items)


def create_memory(example: dict[str, Any], capacity: int) -> Memory:
  """An empty memory for batches like `example` (leading axis: items).

  Raises:
    ValueError: a capacity below 1.
  """
  if capacity < 1:
    raise ValueError(f'memory.capacity: found {capacity}, must be at least 1')
  return Memory(
    items=jax.tree.map(
      lambda x: jnp.zeros((capacity, *x.shape[1:]), x.dtype), example
    ),
    num_seen=jnp.zeros((), jnp.int32),
  )


def reservoir_slots(
  num_seen: jax.Array, capacity: int, num_items: int, key: jax.Array
) -> jax.Array:
  """Slot of each of `num_items` new items; `capacity` means "not kept"."""
  seen = num_seen + jnp.arange(num_items, dtype=jnp.int32)
  drawn = jax.vmap(lambda k, n: jax.random.randint(k, (), 0, n + 1))(
    jax.random.split(key, num_items), seen
  )
  return jnp.minimum(jnp.where(seen < capacity, seen, drawn), capacity)


def replay_slots(
  num_seen: jax.Array, capacity: int, num_items: int, key: jax.Array
) -> jax.Array:
  """`num_items` different filled slots, each set with the same probability.

  While fewer are filled than asked for, the filled ones come again in turn.
  """
  filled = jnp.clip(num_seen, 1, capacity)
  rank = jax.random.uniform(key, (capacity,))
  order = jnp.argsort(jnp.where(jnp.arange(capacity) < filled, rank, 2.0))
  return order[jnp.arange(num_items) % filled]


@dataclasses.dataclass(frozen=True)
class Policy:
  """Where new items go and which old ones come back.

  Both take (num_seen, capacity, num_items, key) and return `(num_items,)`
  slots.
  """

  write: Callable[..., jax.Array] = reservoir_slots
  read: Callable[..., jax.Array] = replay_slots


RESERVOIR = Policy()


def insert(
  memory: Memory,
  batch: dict[str, jax.Array],
  key: jax.Array,
  policy: Policy = RESERVOIR,
) -> Memory:
  """The memory after seeing a batch; a later item overwrites an earlier one."""
  num_items = tree.num_items(batch)
  slots = policy.write(memory.num_seen, memory.capacity, num_items, key)
  items = memory.items
  for i in range(num_items):
    items = jax.tree.map(
      lambda held, new, i=i: held.at[slots[i]].set(new[i], mode='drop'),
      items,
      batch,
    )
  return memory.replace(items=items, num_seen=memory.num_seen + num_items)


def empty(memory: Memory) -> Memory:
  """The memory as if it had seen nothing; what it holds is written over."""
  return memory.replace(num_seen=jnp.zeros_like(memory.num_seen))


def append(memory: Memory, batch: dict[str, jax.Array]) -> Memory:
  """The memory with these items behind those that it has; they fit."""
  num_items = tree.num_items(batch)
  items = jax.tree.map(
    lambda held, new: jax.lax.dynamic_update_slice_in_dim(
      held, jnp.asarray(new, held.dtype), memory.num_seen, 0
    ),
    memory.items,
    batch,
  )
  return memory.replace(items=items, num_seen=memory.num_seen + num_items)


def sample(
  memory: Memory,
  num_items: int,
  key: jax.Array,
  policy: Policy = RESERVOIR,
) -> dict[str, jax.Array]:
  """A batch of `num_items` different ones, as long as so many are filled."""
  slots = policy.read(memory.num_seen, memory.capacity, num_items, key)
  return jax.tree.map(lambda held: held[slots], memory.items)
