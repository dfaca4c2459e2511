"""What a working directory knows: its config, and its newest parameters."""

import json
import pathlib
from typing import Any, NamedTuple

from common import checkpoint, errors
from common import train_state as ts


class Trained(NamedTuple):
  """A network that was trained.

  Attributes:
    config: config.json, as nested dicts.
    params: of the network, nested dicts of arrays.
    folder: where both were found.
  """

  config: dict[str, Any]
  params: ts.Params
  folder: pathlib.Path


def load(workdir: pathlib.Path, stations: str) -> Trained:
  """Reads a working directory; the data that it was trained on are not needed.

  Args:
    workdir: of a run, finished or not.
    stations: 'sites' of a segmentation run, 'tasks' of a registration run.

  Raises:
    InputError: it is no such folder, has no checkpoint, or is a run of the
      other problem.
  """
  path = workdir / 'config.json'
  try:
    config = json.loads(path.read_text('utf-8'))
  except (OSError, ValueError) as error:
    raise errors.InputError(
      f'--workdir={workdir}: found no readable config.json, must be the folder '
      'of a run'
    ) from error
  if stations not in config:
    raise errors.InputError(
      f'{path}: found no {stations}, must be a run of '
      f'{"smg.train" if stations == "sites" else "samcl.train"}'
    )
  arrays = checkpoint.Checkpoints(workdir / 'checkpoints').load_arrays()
  if arrays is None:
    raise errors.InputError(
      f'{workdir / "checkpoints"}: found no checkpoint, the run has not saved '
      'one yet'
    )
  return Trained(config, _nested(arrays, 'params'), workdir)


def _nested(arrays: dict[str, Any], root: str) -> dict[str, Any]:
  """{'root.a.b': x, ...} -> {'a': {'b': x}}."""
  tree: dict[str, Any] = {}
  for name, array in arrays.items():
    if not name.startswith(f'{root}.'):
      continue
    place = tree
    _, *path, last = name.split('.')
    for part in path:
      place = place.setdefault(part, {})
    place[last] = array
  return tree
