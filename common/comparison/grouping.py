"""Which finished runs can be compared, and by what name each is known."""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import json
import os
import pathlib
from typing import Any

from common import errors, ownership, run_files
from common.comparison import comparability
from common.comparison import study as study_lib


def find(
  folders: Sequence[pathlib.Path],
) -> tuple[list[study_lib.Study], list[str]]:
  """Studies of the runs in or below some folders, and what was left out.

  Raises:
    InputError: no finished run is found.
  """
  runs, left_out, met = [], [], set()

  def refused(error: OSError) -> None:
    left_out.append(f'{error.filename}: cannot be read ({error.strerror})')

  for folder in folders:
    places = set(_places(folder, refused))
    if not places:
      left_out.append(f'{folder}: no run in it')
    for place in sorted(places):
      if place.resolve() in met:
        continue
      met.add(place.resolve())
      try:
        if not (place / 'results.json').exists():
          raise errors.InputError(f'{place}: not finished, no results.json')
        run = run_files.load(place)
        run_files.check_cases(run)
        runs.append(run)
      except errors.InputError as error:
        left_out.append(str(error))
  found, more = studies(runs)
  left_out += more
  if not found:
    raise errors.InputError(
      f'found no finished run in {", ".join(map(str, folders))}: '
      + '; '.join(left_out)
    )
  return found, left_out


def _places(
  folder: pathlib.Path, refused: Callable[[OSError], None]
) -> Iterator[pathlib.Path]:
  """Folders in or below one that look like a run; links are followed."""
  met = set()
  for name, inner, files in os.walk(folder, followlinks=True, onerror=refused):
    place = pathlib.Path(name)
    if place.resolve() in met:
      inner.clear()  # A link back to where it came from.
      continue
    met.add(place.resolve())
    if {'config.json', 'results.json'} & {*files}:
      yield place


def studies(
  runs: Sequence[run_files.Run],
) -> tuple[list[study_lib.Study], list[str]]:
  """Runs grouped by what their scores mean, and a line on each left out.

  Those are scored by other rules than most, or doubles.
  """
  found, left_out = [], []
  for _, same in study_lib.group(runs, _definition):
    alike, apart = comparability.scored_alike(same)
    rows, doubles = _rows(alike)
    if rows:
      found.append(study_lib.Study(_title(same), tuple(rows)))
    left_out += [*apart, *doubles]
  found = _entitled(found, lambda study: f'({_told_apart(study, found)})')
  found = _entitled(found, lambda study: f'[{found.index(study) + 1}]')
  return found, left_out


def _entitled(
  found: Sequence[study_lib.Study], say: Callable[[study_lib.Study], str]
) -> list[study_lib.Study]:
  """Studies, more said in the titles of those that share one."""
  titles = collections.Counter(study.title for study in found)
  return [
    dataclasses.replace(study, title=f'{study.title} {say(study)}')
    if titles[study.title] > 1
    else study
    for study in found
  ]


def _rows(
  runs: Sequence[run_files.Run],
) -> tuple[list[study_lib.Row], list[str]]:
  rows, doubles = [], []
  for method, of_method in study_lib.group(
    runs, lambda run: run.results['method']
  ):
    name = _namer(of_method, runs)
    for variant, same in study_lib.group(of_method, name):
      first: dict[tuple, run_files.Run] = {}
      for run in same:
        known = first.setdefault(study_lib.cell(run), run)
        if known is not run:
          doubles.append(
            f'{run.folder}: same method, order and seed as {known.folder}'
          )
      rows.append(study_lib.Row(method, variant, tuple(first.values())))
  return rows, doubles


def _namer(
  runs: Sequence[run_files.Run], everyone: Sequence[run_files.Run]
) -> Callable[[run_files.Run], tuple[str, ...]]:
  """A run's fields that are not as most runs of its method have them.

  Where as many have one value as another, that of most runs of all methods.
  """
  configs = [study_lib.flatten(run.config) for run in runs]
  others = [study_lib.flatten(run.config) for run in everyone]
  method = runs[0].results['method']
  fields = sorted(
    field
    for field in set().union(*configs)
    if field not in (*study_lib.WITHOUT_EFFECT, *study_lib.VARYING)
    and ownership.is_read(field, method)
  )
  usual = {
    field: _majority(_said(configs, field)) or _majority(_said(others, field))
    for field in fields
  }

  def name(run: run_files.Run) -> tuple[str, ...]:
    config = study_lib.flatten(run.config)
    return tuple(
      f'{field}={config.get(field)}'
      for field in fields
      if json.dumps(config.get(field)) != usual[field]
    )

  return name


def _said(configs: Sequence[Mapping[str, Any]], field: str) -> list[str]:
  return [json.dumps(config.get(field)) for config in configs]


def _majority(values: Sequence[str]) -> str | None:
  """The most frequent one, None if two are."""
  (first, count), *rest = collections.Counter(values).most_common(2)
  return None if rest and rest[0][1] == count else first


def _definition(run: run_files.Run) -> str:
  """Equal for runs whose scores mean the same."""
  return json.dumps(_meaning(run), sort_keys=True)


def _meaning(run: run_files.Run) -> dict[str, Any]:
  """All that scores mean something by."""
  config = study_lib.flatten(run.config)
  data = {
    name: value
    for name, value in config.items()
    if name.split('.')[0] in ('data', 'sites', 'tasks', 'native')
    and name not in study_lib.WITHOUT_EFFECT
  }
  metrics = {
    f'unit of {name}': (scores.unit, scores.higher_is_better)
    for name, scores in run.scores.items()
  }
  cases = sorted(
    {(site, case) for stage, site, case, _ in run.cases if not stage}
  )
  sites = {k: sorted(run.results[k]) for k in ('stream', 'unseen')}
  return (
    data
    | metrics
    | sites
    | {
      'problem': run.results['problem'],
      'stages': len(next(iter(run.scores.values())).matrix)
      if run.scores
      else 0,
      'test cases': cases,
      # A run that does not say was made when there was one.
      'definition of metrics': run.results.get('definition') or 1,
    }
  )


def _told_apart(
  study: study_lib.Study, others: Sequence[study_lib.Study]
) -> str:
  """What a study of the same sites as others has of its own."""
  mine, *rest = (
    _meaning(one.rows[0].runs[0])
    for one in (study, *(o for o in others if o is not study))
  )
  rest = [other for other in rest if other['stream'] == mine['stream']]
  said = []
  for name, value in mine.items():
    if any(other.get(name) != value for other in rest):
      text = str(value)
      said.append(f'{name} {text if len(text) < 40 else "others"}')
  return ', '.join(said) or 'other metrics'


def _title(runs: Sequence[run_files.Run]) -> str:
  results = runs[0].results
  text = f'{results["problem"]}: {", ".join(sorted(results["stream"]))}'
  unseen = ', '.join(sorted(results['unseen']))
  return f'{text}; unseen {unseen}' if unseen else text
