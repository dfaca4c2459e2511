"""What a problem is to the stream loop, which knows nothing else of it."""

from collections.abc import Callable, Mapping, Sequence
import pathlib
from typing import Any, NamedTuple, Protocol

from flax import linen as nn
import jax
import numpy as np

from common import metrics as metrics_lib
from common import train_state as ts


class CaseScore(NamedTuple):
  """One value of one metric on one case; `label` is '' for whole-case ones."""

  case: str
  label: str
  metric: str
  value: float
  unit: str


class Generator(Protocol):
  """Learns to draw cases like those of a site, so that none has to be kept.

  Its state is `TrainState.generator`, arrays only.

  Attributes:
    num_steps: of each stage.
    batch_size: cases per step.
    num_kept: cases drawn of each past site at the start of a stage.
  """

  num_steps: Sequence[int]
  batch_size: int
  num_kept: int

  def init(self, key: jax.Array) -> Any:
    """The state before the first stage."""

  def begin(self, state: ts.TrainState, stage: int) -> ts.TrainState:
    """What happens once when the generator turns to the site of a stage."""

  def step(
    self, state: ts.TrainState, batch: ts.Batch, key: jax.Array, stage: int
  ) -> tuple[ts.TrainState, ts.Metrics]:
    """One update on cases of the site of a stage; counts nothing up."""

  def sample_cases(
    self, state: ts.TrainState, site: int, num_cases: int, key: jax.Array
  ) -> tuple[ts.Batch, Mapping[str, float]]:
    """Cases of a site, without the field 'site', and what is worth logging."""


class Problem(Protocol):
  """A network, its loss, and the sites that it is learnt and scored on.

  Attributes:
    name: 'registration' or 'segmentation'.
    stream: names of the sites trained on, in order.
    unseen: names of sites that are only scored.
    metrics: those that `evaluate` gives, best known one first.
    loss: mean over the batch; metrics include 'loss/total'. It is `objective`
      of `output`.
    output: what the network says of a batch, (b, ...).
    objective: (output, batch) -> loss and metrics.
    distance: how far an output is from a wanted one, as baselines distil it.
    shift: simulates another appearance of a batch; None if there is none.
    generator: replays past sites; None if there is none.
  """

  name: str
  stream: Sequence[str]
  unseen: Sequence[str]
  metrics: Mapping[str, metrics_lib.MetricSpec]
  loss: ts.LossFn
  output: ts.OutputFn
  objective: ts.ObjectiveFn
  distance: ts.DistanceFn
  shift: Callable[[ts.Batch, jax.Array], ts.Batch] | None
  generator: Generator | None

  def init(self, key: jax.Array) -> ts.Params:
    """Parameters of an untrained network."""

  def num_train(self, site: int) -> int:
    """Training cases of a site of the stream."""

  def load_train(self, items: Sequence[tuple[int, int]]) -> ts.Batch:
    """The batch of (site, case) items, as host arrays of fixed shape.

    The stream adds the field 'site', int32 (b,).
    """

  def evaluate(self, params: ts.Params, site: int) -> list[CaseScore]:
    """Scores of every test case of a site, stream first, then unseen."""

  def draw(
    self, state: ts.TrainState, folder: pathlib.Path, stage: int
  ) -> None:
    """Pictures of what the network does on each site after stage 1, 2, ..."""


def make_loss(output: ts.OutputFn, objective: ts.ObjectiveFn) -> ts.LossFn:
  """The loss of a batch: the objective of the network's output."""

  def loss(params, batch, key):
    del key
    return objective(output(params, batch), batch)

  return loss


def make_create_params(network: nn.Module) -> Callable[..., ts.Params]:
  """(key, inputs) -> initial parameters; compiled once, however often asked.

  Compiled in a hurry: a loop of random bits for each parameter, run once, takes
  LLVM half a minute to make fast.
  """
  return jax.jit(
    lambda *args: network.init(*args)['params'],
    compiler_options={'xla_backend_optimization_level': 0},
  )


def score(rows: Sequence[CaseScore], metric: str) -> float:
  """Mean over labels within a case, then over cases; nan if there is none."""
  cases: dict[str, list[float]] = {}
  for row in rows:
    if row.metric == metric and not np.isnan(row.value):
      cases.setdefault(row.case, []).append(row.value)
  if not cases:
    return float('nan')
  return float(np.mean([np.mean(values) for values in cases.values()]))
