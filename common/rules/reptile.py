"""Meta-learning over the samples of a batch: Reptile, as used by MER and SAMCL.

Nichol et al., 2018; Riemer et al., "Learning to learn without forgetting by
maximizing transfer and minimizing interference", ICLR 2019. To first order the
interpolation descends sum_i L_i - (a/2) sum_{j<i} <grad L_i, grad L_j>: it asks
the gradients of successive samples to agree.
"""

import jax

from common import train_state as ts
from common import tree


def per_sample(step: ts.StepFn) -> ts.StepFn:
  """Runs a step on each sample of the batch in turn; metrics are means."""

  def scanned(state, batch, key):
    num = jax.tree.leaves(batch)[0].shape[0]
    # The memory does not change within a batch and is kept out of the loop.
    memory = state.memory

    def one(carry, inputs):
      sample, sample_key = inputs
      single = jax.tree.map(lambda x: x[None], sample)
      return step(carry, single, sample_key)

    state, metrics = jax.lax.scan(
      one, state.replace(memory=None), (batch, jax.random.split(key, num))
    )
    metrics = jax.tree.map(lambda m: m.mean(axis=0), metrics)
    return state.replace(memory=memory), metrics

  return scanned


def interpolate(step: ts.StepFn, *, beta: float) -> ts.StepFn:
  """params <- params + beta (step(params) - params); beta = 1 is identity."""
  if not 0 < beta <= 1:
    raise ValueError(f'reptile.beta: found {beta}, must be in (0, 1]')
  if beta == 1:
    return step

  def interpolated(state, batch, key):
    start = state.params
    state, metrics = step(state, batch, key)
    params = tree.interpolate(start, state.params, beta)
    return state.replace(params=params), metrics

  return interpolated
