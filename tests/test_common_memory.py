import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import memory as memory_lib


def _items(values: list[int]) -> dict[str, jax.Array]:
  x = jnp.asarray(values, jnp.float32)
  return {'image': jnp.stack([x, 10 * x], axis=1), 'label': x.astype(jnp.uint8)}


def _fill(num: int, capacity: int, key: jax.Array) -> np.ndarray:
  memory = memory_lib.create_memory(_items([0]), capacity)

  def one(memory, value):
    item = {
      'image': jnp.stack([value, 10 * value])[None].astype(jnp.float32),
      'label': value[None].astype(jnp.uint8),
    }
    step_key = jax.random.fold_in(key, value)
    return memory_lib.insert(memory, item, step_key), None

  memory, _ = jax.lax.scan(one, memory, jnp.arange(num, dtype=jnp.int32))
  return memory.items['label']


def test_fills_in_order_then_stays_full():
  memory = memory_lib.create_memory(_items([0]), 3)
  memory = memory_lib.insert(memory, _items([7, 8]), jax.random.key(0))
  np.testing.assert_array_equal(memory.items['label'], [7, 8, 0])
  memory = memory_lib.insert(memory, _items([9, 5]), jax.random.key(1))
  assert int(memory.num_seen) == 4
  assert set(np.asarray(memory.items['label'])) <= {5, 7, 8, 9}
  np.testing.assert_array_equal(
    memory.items['image'][:, 1], 10 * memory.items['image'][:, 0]
  )


def test_every_item_is_kept_with_the_same_probability():
  keys = jax.random.split(jax.random.key(3), 2000)
  held = jax.jit(jax.vmap(lambda k: _fill(12, 4, k)))(keys)
  share = np.bincount(np.asarray(held).ravel(), minlength=12) / 2000
  # Binomial with p = 1/3: standard deviation 0.0105.
  np.testing.assert_allclose(share, 4 / 12, atol=0.045)


def test_a_rejected_item_overwrites_nothing():
  policy = memory_lib.Policy(write=lambda n, cap, num, key: jnp.array([3, 1]))
  memory = memory_lib.create_memory(_items([0]), 3)
  memory = memory_lib.insert(memory, _items([1, 2]), jax.random.key(0))
  memory = memory_lib.insert(memory, _items([6, 9]), jax.random.key(0), policy)
  np.testing.assert_array_equal(memory.items['label'], [1, 9, 0])


def test_replay_is_without_replacement_and_from_filled_slots_only():
  for seed in range(20):
    slots = memory_lib.replay_slots(jnp.int32(4), 9, 3, jax.random.key(seed))
    assert len(set(np.asarray(slots))) == 3
    assert slots.max() < 4


def test_replay_draws_every_slot_equally_often():
  keys = jax.random.split(jax.random.key(5), 3000)
  slots = jax.vmap(lambda k: memory_lib.replay_slots(jnp.int32(50), 5, 2, k))(
    keys
  )
  share = np.bincount(np.asarray(slots).ravel(), minlength=5) / 3000
  np.testing.assert_allclose(share, 2 / 5, atol=0.045)


def test_replay_of_more_than_is_held_repeats():
  slots = memory_lib.replay_slots(jnp.int32(2), 8, 4, jax.random.key(0))
  np.testing.assert_array_equal(np.sort(slots), [0, 0, 1, 1])


def test_appended_items_come_behind_the_others():
  memory = memory_lib.create_memory(_items([0]), 5)
  for items in ([7, 8], [9]):
    memory = memory_lib.append(memory, _items(items))
  assert int(memory.num_seen) == 3
  held = memory_lib.sample(memory, 3, jax.random.key(0))
  assert sorted(np.asarray(held['label'])) == [7, 8, 9]


def test_no_room_is_refused():
  with pytest.raises(ValueError, match='at least 1'):
    memory_lib.create_memory(_items([0]), 0)
