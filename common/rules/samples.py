"""Goes through the samples of a batch one after the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from common import train_state as ts
from common import tree

Carry = Any
Body = Callable[[Carry, ts.Batch, jax.Array], tuple[Carry, ts.Metrics]]


def fold(
  body: Body, carry: Carry, batch: ts.Batch, key: jax.Array
) -> tuple[Carry, ts.Metrics]:
  """carry <- body(carry, sample, key) for each sample; metrics are means.

  A sample is a batch of one. A loop of the compiler on accelerators. On CPU a
  plain one: XLA runs convolutions inside a compiled loop twenty times slower
  than outside.
  """
  num = tree.num_items(batch)
  # Not split: a sharpness-aware gradient uses the same keys twice, on purpose.
  keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(num))
  inputs = jax.tree.map(lambda x: x[:, None], batch), keys
  if jax.default_backend() == 'cpu':
    found = []
    for i in range(num):
      sample, sample_key = jax.tree.map(lambda x, i=i: x[i], inputs)
      carry, metrics = body(carry, sample, sample_key)
      found.append(metrics)
    return carry, jax.tree.map(lambda *m: sum(m) / num, *found)
  carry, metrics = jax.lax.scan(lambda c, i: body(c, *i), carry, inputs)
  return carry, jax.tree.map(lambda m: m.mean(axis=0), metrics)
