"""Landmark files: CSV, and the markups of 3D Slicer.

Points are world coordinates in mm, RAS+, whatever the file has: a CSV with the
columns x, y, z is in RAS+ itself, .fcsv and .mrk.json say what they are in.
"""

import csv
import io
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

from common import errors, files, tables

SUFFIXES = ('.csv', '.fcsv', '.mrk.json')
_AXES = ('x', 'y', 'z')
_SIGNS = {'RAS': (1.0, 1.0, 1.0), 'LPS': (-1.0, -1.0, 1.0)}
# As older versions of 3D Slicer write it.
_NUMBERED = {'0': 'RAS', '1': 'LPS'}
_NO_MARKUPS = (OSError, ValueError, KeyError, TypeError, AttributeError)


class Points(NamedTuple):
  """Landmarks of a file.

  Attributes:
    positions: (k, 3), mm in RAS+.
    kind: one of `SUFFIXES`.
    signs: of the file's own axes, (3,).
    rest: the file without its positions.
  """

  positions: np.ndarray
  kind: str
  signs: tuple[float, float, float]
  rest: Any

  def save(self, path: pathlib.Path, positions: np.ndarray) -> None:
    """The file again, with all it had, at other positions (k, 3)."""
    own = np.asarray(positions) * self.signs
    files.write_text(path, _WRITERS[self.kind](self.rest, own))


def is_points(path: pathlib.Path) -> bool:
  """Whether a file is of landmarks, by its name."""
  return path.name.lower().endswith(SUFFIXES)


def load(path: pathlib.Path) -> Points:
  """Reads landmarks.

  Raises:
    InputError: the file is missing or damaged, has no landmarks, a value that
      is no finite number, or is in coordinates other than RAS or LPS.
  """
  kind = next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)
  if kind is None:
    raise errors.InputError(
      f'{path}: suffix: found {path.suffix!r}, allowed {SUFFIXES}'
    )
  own, system, rest = _READERS[kind](path)
  if not isinstance(system, str) or system not in _SIGNS:
    raise errors.InputError(
      f'{path}: coordinate system: found {system!r}, allowed {tuple(_SIGNS)}'
    )
  positions = np.array(
    [_numbers(path, row, values) for row, values in enumerate(own, 1)]
  )
  if not positions.size:
    raise errors.InputError(f'{path}: landmarks: found none')
  return Points(positions * _SIGNS[system], kind, _SIGNS[system], rest)


def _numbers(path: pathlib.Path, row: int, values: Any) -> list[float]:
  try:
    numbers = [float(value) for value in values]
  except (TypeError, ValueError):
    numbers = []
  if len(numbers) != 3 or not np.isfinite(numbers).all():
    raise errors.InputError(
      f'{path}: landmark {row}: found {values}, allowed three finite numbers'
    )
  return numbers


def _read_csv(path: pathlib.Path) -> tuple[list, str, list[dict[str, str]]]:
  rows = tables.read_columns(path, _AXES)
  return [[row[axis] for axis in _AXES] for row in rows], 'RAS', rows


def _write_csv(rows: list[dict[str, str]], own: np.ndarray) -> str:
  rows = [row | _named(point) for row, point in zip(rows, own, strict=True)]
  text = io.StringIO()
  writer = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
  writer.writeheader()
  writer.writerows(rows)
  return text.getvalue()


def _named(point: np.ndarray) -> dict[str, str]:
  return {
    axis: f'{value:.6f}' for axis, value in zip(_AXES, point, strict=True)
  }


def _read_fcsv(path: pathlib.Path) -> tuple[list, str, tuple]:
  """Comments say the coordinates; the second to fourth values are the point."""
  lines = tables.read_rows(path)
  heads = [line for line in lines if line[0].startswith('#')]
  rows = [line for line in lines if not line[0].startswith('#')]
  said = [','.join(head).partition('=') for head in heads]
  system = next(
    (value.strip() for key, _, value in said if 'CoordinateSystem' in key),
    'RAS',
  )
  return (
    [row[1:4] for row in rows],
    _NUMBERED.get(system, system),
    (heads, rows),
  )


def _write_fcsv(rest: tuple, own: np.ndarray) -> str:
  heads, rows = rest
  text = io.StringIO()
  text.writelines(f'{",".join(head)}\n' for head in heads)
  writer = csv.writer(text, lineterminator='\n')
  for row, point in zip(rows, own, strict=True):
    writer.writerow([row[0], *_named(point).values(), *row[4:]])
  return text.getvalue()


def _read_markups(path: pathlib.Path) -> tuple[list, str, dict]:
  try:
    content = json.loads(path.read_text('utf-8'))
    (markup,) = content['markups']
    own = [point['position'] for point in _placed(markup)]
  except _NO_MARKUPS as error:
    raise errors.InputError(
      f'{path}: file: found no list of control points '
      f'({type(error).__name__}), allowed one markup of 3D Slicer'
    ) from error
  return own, markup.get('coordinateSystem', 'LPS'), content


def _placed(markup: dict) -> list[dict]:
  """The control points that have a position; others stay as they are."""
  return [
    point
    for point in markup['controlPoints']
    if point.get('positionStatus', 'defined') == 'defined'
  ]


def _write_markups(content: dict, own: np.ndarray) -> str:
  content = json.loads(json.dumps(content))
  placed = _placed(content['markups'][0])
  for point, position in zip(placed, own.tolist(), strict=True):
    point['position'] = position
  return json.dumps(content, indent=2) + '\n'


_READERS = {'.csv': _read_csv, '.fcsv': _read_fcsv, '.mrk.json': _read_markups}
_WRITERS = {
  '.csv': _write_csv,
  '.fcsv': _write_fcsv,
  '.mrk.json': _write_markups,
}
