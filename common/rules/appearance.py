"""A loss that sees some of its cases under a simulated appearance.

Not part of any method: it tells what a method adds from what the shift adds
that smg's pseudo-domains are made with.
"""

import functools

import jax
import jax.numpy as jnp

from common import train_state as ts
from common import tree
from common.rules import pseudo_domains


@functools.lru_cache(maxsize=4)
def with_shift(
  loss_fn: ts.LossFn, shift: pseudo_domains.Shift | None, share: float
) -> ts.LossFn:
  """The loss with each case shifted with probability `share`; 0 is identity.

  Asked again for the same it gives the same function, so it is compiled once.

  Raises:
    ValueError: a share outside [0, 1], or no shift to take.
  """
  if not 0 <= share <= 1:
    raise ValueError(f'train.shift_share: found {share}, must be in [0, 1]')
  if share == 0:
    return loss_fn
  if shift is None:
    raise ValueError(
      f'train.shift_share: found {share}, must be 0: the problem simulates no '
      'other appearance'
    )

  def loss(params, batch, key):
    shift_key, choice_key, key = jax.random.split(key, 3)
    num = tree.num_items(batch)
    chosen = jax.random.bernoulli(choice_key, share, (num,))

    def pick(new, old):
      where = chosen.reshape((num,) + (1,) * (jnp.ndim(old) - 1))
      return jnp.where(where, new, old)

    seen = jax.tree.map(pick, shift(batch, shift_key), dict(batch))
    return loss_fn(params, seen, key)

  return loss
