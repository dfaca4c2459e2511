"""results.json and per_case.csv: what a finished run claims, and from what."""

from collections.abc import Iterator, Sequence
import csv
import io
import json
import pathlib
import shlex
import subprocess
import sys
import time

import jax
import numpy as np

from common import continual, cost, files, metrics
from common import plan as plan_lib
from common import problem as problem_lib

COLUMNS = ['stage', 'site', 'seen', 'case', 'label', 'metric', 'value', 'unit']
_RESULTS = 'results.json'
_DESCRIBE = ('describe', '--always', '--dirty', '--abbrev=40', '--exclude=*')


def matrix(rows: plan_lib.Rows, metric: str) -> np.ndarray:
  """Scores (1 + stages, sites); row 0 is the untrained network."""
  return np.array(
    [[problem_lib.score(site, metric) for site in stage] for stage in rows]
  )


def exist(workdir: pathlib.Path) -> bool:
  """Whether the run has ended."""
  return (workdir / _RESULTS).exists()


def write(
  workdir: pathlib.Path,
  problem: problem_lib.Problem,
  method: str,
  plan: plan_lib.Plan,
  position: plan_lib.Position,
  *,
  step_s: float | None = None,
) -> None:
  """Writes per_case.csv and results.json; scores from per-case rows alone.

  `step_s`: seconds of a step of the method, at the last stage.
  """
  files.write_text(workdir / 'per_case.csv', per_case(problem, position.rows))
  num_stream = len(problem.stream)
  fields, summaries = {}, {}
  for name, spec in problem.metrics.items():
    scores = matrix(position.rows, name)
    if np.isnan(scores).all():
      continue
    fields[name] = {
      'higher_is_better': spec.higher_is_better,
      'unit': spec.unit,
      'matrix': scores[1:],
      'untrained': scores[0],
    }
    summaries[name] = continual.summarise(
      scores[1:],
      scores[0],
      num_stream=num_stream,
      higher_is_better=spec.higher_is_better,
    )
  entry = {
    'problem': problem.name,
    'method': method,
    'seed': plan.seed,
    'stream': list(problem.stream),
    'unseen': list(problem.unseen),
    'metrics': fields,
    'summary': summaries,
    'definition': metrics.DEFINITION,
    'steps': position.step,
    'wall_s': round(position.wall_s, 1),
    'step_s': step_s,
    'peak_gib': cost.peak_gib(),
    'device': cost.device(),
    'jax': jax.__version__,
    'git': _commit(),
    'ended': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
    'command': shlex.join(['python', *sys.orig_argv[1:]]),
  }
  text = json.dumps(continual.json_ready(entry), indent=2)
  files.write_text(workdir / _RESULTS, text + '\n')


def per_case(problem: problem_lib.Problem, rows: plan_lib.Rows) -> str:
  """The rows as CSV; stage 0 is the untrained network."""
  sites = [*problem.stream, *problem.unseen]
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(COLUMNS)
  for stage, scored in enumerate(rows):
    for number, site in enumerate(sites):
      seen = int(number < min(stage, len(problem.stream)))
      for row in scored[number]:
        writer.writerow(
          [
            stage,
            site,
            seen,
            row.case,
            row.label,
            row.metric,
            repr(float(row.value)),
            row.unit,
          ]
        )
  return text.getvalue()


def write_evaluation(
  workdir: pathlib.Path,
  sites: Sequence[str],
  rows: Sequence[Sequence[problem_lib.CaseScore]],
) -> None:
  """Writes evaluation.csv: the rows of each site, without a stage."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['site', 'case', 'label', 'metric', 'value', 'unit'])
  for site, scored in zip(sites, rows, strict=True):
    writer.writerows([site, *row] for row in scored)
  files.write_text(workdir / 'evaluation.csv', text.getvalue())


def table(
  problem: problem_lib.Problem, rows: Sequence[Sequence[problem_lib.CaseScore]]
) -> Iterator[str]:
  """Lines of a table of sites by metrics."""
  sites = [*problem.stream, *problem.unseen]
  width = max(len(site) for site in sites)
  yield ' '.join([' ' * width, *(f'{name:>17}' for name in problem.metrics)])
  for site, scored in zip(sites, rows, strict=True):
    values = [problem_lib.score(scored, name) for name in problem.metrics]
    cells = [' ' * 17 if np.isnan(v) else f'{v:17.4f}' for v in values]
    yield ' '.join([f'{site:<{width}}', *cells])


def summary_line(workdir: pathlib.Path) -> str:
  """One line with the summary of every metric, as the binaries end with."""
  entry = json.loads((workdir / _RESULTS).read_text('utf-8'))
  undefined = continual.UNDEFINED.get(entry['method'], ())
  parts = []
  for name in ('dice', 'tre'):
    if name in entry['summary']:
      numbers = {
        key: value
        for key, value in entry['summary'][name].items()
        if value is not None
        and key in ('ACC', 'BWT', 'unseen')
        and key not in undefined
      }
      parts.append(
        ' '.join(f'{name}/{key} {value:+.3f}' for key, value in numbers.items())
      )
  return (
    f'done: {entry["problem"]} {entry["method"]} seed {entry["seed"]}: '
    f'{", ".join(parts)}; {workdir / "report.html"}'
  )


def _commit() -> str | None:
  """The commit of the source tree that runs, `-dirty` if it was changed.

  None outside a repository.
  """
  here = pathlib.Path(__file__).resolve().parent
  try:
    found = subprocess.run(
      ['git', '-C', str(here), *_DESCRIBE],
      capture_output=True,
      encoding='utf-8',
      timeout=10,
      check=True,
    )
  except (OSError, subprocess.SubprocessError):
    return None
  return found.stdout.strip()
