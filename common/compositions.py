"""How each method is composed: (gradient, optimizer, settings) -> step.

`methods.py` says in a line what each of them does.
"""

import dataclasses

import optax

from common import settings as settings_lib
from common import train_state as ts
from common.rules import agem as agem_lib
from common.rules import (
  aligned_rehearsal,
  appearance,
  descent,
  distillation,
  penalty,
  pseudo_domains,
  rehearsal,
  reptile,
  sharpness,
)
from common.rules import gpm as gpm_lib

Settings = settings_lib.Settings
Tx = optax.GradientTransformation


def make_gradient(loss_fn: ts.LossFn, settings: Settings) -> ts.GradFn:
  """The gradient that all methods start from."""
  loss_fn = appearance.with_shift(loss_fn, settings.shift, settings.shift_share)
  gradient = descent.make_gradient(loss_fn)
  return descent.accumulate(gradient) if settings.accumulate else gradient


def plain(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  del settings
  return descent.make_update(gradient, tx)


def sam(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  gradient = sharpness.sharpness_aware(
    gradient, rho=settings.rho, adaptive=settings.adaptive
  )
  return descent.make_update(gradient, tx)


def er(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  return descent.chain(
    rehearsal.make_observe(settings.policy),
    rehearsal.with_replay(
      descent.make_update(gradient, tx),
      settings.policy,
      settings.num_replayed,
      settings.num_draws,
    ),
  )


def _meta_replay(update: ts.StepFn, settings: Settings) -> ts.StepFn:
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


def mer(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  return _meta_replay(plain(gradient, tx, settings), settings)


def samcl(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  return _meta_replay(sam(gradient, tx, settings), settings)


def _make_sample(settings: Settings) -> ts.SampleFn:
  """All draws of a step at once."""
  sample = rehearsal.make_sample(settings.policy)
  return lambda memory, num, key: sample(memory, settings.num_draws * num, key)


def _smg_batches(settings: Settings) -> aligned_rehearsal.MakeBatches:
  """Incoming, replayed and pseudo-domains of a step."""
  sample = _make_sample(settings)

  def replay(memory, size, key):
    return sample(memory, settings.num_replayed or size, key)

  part = (
    pseudo_domains.make_split
    if settings.has_past
    else pseudo_domains.make_views
  )
  return aligned_rehearsal.make_batches(
    part(settings.alignment.pseudo_domains, settings.shift),
    replay if settings.has_past else None,
  )


def smg(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  return aligned_rehearsal.make_step(
    gradient, tx, settings.alignment, _smg_batches(settings)
  )


def smg_probe(gradient: ts.GradFn, settings: Settings) -> ts.ProbeFn:
  return aligned_rehearsal.make_probe(gradient, _smg_batches(settings))


def smg_none(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  return smg(gradient, tx, _without_past(settings))


def smg_none_probe(gradient: ts.GradFn, settings: Settings) -> ts.ProbeFn:
  return smg_probe(gradient, _without_past(settings))


def _without_past(settings: Settings) -> Settings:
  return dataclasses.replace(settings, has_past=False)


def ewc(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  return penalty.make_update(gradient, tx, weight=settings.ewc.weight)


def ewc_consolidation(
  gradient: ts.GradFn, settings: Settings
) -> ts.ConsolidateFn:
  return penalty.make_fisher_consolidation(gradient, gamma=settings.ewc.gamma)


def si(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  return penalty.make_update(gradient, tx, weight=settings.si.weight)


def si_consolidation(
  gradient: ts.GradFn, settings: Settings
) -> ts.ConsolidateFn:
  del gradient
  return penalty.make_path_consolidation(damping=settings.si.damping)


def lwf(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  if settings.lwf.weight == 0:
    return plain(gradient, tx, settings)
  loss = distillation.with_distance(
    settings.output,
    settings.objective,
    settings.distance,
    settings.lwf.weight,
  )
  taught = distillation.taught(make_gradient(loss, settings), settings.output)
  return descent.follow(taught, tx)


def agem(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  if not settings.has_past:
    return plain(gradient, tx, settings)
  return agem_lib.make_update(
    gradient, tx, _make_sample(settings), settings.num_replayed
  )


def gpm(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  del settings
  return gpm_lib.confine(descent.follow(gpm_lib.orthogonal(gradient), tx))


def der(gradient: ts.GradFn, tx: Tx, settings: Settings) -> ts.StepFn:
  remembered = distillation.remembered(
    gradient,
    settings.output,
    _make_sample(settings),
    settings.der,
    settings.num_replayed,
  )
  return descent.chain(
    distillation.make_observe(
      settings.output, rehearsal.make_observe(settings.policy)
    ),
    descent.follow(remembered, tx),
  )
