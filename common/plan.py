"""How a stream is learnt, and where on the way a run stands."""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

from common import problem as problem_lib

# rows[stage][site]: stage 0 is the untrained network, stage t follows the t-th
# site of the stream.
Rows = list[list[list[problem_lib.CaseScore]]]


@dataclasses.dataclass(frozen=True)
class Plan:
  """How long and in what portions a stream is learnt.

  Attributes:
    seed: of every random draw.
    num_steps: steps of each stage.
    batch_size: cases per step.
    capacity: cases held by a reservoir memory.
    num_kept: real cases of each past site that smg_er and agem replay from.
    log_every: steps between lines of metrics.jsonl.
    checkpoint_every: steps between checkpoints within a stage.
  """

  seed: int
  num_steps: tuple[int, ...]
  batch_size: int
  capacity: int
  num_kept: int
  log_every: int
  checkpoint_every: int


class Phase(NamedTuple):
  """Consecutive steps of one kind at one stage.

  Attributes:
    stage: number of the site in the stream.
    kind: 'train' for the method's steps, 'generator' for those of what will
      replay the site.
    start, end: steps counted over the whole run.
  """

  stage: int
  kind: str
  start: int
  end: int


def list_phases(
  num_steps: Sequence[int], num_generator_steps: Sequence[int] | None = None
) -> tuple[Phase, ...]:
  """All phases in order; at each stage training, then the generator."""
  phases, start = [], 0
  for stage, count in enumerate(num_steps):
    parts = {'train': count}
    if num_generator_steps is not None:
      parts['generator'] = num_generator_steps[stage]
    for kind, length in parts.items():
      phases.append(Phase(stage, kind, start, start + length))
      start += length
  return tuple(phases)


@dataclasses.dataclass
class Position:
  """Where a run stands; `step` counts over the whole run."""

  phase: int
  step: int
  wall_s: float
  rows: Rows

  def to_json(self) -> dict:
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, fields: dict) -> 'Position':
    rows = [
      [[problem_lib.CaseScore(*row) for row in site] for site in stage]
      for stage in fields['rows']
    ]
    return cls(**(fields | {'rows': rows}))
