"""What is found when every file that a config names is looked at."""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import pathlib
from typing import Any

import numpy as np

from common import errors, grids

# A spacing or a range so many times that of the others of a station is odd.
_FAR = 3.0


@dataclasses.dataclass(frozen=True)
class Seen:
  """One image of a station.

  Attributes:
    path: of its file.
    grid: as stored.
    low, high: of its values.
    labels: value -> number of voxels, without 0; None where it has no label.
  """

  path: pathlib.Path
  grid: grids.Grid
  low: float
  high: float
  labels: dict[int, int] | None


@dataclasses.dataclass
class Station:
  """A site or a task, and what is wrong or odd about it.

  Attributes:
    name: in the config.
    role: 'stream' or 'unseen'.
    counts: of what there is, e.g. {'train': 12, 'test': 4}.
    seen: the images that could be read.
    problems: what stops a run, a line each.
    odd: what somebody should look at, a line each.
    draw: writes a picture of one case to a path; None where there is none.
  """

  name: str
  role: str
  counts: dict[str, int] = dataclasses.field(default_factory=dict)
  seen: list[Seen] = dataclasses.field(default_factory=list)
  problems: list[str] = dataclasses.field(default_factory=list)
  odd: list[str] = dataclasses.field(default_factory=list)
  draw: Callable[[pathlib.Path], None] | None = None

  def attempt(
    self, function: Callable[..., Any], *args: Any, **kwargs: Any
  ) -> Any:
    """The result, or None with the refusal among the problems."""
    try:
      return function(*args, **kwargs)
    except errors.InputError as error:
      if str(error) not in self.problems:
        self.problems.append(str(error))
      return None

  def look_for_odd(self, classes: Iterable[int]) -> None:
    """Fills `odd` from what was seen."""
    classes = set(classes)
    met = set().union(*(one.labels or {} for one in self.seen))
    labelled = [one for one in self.seen if one.labels is not None]
    if labelled and classes - met:
      self.odd.append(f'no voxel of class {sorted(classes - met)} in any label')
    self.odd += [
      f'{one.path}: label: empty' for one in labelled if not one.labels
    ]
    for what, value in (
      ('spacing', lambda one: float(np.prod(one.grid.spacing)) ** (1 / 3)),
      ('range of values', lambda one: one.high - one.low),
    ):
      values = np.array([value(one) for one in self.seen])
      if values.size < 3:
        continue
      usual = np.median(values)
      for one, found in zip(self.seen, values, strict=True):
        if usual > 0 and not usual / _FAR < found < usual * _FAR:
          self.odd.append(
            f'{one.path}: {what}: {found:.3g} where others have {usual:.3g}'
          )


def table(stations: Sequence[Station]) -> list[str]:
  """Markdown, a line for each station."""
  head = (
    'station',
    'role',
    'cases',
    'shapes',
    'spacing',
    'orientation',
    'voxels of each label',
    'values',
    'problems',
    'odd',
  )
  lines = [_line(head), _line(['---'] * len(head))]
  for station in stations:
    seen = station.seen
    totals: dict[int, int] = {}
    for one in seen:
      for value, count in (one.labels or {}).items():
        totals[value] = totals.get(value, 0) + count
    lines.append(
      _line(
        [
          station.name,
          station.role,
          ', '.join(f'{n} {name}' for name, n in station.counts.items()),
          _few('x'.join(map(str, one.grid.shape)) for one in seen),
          _few(_rounded(one.grid.spacing) for one in seen),
          _few(orientation(one.grid) for one in seen),
          ', '.join(f'{v}: {n}' for v, n in sorted(totals.items())) or '-',
          _span(seen),
          str(len(station.problems)),
          str(len(station.odd)),
        ]
      )
    )
  return lines


def orientation(grid: grids.Grid) -> str:
  """Where the stored axes run to, e.g. 'LPS'; '~' where they are oblique."""
  linear = grid.affine[:3, :3] / np.array(grid.spacing)
  letters = ''.join(
    ('RL', 'AP', 'SI')[axis][int(column[axis] < 0)]
    for column in linear.T
    for axis in [int(np.abs(column).argmax())]
  )
  return letters if np.abs(linear).max(axis=0).min() > 0.999 else f'~{letters}'


def _few(texts: Iterable[str]) -> str:
  """Different ones, the most frequent first, three at most."""
  counts: dict[str, int] = {}
  for text in texts:
    counts[text] = counts.get(text, 0) + 1
  ranked = sorted(counts, key=counts.get, reverse=True)
  more = f' and {len(ranked) - 3} more' if len(ranked) > 3 else ''
  return (', '.join(ranked[:3]) + more) or '-'


def _rounded(spacing: Sequence[float]) -> str:
  return 'x'.join(f'{side:.3g}' for side in spacing)


def _span(seen: Sequence[Seen]) -> str:
  if not seen:
    return '-'
  low, high = min(one.low for one in seen), max(one.high for one in seen)
  return f'{low:.4g} to {high:.4g}'


def _line(cells: Sequence[str]) -> str:
  return f'| {" | ".join(cells)} |'
