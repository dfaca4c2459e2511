"""One metric over a stream, as the files of a run have it."""

from typing import NamedTuple

import numpy as np


class Scores(NamedTuple):
  """One metric over a stream.

  Attributes:
    title: name of the metric.
    unit: 'mm', 'px' where files have no spacing, or '1' for a ratio.
    higher_is_better: whether a larger value is the better one.
    matrix: R, (stages, sites), nan where there is no score.
    untrained: (sites,).
    sites: names, first those of the stream, in order.
    num_stream: how many of them are trained on.
  """

  title: str
  unit: str
  higher_is_better: bool
  matrix: np.ndarray
  untrained: np.ndarray
  sites: tuple[str, ...]
  num_stream: int

  @property
  def axis_label(self) -> str:
    """Name, unit and direction."""
    unit = '' if self.unit in ('', '1') else f' ({self.unit})'
    better = 'higher' if self.higher_is_better else 'lower'
    return f'{self.title}{unit}, {better} is better'

  @property
  def summary_label(self) -> str:
    """The same of ACC, BWT, ...: distances enter them as their negatives."""
    sign = '' if self.higher_is_better else '\N{MINUS SIGN}'
    return sign + self._replace(higher_is_better=True).axis_label

  @property
  def site_names(self) -> tuple[str, ...]:
    """The same for every order: the stream by name, then the other sites."""
    stream, unseen = (
      self.sites[: self.num_stream],
      self.sites[self.num_stream :],
    )
    return (*sorted(stream), *unseen)

  def only(self, chosen: np.ndarray) -> 'Scores':
    """The columns of some sites, a mask (sites,)."""
    return self._replace(
      matrix=self.matrix[:, chosen],
      untrained=self.untrained[chosen],
      sites=tuple(np.array(self.sites)[chosen]),
      num_stream=int(chosen[: self.num_stream].sum()),
    )
