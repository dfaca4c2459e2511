"""metrics.jsonl: one JSON object per logged step, appended as training goes."""

from collections.abc import Mapping
import json
import math
import pathlib
from typing import Any

from common import errors, files


class MetricLog:
  """Appends lines; on resume forgets those later than the checkpoint.

  Args:
    path: of the file.
    step: lines of this global step or later are dropped.
  """

  def __init__(self, path: pathlib.Path, *, step: int = 0):
    kept = []
    if path.exists():
      for line in path.read_text('utf-8').splitlines():
        entry = _parse(line)
        if entry is not None and entry['step'] < step:
          kept.append(line)
    files.write_text(path, ''.join(f'{line}\n' for line in kept))
    self._path = path

  def write(
    self, *, stage: int, site: str, step: int, split: str, metrics: Mapping
  ) -> None:
    """Adds one line; `step` counts over the whole run, `metrics` are floats.

    Raises:
      InputError: it cannot be written.
    """
    entry: dict[str, Any] = {
      'stage': stage,
      'site': site,
      'step': step,
      'split': split,
    }
    for name, value in metrics.items():
      number = float(value)
      entry[name] = number if math.isfinite(number) else None
    try:
      with open(self._path, 'a', encoding='utf-8') as file:
        file.write(json.dumps(entry) + '\n')
    except OSError as error:
      raise errors.InputError(
        f'{self._path}: not written ({error.strerror})'
      ) from error


def _parse(line: str) -> dict[str, Any] | None:
  """The entry of a line, None for one that was cut short."""
  try:
    return json.loads(line)
  except json.JSONDecodeError:
    return None
