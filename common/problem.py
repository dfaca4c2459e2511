"""What the stream loop asks of a problem, and of nothing else."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import NamedTuple, Protocol

import jax
import numpy as np

from common import metrics as metrics_lib
from common import train_state as ts


class Row(NamedTuple):
  """One value of one metric on one case; `label` is '' for whole-case ones."""

  case: str
  label: str
  metric: str
  value: float
  unit: str


class Problem(Protocol):
  """A network, its loss, and the sites that it is learnt and scored on.

  Attributes:
    name: 'registration' or 'segmentation'.
    stream: names of the sites trained on, in order.
    unseen: names of sites that are only scored.
    metrics: those that `evaluate` gives, best known one first.
    loss: mean over the batch; metrics include 'loss/total'.
  """

  name: str
  stream: Sequence[str]
  unseen: Sequence[str]
  metrics: Mapping[str, metrics_lib.MetricSpec]
  loss: ts.LossFn

  def init(self, key: jax.Array) -> ts.Params:
    """Parameters of an untrained network."""

  def num_train(self, site: int) -> int:
    """Training cases of a site of the stream."""

  def load_train(self, items: Sequence[tuple[int, int]]) -> ts.Batch:
    """The batch of (site, case) items, as host arrays of fixed shape."""

  def evaluate(self, params: ts.Params, site: int) -> list[Row]:
    """Scores of every test case of a site, stream first, then unseen."""

  def draw(self, params: ts.Params, folder: pathlib.Path) -> None:
    """Pictures of what the network does on each site."""


def score(rows: Sequence[Row], metric: str) -> float:
  """Mean over labels within a case, then over cases; nan if there is none."""
  cases: dict[str, list[float]] = {}
  for row in rows:
    if row.metric == metric and not np.isnan(row.value):
      cases.setdefault(row.case, []).append(row.value)
  if not cases:
    return float('nan')
  return float(np.mean([np.mean(values) for values in cases.values()]))
