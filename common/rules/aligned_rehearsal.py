"""SMG's step: the incoming site, its past, and two alignments in parallel.

SMG-Learning, arXiv 2406.18037: orientational alignment steps on the incoming
batch and judges on a replayed one, so that what is learnt does not undo what is
known; arbitrary alignment parts the pool of both into two pseudo-domains, so
that what is learnt holds for sites to come. At the first stage there is no
past, and only the arbitrary one exists; a single case there has no halves, and
is descended on.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import optax

from common import train_state as ts
from common import tree
from common.rules import agreement, alignment, descent, pseudo_domains


@dataclasses.dataclass(frozen=True)
class Alignment:
  """Strengths of both alignments.

  Attributes:
    strength: of either, see `alignment.Strength`.
    orientational_weight, arbitrary_weight: of the sum; 0 leaves one out, and
      both 0 is descent on the incoming and the replayed batch.
    arbitrary_order: see `alignment.make_aligned`.
    pseudo_domains: see `pseudo_domains.make_split`.
  """

  strength: alignment.Strength = dataclasses.field(
    default_factory=alignment.Strength
  )
  orientational_weight: float = 0.5
  arbitrary_weight: float = 0.5
  arbitrary_order: str = 'random'
  pseudo_domains: str = 'site'

  def __post_init__(self):
    for field in ('orientational_weight', 'arbitrary_weight'):
      if getattr(self, field) < 0:
        raise ValueError(
          f'alignment.{field}: found {getattr(self, field)}, must be >= 0'
        )


# (state, batch, key) -> (incoming, replayed | None), (A, A') | None, next key.
MakeBatches = Callable[
  [ts.TrainState, ts.Batch, jax.Array],
  tuple[
    tuple[ts.Batch, ts.Batch | None], pseudo_domains.Halves | None, jax.Array
  ],
]


def make_batches(
  split: pseudo_domains.Split,
  sample: ts.SampleFn | None,
) -> MakeBatches:
  """The batches of one step.

  Args:
    split: of the pool of incoming and replayed cases into pseudo-domains, or
      of the incoming ones where there is no past.
    sample: (memory, size of the incoming batch, key) -> replayed batch; None at
      the first stage.
  """
  join = jax.jit(
    lambda a, b: jax.tree.map(lambda x, y: jnp.concatenate([x, y]), a, b)
  )

  def batches(state, batch, key):
    draw_key, split_key, key = jax.random.split(key, 3)
    if sample is None:
      return (batch, None), split(batch, split_key), key
    past = sample(state.memory, tree.num_items(batch), draw_key)
    return (batch, past), split(join(batch, past), split_key), key

  return batches


def make_step(
  grad_fn: ts.GradFn,
  tx: optax.GradientTransformation,
  settings: Alignment,
  batches: MakeBatches,
) -> ts.StepFn:
  """One optimizer update along the aligned gradient."""
  gradient = _make_gradient(grad_fn, settings)
  apply = descent.make_apply(tx)

  def step(state, batch, key):
    grads, metrics = gradient(state.params, *batches(state, batch, key))
    state, norms = apply(state, grads)
    return state, metrics | norms

  return step


def make_probe(grad_fn: ts.GradFn, batches: MakeBatches) -> ts.ProbeFn:
  """Cosines and inner products of the very batches that a step would use.

  Both gradients are taken at the parameters themselves, whatever the estimator,
  so that runs with and without alignment can be compared.
  """
  compare = agreement.make_cosine(grad_fn)

  def probe(state, batch, key):
    (incoming, past), halves, key = batches(state, batch, key)
    pairs = {}
    if halves is not None:
      pairs['arbitrary'] = halves
    if past is not None:
      pairs['orientational'] = (incoming, past)
    return {
      f'{name}/{pair}': value
      for pair, two in pairs.items()
      for name, value in compare(state.params, *two, key).items()
    }

  return probe


def _make_gradient(
  grad_fn: ts.GradFn, settings: Alignment
) -> Callable[..., tuple[ts.Params, ts.Metrics]]:
  """(params, (incoming, replayed), (A, A'), key) -> gradient, metrics."""
  plain = alignment.make_aligned(grad_fn, alignment.Strength(alpha=0))
  ordered = alignment.make_aligned(grad_fn, settings.strength)
  free = alignment.make_aligned(
    grad_fn, settings.strength, order=settings.arbitrary_order
  )
  weights = settings.orientational_weight, settings.arbitrary_weight
  both = alignment.parallel(ordered, free, weights)

  def gradient(params, pair, halves, key):
    first_stage = pair[1] is None
    arbitrary = weights[1] and halves is not None
    if arbitrary and weights[0] and not first_stage:
      return both(params, pair, halves, key)
    if arbitrary:
      return free(params, *halves, key)
    if first_stage:
      return grad_fn(params, pair[0], key)
    return (ordered if weights[0] else plain)(params, *pair, key)

  return gradient
