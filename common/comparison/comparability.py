"""What is not the same for all runs of a comparison: fields, code, scoring."""

from collections.abc import Mapping, Sequence
import json

import numpy as np

from common import ownership, run_files
from common.comparison import study as study_lib

_FOLDER = 'data.folder'
# Relative and absolute differences of scores that another machine may make.
_CLOSE = 0.05, 0.01


def unequal_fields(study: study_lib.Study) -> list[str]:
  """Where main rows differ, fields aside that one method alone reads."""
  by_row = {
    row.name: study_lib.flatten(row.runs[0].config) for row in study.main_rows
  }
  lines = []
  for field in sorted(set().union(*by_row.values())):
    if field in (
      *study_lib.WITHOUT_EFFECT,
      *study_lib.VARYING,
    ) or ownership.owner(field):
      continue
    values = {n: json.dumps(c.get(field)) for n, c in by_row.items()}
    if len(set(values.values())) > 1:
      lines += _told(field, values)
  return lines


def unequal_records(rows: Sequence[study_lib.Row]) -> list[str]:
  """Where runs were not made with the same code, machine or files."""
  lines = []
  for name in (*study_lib.RECORDS, _FOLDER):
    found = {row.name: row.recorded(name) for row in rows if row.stage}
    if len(set().union(*found.values())) > 1:
      lines += _told(name, {n: ' and '.join(v) for n, v in found.items()})
  return lines


def scored_alike(
  runs: Sequence[run_files.Run],
) -> tuple[list[run_files.Run], list[str]]:
  """Runs whose untrained network scores as most do, and a line on each other.

  A network and a seed say what it is: who has another score was scored by other
  rules, whatever its config says, or drawn by another library. Where no score
  is that of more than half of the runs, nobody can tell who is right.
  """
  apart: dict[int, str | None] = {}
  for _, same in study_lib.group(runs, _network):
    starts: list[list[run_files.Run]] = []
    for run in same:
      known = (start for start in starts if not _started_apart(run, start[0]))
      if (alike := next(known, None)) is None:
        starts.append([run])
      else:
        alike.append(run)
    usual, *others = sorted(starts, key=len, reverse=True)
    odd = [run for start in others for run in start]
    apart |= {id(run): _started_apart(run, usual[0]) for run in odd}
    if len(usual) <= len(same) / 2:
      apart |= {id(run): _started_apart(run, odd[0]) for run in usual}
  lines = [apart[id(run)] for run in runs if id(run) in apart]
  return [run for run in runs if id(run) not in apart], lines


def _network(run: run_files.Run) -> str:
  return json.dumps([run.config.get('model'), run.config.get('seed')])


def _started_apart(run: run_files.Run, other: run_files.Run) -> str | None:
  """A line on the first score that is another, if there is one."""
  for metric, scores in run.scores.items():
    there = other.scores[metric]
    wanted = dict(zip(there.sites, there.untrained, strict=True))
    for site, value in zip(scores.sites, scores.untrained, strict=True):
      if not np.isclose(value, wanted[site], *_CLOSE, equal_nan=True):
        return (
          f'{run.folder}: {metric} of {site} before training is {value:.3f}, '
          f'in {other.folder}, of the same network and seed, '
          f'{wanted[site]:.3f}: not scored alike'
        )
  return None


def _told(what: str, values: Mapping[str, str]) -> list[str]:
  """A line that says which rows have which value."""
  names: dict[str, list[str]] = {}
  for name, value in values.items():
    names.setdefault(value, []).append(name)
  said = '; '.join(f'{", ".join(n)}: {v}' for v, n in names.items())
  return [f'Not the same for all runs: {what} ({said}).']
