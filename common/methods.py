"""name -> Method: a named choice of rule and memory, for any loss.

sequential   plain descent on the site at hand
joint        plain descent on all sites at once (upper reference)
independent  plain descent, one model per site (reference of each site)
er           descent on the batch together with a batch from the memory
mer          a step on the batch, one on the memory, Reptile interpolation
sam          descent with sharpness-aware gradients
samcl        mer with sharpness-aware steps, sample by sample within the batch
smg          parallel gradient alignment with generated cases of past sites
smg_er       parallel gradient alignment with real cases of past sites
"""

from collections.abc import Callable
import dataclasses

import optax

from common import errors
from common import memory as memory_lib
from common import train_state as ts
from common.rules import (
  aligned_rehearsal,
  descent,
  pseudo_domains,
  rehearsal,
  reptile,
  sharpness,
)


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the rules are built with.

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
    alignment: strengths of smg.
    shift: simulates the appearance of another site, for smg.
    has_past: there are past cases; smg has none at the first stage.
  """

  rho: float = 0.05
  adaptive: bool = True
  beta: float = 0.25
  per_sample: bool = True
  accumulate: bool = False
  policy: memory_lib.Policy = memory_lib.RESERVOIR
  num_replayed: int | None = None
  num_draws: int = 1
  alignment: aligned_rehearsal.Alignment = dataclasses.field(
    default_factory=aligned_rehearsal.Alignment
  )
  shift: pseudo_domains.Shift | None = None
  has_past: bool = True


@dataclasses.dataclass(frozen=True)
class Method:
  """How to learn a stream.

  Attributes:
    build: (gradient, optimizer, settings) -> step.
    memory: '' for none; 'reservoir', real cases as the step meets them; 'kept',
      real cases of every past site; 'generated', drawn by the generator of the
      problem when a site is left.
    build_probe: (gradient, settings) -> what is measured beside logged steps.
    all_sites: batches come from every site of the stream at every stage.
    one_model_per_site: parameters and optimizer start anew at every stage and
      a site keeps the score of its own model.
  """

  build: Callable[
    [ts.GradFn, optax.GradientTransformation, Settings], ts.StepFn
  ]
  memory: str = ''
  build_probe: Callable[[ts.GradFn, Settings], ts.ProbeFn] | None = None
  all_sites: bool = False
  one_model_per_site: bool = False

  def make_step(
    self,
    loss_fn: ts.LossFn,
    tx: optax.GradientTransformation,
    settings: Settings,
  ) -> ts.StepFn:
    """The pure step of this method on a loss; it counts `state.step` up."""
    step = self.build(_make_gradient(loss_fn, settings), tx, settings)

    def counted(state, batch, key):
      state, metrics = step(state, batch, key)
      return state.replace(step=state.step + 1), metrics

    return counted

  def make_probe(
    self, loss_fn: ts.LossFn, settings: Settings
  ) -> ts.ProbeFn | None:
    """What the method measures about itself, given the arguments of a step."""
    if self.build_probe is None:
      return None
    return self.build_probe(_make_gradient(loss_fn, settings), settings)


def _make_gradient(loss_fn: ts.LossFn, settings: Settings) -> ts.GradFn:
  gradient = descent.make_gradient(loss_fn)
  return descent.accumulate(gradient) if settings.accumulate else gradient


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


def _smg_batches(settings):
  """Incoming, replayed and pseudo-domains of a step."""
  draw = rehearsal.make_draw(settings.policy)

  def replay(memory, size, key):
    return draw(memory, settings.num_replayed or size, key)

  part = (
    pseudo_domains.make_split
    if settings.has_past
    else pseudo_domains.make_views
  )
  return aligned_rehearsal.make_batches(
    part(settings.alignment.pseudo_domains, settings.shift),
    replay if settings.has_past else None,
  )


def _smg(gradient, tx, settings):
  return aligned_rehearsal.make_step(
    gradient, tx, settings.alignment, _smg_batches(settings)
  )


def _smg_probe(gradient, settings):
  return aligned_rehearsal.make_probe(gradient, _smg_batches(settings))


METHODS = {
  'sequential': Method(_plain),
  'joint': Method(_plain, all_sites=True),
  'independent': Method(_plain, one_model_per_site=True),
  'er': Method(_er, memory='reservoir'),
  'mer': Method(_mer, memory='reservoir'),
  'sam': Method(_sam),
  'samcl': Method(_samcl, memory='reservoir'),
  'smg': Method(_smg, memory='generated', build_probe=_smg_probe),
  'smg_er': Method(_smg, memory='kept', build_probe=_smg_probe),
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
