"""Stops a run whose loss is not finite any more."""

import jax
import numpy as np

from common import errors
from common import plan as plan_lib
from common import train_state as ts


class Losses:
  """Losses still on the device, to be looked at together later."""

  def __init__(self, site: str, phase: plan_lib.Phase):
    self._where = f'stage {phase.stage + 1} ({site})'
    self._rate = 'optim' if phase.kind == 'train' else 'diffusion'
    self._waiting: list[tuple[int, dict]] = []
    self.last = float('nan')

  def add(self, step: int, metrics: ts.Metrics) -> None:
    totals = {k: v for k, v in metrics.items() if k.endswith('loss/total')}
    self._waiting.append((step, totals))

  def check(self) -> None:
    """Raises InputError at the first step whose loss is not finite."""
    for step, totals in jax.device_get(self._waiting):
      for name, value in totals.items():
        if not np.isfinite(value):
          raise errors.InputError(
            f'{self._where}, step {step}: {name} is {value}, must be finite; '
            'the last checkpoint before it is kept. Try a smaller '
            f'config.{self._rate}.lr.'
          )
      self.last = float(next(iter(totals.values())))
    self._waiting.clear()
