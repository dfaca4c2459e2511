"""Two pseudo-domains out of one pool: what arbitrary alignment aligns.

SMG-Learning, arXiv 2406.18037: the split is arbitrary, so that agreement is
learnt for shifts between sites that are not known yet.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from common import train_state as ts
from common import tree

Shift = Callable[[ts.Batch, jax.Array], ts.Batch]
Halves = tuple[ts.Batch, ts.Batch]
# None where the pool is one item, which has no halves.
Split = Callable[[ts.Batch, jax.Array], Halves | None]

MODES = ('site', 'shift', 'both', 'random')


def make_split(mode: str = 'site', shift: Shift | None = None) -> Split:
  """(pool, key) -> two halves of the pool; of an odd one a random item is left.

  Args:
    mode: 'site': sites are ranked at random and the halves part them as far as
      their sizes allow. 'shift': halves at random, and the second one gets a
      simulated shift of appearance. 'both': by site and shifted. 'random':
      neither.
    shift: simulates an appearance; None leaves images as they are. The pool
      has the field 'site' (b,), integers.

  Raises:
    ValueError: an unknown mode.
  """
  if mode not in MODES:
    raise ValueError(
      f'alignment.pseudo_domains: found {mode!r}, allowed: {", ".join(MODES)}'
    )

  @jax.jit
  def split(pool, key):
    order_key, rank_key, shift_key = jax.random.split(key, 3)
    order = jax.random.permutation(order_key, tree.num_items(pool))
    if mode in ('site', 'both'):
      ranks = _ranks(pool['site'][order], rank_key)
      order = order[jnp.argsort(ranks, stable=True)]
    half = tree.num_items(pool) // 2
    if not half:
      return None
    a, b = (
      jax.tree.map(lambda x, i=indices: x[i], pool)
      for indices in (order[:half], order[half : 2 * half])
    )
    if shift is None or mode not in ('shift', 'both'):
      return a, b
    return a, shift(b, shift_key)

  return split


def make_views(mode: str = 'site', shift: Shift | None = None) -> Split:
  """(batch, key) -> pseudo-domains where there is but one site.

  The batch itself and its shifted copy: the same anatomy, so that they differ
  in nothing but appearance, and as many items as at later stages. Where nothing
  is shifted, halves at random.
  """
  if shift is None or mode == 'random':
    return make_split('random')
  shifted = jax.jit(shift)
  return lambda batch, key: (batch, shifted(batch, key))


def _ranks(sites: jax.Array, key: jax.Array) -> jax.Array:
  """One uniform number per site, (b,)."""

  def rank(site):
    return jax.random.uniform(jax.random.fold_in(key, site))

  return jax.vmap(rank)(sites)
