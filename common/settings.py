"""What the rules of a method are built with."""

import dataclasses

from common import memory as memory_lib
from common import problem as problem_lib
from common import train_state as ts
from common.rules import (
  aligned_rehearsal,
  distillation,
  penalty,
  pseudo_domains,
)
from common.rules import gpm as gpm_lib


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
      after the other; er adds them all to the batch, agem takes its
      reference, der both of its terms and smg its past from as many.
    num_consolidated: cases of a site that ewc and gpm look at when it is left.
    alignment, ewc, si, lwf, gpm, der: strengths of these methods.
    has_past: there are kept cases of past sites; at the first stage, none.
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
  gpm: gpm_lib.Gpm = dataclasses.field(default_factory=gpm_lib.Gpm)
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
