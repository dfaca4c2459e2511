"""What a working directory knows: its config, and its newest parameters."""

import json
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from common import checkpoint, config_file, errors
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
      f'{config_file.BINARIES[stations]}'
    )
  return Trained(config, _nested(_newest(workdir), 'params'), workdir)


def load_params(workdir: pathlib.Path, *, like: ts.Params) -> ts.Params:
  """The newest parameters of a run, whatever it was a run of.

  Args:
    workdir: of a run, finished or not.
    like: parameters of the network; their values do not matter.

  Raises:
    InputError: the workdir has no checkpoint, or one of another network.
  """
  found = _newest(workdir)
  wanted = checkpoint.flatten({'params': like})
  shapes = {
    name: array.shape
    for name, array in found.items()
    if name.startswith('params.')
  }
  for name in sorted(shapes.keys() | wanted.keys()):
    there, here = shapes.get(name), getattr(wanted.get(name), 'shape', None)
    if there != here:
      raise errors.InputError(
        f'{workdir / "checkpoints"}: {name}: found {there}, allowed {here}: a '
        'run of another network'
      )
  leaves = [found[name] for name in wanted]
  return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _newest(workdir: pathlib.Path) -> dict[str, np.ndarray]:
  arrays = checkpoint.Checkpoints(workdir / 'checkpoints').load_arrays()
  if arrays is None:
    raise errors.InputError(
      f'{workdir / "checkpoints"}: found no checkpoint, must be those of a run '
      'that has saved one'
    )
  return arrays


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
