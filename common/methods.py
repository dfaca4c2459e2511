"""name -> Method: a named choice of rule and memory, for any loss.

sequential   plain descent on the site at hand
joint        plain descent on all sites at once (upper reference)
independent  plain descent, one model per site (reference of each site)
er           descent on the batch together with a batch from the memory
mer          a step on the batch, one on the memory, Reptile interpolation
sam          descent with sharpness-aware gradients
samcl        mer with sharpness-aware steps, sample by sample within the batch
ewc          descent, held where the Fisher information of past sites is large
si           descent, held where the path of past sites was worth most
lwf          descent, outputs held to those of the network of the last site
agem         descent that does not contradict the gradient of the memory
gpm          descent orthogonal to what gradients of past sites span
der          er with the outputs of remembered cases held where they were
smg          parallel gradient alignment with generated cases of past sites
smg_er       parallel gradient alignment with real cases of past sites
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import optax

from common import errors
from common import memory as memory_lib
from common import problem as problem_lib
from common import train_state as ts
from common.rules import (
  aligned_rehearsal,
  appearance,
  descent,
  distillation,
  penalty,
  projection,
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
      after the other; er adds them all to the batch, and agem takes its
      reference, der both of its terms from as many.
    num_consolidated: cases of a site that ewc and gpm look at when it is left.
    alignment, ewc, si, lwf, gpm, der: strengths of these methods.
    has_past: there are past cases; smg has none at the first stage.
    shift: simulates the appearance of another site, for smg.
    shift_share: of all cases that are learnt from, by any method.
    output, objective, distance: the loss in two parts, and how far two outputs
      are apart, for lwf and der.
    num_stages: of the stream, for gpm.
  """

  rho: float = 0.05
  adaptive: bool = True
  beta: float = 0.25
  per_sample: bool = True
  accumulate: bool = False
  policy: memory_lib.Policy = memory_lib.RESERVOIR
  num_replayed: int | None = None
  num_draws: int = 1
  num_consolidated: int = 16
  alignment: aligned_rehearsal.Alignment = dataclasses.field(
    default_factory=aligned_rehearsal.Alignment
  )
  ewc: penalty.Ewc = dataclasses.field(default_factory=penalty.Ewc)
  si: penalty.Si = dataclasses.field(default_factory=penalty.Si)
  lwf: distillation.Lwf = dataclasses.field(default_factory=distillation.Lwf)
  gpm: projection.Gpm = dataclasses.field(default_factory=projection.Gpm)
  der: distillation.Der = dataclasses.field(default_factory=distillation.Der)
  has_past: bool = True
  shift: pseudo_domains.Shift | None = None
  shift_share: float = 0.0
  output: ts.OutputFn | None = None
  objective: ts.ObjectiveFn | None = None
  distance: ts.DistanceFn | None = None
  num_stages: int = 1

  def of(self, problem: problem_lib.Problem) -> 'Settings':
    """The same strengths, on a problem."""
    return dataclasses.replace(
      self,
      shift=problem.shift,
      output=problem.output,
      objective=problem.objective,
      distance=problem.distance,
      num_stages=len(problem.stream),
    )


@dataclasses.dataclass(frozen=True)
class Method:
  """How to learn a stream.

  Attributes:
    build: (gradient, optimizer, settings) -> step.
    memory: '' for none; 'reservoir', real cases as the step meets them; 'kept',
      real cases of every past site; 'generated', drawn by the generator of the
      problem when a site is left.
    build_probe: (gradient, settings) -> what is measured beside logged steps.
    create_rule: (params, settings) -> the first `TrainState.rule`.
    build_consolidation: (gradient, settings) -> what happens to it when a site
      is left.
    build_annotation: settings -> (params, batch) -> the batch as the memory
      holds it.
    all_sites: batches come from every site of the stream at every stage.
    one_model_per_site: parameters and optimizer start anew at every stage and
      a site keeps the score of its own model.
  """

  build: Callable[
    [ts.GradFn, optax.GradientTransformation, Settings], ts.StepFn
  ]
  memory: str = ''
  build_probe: Callable[[ts.GradFn, Settings], ts.ProbeFn] | None = None
  create_rule: Callable[[ts.Params, Settings], Any] | None = None
  build_consolidation: (
    Callable[[ts.GradFn, Settings], ts.ConsolidateFn] | None
  ) = None
  build_annotation: (
    Callable[[Settings], Callable[[ts.Params, ts.Batch], ts.Batch]] | None
  ) = None
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

  def make_consolidation(
    self, loss_fn: ts.LossFn, settings: Settings
  ) -> ts.ConsolidateFn | None:
    """What the method keeps of a site when it is left."""
    if self.build_consolidation is None:
      return None
    return self.build_consolidation(_make_gradient(loss_fn, settings), settings)


def _make_gradient(loss_fn: ts.LossFn, settings: Settings) -> ts.GradFn:
  loss_fn = appearance.with_shift(loss_fn, settings.shift, settings.shift_share)
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


def _ewc(gradient, tx, settings):
  return penalty.make_update(gradient, tx, weight=settings.ewc.weight)


def _ewc_consolidation(gradient, settings):
  return penalty.make_fisher_consolidation(gradient, gamma=settings.ewc.gamma)


def _si(gradient, tx, settings):
  return penalty.make_update(gradient, tx, weight=settings.si.weight)


def _si_consolidation(gradient, settings):
  del gradient
  return penalty.make_path_consolidation(damping=settings.si.damping)


def _lwf(gradient, tx, settings):
  if settings.lwf.weight == 0:
    return _plain(gradient, tx, settings)
  loss = distillation.with_distance(
    settings.output,
    settings.objective,
    settings.distance,
    settings.lwf.weight,
  )
  taught = distillation.taught(_make_gradient(loss, settings), settings.output)
  return descent.follow(taught, tx)


def _make_draw(settings):
  """All draws of a step at once."""
  draw = rehearsal.make_draw(settings.policy)
  return lambda memory, num, key: draw(memory, settings.num_draws * num, key)


def _agem(gradient, tx, settings):
  agreeing = projection.agreeing(
    gradient, _make_draw(settings), settings.num_replayed
  )
  return descent.chain(
    rehearsal.make_observe(settings.policy), descent.follow(agreeing, tx)
  )


def _gpm(gradient, tx, settings):
  del settings
  return descent.follow(projection.orthogonal(gradient), tx)


def _der(gradient, tx, settings):
  remembered = distillation.remembered(
    gradient,
    settings.output,
    _make_draw(settings),
    settings.der,
    settings.num_replayed,
  )
  return descent.chain(
    distillation.make_observe(
      settings.output, rehearsal.make_observe(settings.policy)
    ),
    descent.follow(remembered, tx),
  )


METHODS = {
  'sequential': Method(_plain),
  'joint': Method(_plain, all_sites=True),
  'independent': Method(_plain, one_model_per_site=True),
  'er': Method(_er, memory='reservoir'),
  'mer': Method(_mer, memory='reservoir'),
  'sam': Method(_sam),
  'samcl': Method(_samcl, memory='reservoir'),
  'ewc': Method(
    _ewc,
    create_rule=lambda params, settings: penalty.create_anchor(params),
    build_consolidation=_ewc_consolidation,
  ),
  'si': Method(
    _si,
    create_rule=lambda params, settings: penalty.create_anchor(
      params, with_path=True
    ),
    build_consolidation=_si_consolidation,
  ),
  'lwf': Method(
    _lwf,
    create_rule=lambda params, settings: distillation.create_teacher(params),
    build_consolidation=lambda gradient, settings: (
      distillation.make_teacher_consolidation()
    ),
  ),
  'agem': Method(_agem, memory='reservoir'),
  'gpm': Method(
    _gpm,
    create_rule=lambda params, settings: projection.create_bases(
      params, settings.num_consolidated * settings.num_stages
    ),
    build_consolidation=lambda gradient, settings: (
      projection.make_basis_consolidation(gradient, settings.gpm)
    ),
  ),
  'der': Method(
    _der,
    memory='reservoir',
    build_annotation=lambda settings: distillation.make_annotate(
      settings.output
    ),
  ),
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
