"""name -> Method: a named choice of rule and memory, for any loss.

sequential   plain descent on the site at hand
joint        plain descent on all sites at once (upper reference)
independent  plain descent, one model per site (reference of each site)
er           descent on the batch together with a batch from the memory
mer          a step on the batch, one on the memory, Reptile interpolation
sam          descent with sharpness-aware gradients
samcl        mer with sharpness-aware steps, sample by sample within the batch
"""

from collections.abc import Callable
import dataclasses

import optax

from common import errors
from common import memory as memory_lib
from common import train_state as ts
from common.rules import descent, rehearsal, reptile, sharpness


@dataclasses.dataclass(frozen=True)
class Settings:
  """The strengths that the rules are built with.

  Attributes:
    rho: radius of the sharpness-aware step.
    adaptive: scale that step by the parameters.
    beta: Reptile rate.
    per_sample: steps on the batch go sample by sample.
    policy: where cases go in the memory and which come back.
    accumulate: gradients of a batch are means over its samples, each taken
      alone.
    num_replayed: cases that come back in a draw; None for as many as the
      batch has.
    num_draws: draws from the memory. mer and samcl take a step on each, one
      after the other; er adds them all to the batch.
  """

  rho: float = 0.05
  adaptive: bool = True
  beta: float = 0.25
  per_sample: bool = True
  accumulate: bool = False
  policy: memory_lib.Policy = memory_lib.RESERVOIR
  num_replayed: int | None = None
  num_draws: int = 1


@dataclasses.dataclass(frozen=True)
class Method:
  """How to learn a stream.

  Attributes:
    build: (gradient, optimizer, settings) -> step.
    remembers: the state needs a memory of real cases.
    all_sites: batches come from every site of the stream at every stage.
    one_model_per_site: parameters and optimizer start anew at every stage and
      a site keeps the score of its own model.
  """

  build: Callable[
    [ts.GradFn, optax.GradientTransformation, Settings], ts.StepFn
  ]
  remembers: bool = False
  all_sites: bool = False
  one_model_per_site: bool = False

  def make_step(
    self,
    loss_fn: ts.LossFn,
    tx: optax.GradientTransformation,
    settings: Settings,
  ) -> ts.StepFn:
    """The pure step of this method on a loss; it counts `state.step` up."""
    gradient = descent.make_gradient(loss_fn)
    if settings.accumulate:
      gradient = descent.accumulate(gradient)
    step = self.build(gradient, tx, settings)

    def counted(state, batch, key):
      state, metrics = step(state, batch, key)
      return state.replace(step=state.step + 1), metrics

    return counted


def _plain(gradient, tx, settings):
  del settings
  return descent.make_update(gradient, tx)


def _sam(gradient, tx, settings):
  gradient = sharpness.sharpness_aware(
    gradient, rho=settings.rho, adaptive=settings.adaptive
  )
  return descent.make_update(gradient, tx)


def _er(gradient, tx, settings):
  return descent.chain(
    rehearsal.make_observe(settings.policy),
    rehearsal.with_replay(
      descent.make_update(gradient, tx),
      settings.policy,
      settings.num_replayed,
      settings.num_draws,
    ),
  )


def _meta_replay(update, settings):
  """theta_0 + beta (theta - theta_0) over the batch, then the memory."""
  within = reptile.per_sample(update) if settings.per_sample else update
  replay = rehearsal.on_replay(update, settings.policy, settings.num_replayed)
  return reptile.interpolate(
    descent.chain(
      within,
      rehearsal.make_observe(settings.policy),
      *[replay] * settings.num_draws,
    ),
    beta=settings.beta,
  )


def _mer(gradient, tx, settings):
  return _meta_replay(_plain(gradient, tx, settings), settings)


def _samcl(gradient, tx, settings):
  return _meta_replay(_sam(gradient, tx, settings), settings)


METHODS = {
  'sequential': Method(_plain),
  'joint': Method(_plain, all_sites=True),
  'independent': Method(_plain, one_model_per_site=True),
  'er': Method(_er, remembers=True),
  'mer': Method(_mer, remembers=True),
  'sam': Method(_sam),
  'samcl': Method(_samcl, remembers=True),
}


def get(name: str) -> Method:
  """The method of that name.

  Raises:
    InputError: there is none; the message lists those that exist.
  """
  if name not in METHODS:
    allowed = ', '.join(METHODS)
    raise errors.InputError(
      f'config.method: found {name!r}, allowed: {allowed}'
    )
  return METHODS[name]
