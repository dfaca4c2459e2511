"""Meta-learning over the samples of a batch: Reptile, as used by MER and SAMCL.

Nichol et al., 2018; Riemer et al., "Learning to learn without forgetting by
maximizing transfer and minimizing interference", ICLR 2019. To first order the
interpolation descends sum_i L_i - (a/2) sum_{j<i} <grad L_i, grad L_j>: it asks
the gradients of successive samples to agree.
"""

from common import execution, tree
from common import train_state as ts
from common.rules import samples


def per_sample(step: ts.StepFn) -> ts.StepFn:
  """Runs a step on each sample of the batch in turn; metrics are means."""

  def sampled(state, batch, key):
    # The memory does not change within a batch and is kept out of the loop.
    memory, state = state.memory, state.replace(memory=None)
    state, metrics = samples.fold(step, state, batch, key)
    return state.replace(memory=memory), metrics

  return sampled


def interpolate(step: ts.StepFn, *, beta: float) -> ts.StepFn:
  """params <- params + beta (step(params) - params); beta = 1 is identity.

  Raises:
    ValueError: beta is not in (0, 1].
  """
  if not 0 < beta <= 1:
    raise ValueError(f'reptile.beta: found {beta}, must be in (0, 1]')
  if beta == 1:
    return step

  mix = execution.piece(lambda start, end: tree.interpolate(start, end, beta))

  def interpolated(state, batch, key):
    start = state.params
    state, metrics = step(state, batch, key)
    return state.replace(params=mix(start, state.params)), metrics

  return interpolated
