"""Optimizers and schedules by name."""

from collections.abc import Callable, Sequence
import itertools

import jax
import optax

from common import errors

_OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
  'adam': optax.adam,
  'adamw': optax.adamw,
  'sgd': optax.sgd,
}


def create_schedule(
  name: str,
  *,
  lr: float,
  num_steps: Sequence[int],
  warmup: int = 0,
  final_ratio: float = 0.0,
) -> optax.Schedule:
  """Learning rate over the steps of a stream: 'constant' or 'cosine'.

  It starts anew with every stage, so that the last site is learnt at the same
  rates as the first. Both rise linearly over the first `warmup` steps of a
  stage of `num_steps[i]`; 'cosine' falls to `final_ratio * lr` at its end.

  Raises:
    InputError: no schedule of that name.
  """
  if name not in ('constant', 'cosine'):
    raise errors.InputError(
      f'config.optim.schedule: found {name!r}, allowed: constant, cosine'
    )

  def stage(length: int) -> optax.Schedule:
    body = optax.constant_schedule(lr)
    if name == 'cosine':
      body = optax.cosine_decay_schedule(
        lr, max(1, length - warmup), alpha=final_ratio
      )
    rise = optax.linear_schedule(0.0, lr, warmup)
    return optax.join_schedules([rise, body], [warmup])

  *ends, _ = itertools.accumulate(num_steps)
  return optax.join_schedules([stage(length) for length in num_steps], ends)


def create_optimizer(
  name: str,
  *,
  schedule: optax.Schedule,
  weight_decay: float = 0.0,
  clip_norm: float | None = None,
) -> optax.GradientTransformationExtraArgs:
  """An optimizer; the decay is added to the gradient (L2), as SAMCL has it.

  For 'adamw' the decay is decoupled. `update` takes the argument `step`, at
  which the schedule is read: all updates within a step are made at one rate.

  Raises:
    InputError: no optimizer of that name.
  """
  if name not in _OPTIMIZERS:
    raise errors.InputError(
      f'config.optim.name: found {name!r}, allowed: {", ".join(_OPTIMIZERS)}'
    )
  parts = []
  if clip_norm is not None:
    parts.append(optax.clip_by_global_norm(clip_norm))
  if name == 'adamw':
    parts.append(optax.adamw(1.0, weight_decay=weight_decay))
  else:
    if weight_decay:
      parts.append(optax.add_decayed_weights(weight_decay))
    parts.append(_OPTIMIZERS[name](1.0))
  return optax.chain(*parts, _scale_by(schedule))


def _scale_by(schedule: optax.Schedule) -> optax.GradientTransformation:
  """Multiplies updates by the schedule at the argument `step`."""

  def update(updates, state, params=None, *, step, **extra):
    del params, extra
    return jax.tree.map(lambda u: schedule(step) * u, updates), state

  return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)
