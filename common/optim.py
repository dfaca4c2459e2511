"""Optimizers and schedules by name."""

from collections.abc import Callable

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
  num_updates: int,
  warmup: int = 0,
  final_ratio: float = 0.0,
) -> optax.Schedule:
  """Learning rate over the optimizer's updates: 'constant' or 'cosine'.

  Both rise linearly over the first `warmup` updates; 'cosine' falls to
  `final_ratio * lr` at the last of `num_updates`.

  Raises:
    InputError: no schedule of that name.
  """
  if name == 'constant':
    body = optax.constant_schedule(lr)
  elif name == 'cosine':
    body = optax.cosine_decay_schedule(
      lr, max(1, num_updates - warmup), alpha=final_ratio
    )
  else:
    raise errors.InputError(
      f'config.optim.schedule: found {name!r}, allowed: constant, cosine'
    )
  if not warmup:
    return body
  rise = optax.linear_schedule(0.0, lr, warmup)
  return optax.join_schedules([rise, body], [warmup])


def create_optimizer(
  name: str,
  *,
  schedule: optax.Schedule | float,
  weight_decay: float = 0.0,
  clip_norm: float | None = None,
) -> optax.GradientTransformation:
  """An optimizer; the decay is added to the gradient (L2), as SAMCL has it.

  For 'adamw' the decay is decoupled.

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
    parts.append(optax.adamw(schedule, weight_decay=weight_decay))
  else:
    if weight_decay:
      parts.append(optax.add_decayed_weights(weight_decay))
    parts.append(_OPTIMIZERS[name](schedule))
  return optax.chain(*parts)
