"""A working directory belongs to one config, which it holds as config.json."""

from collections.abc import Collection, Mapping
import json
import pathlib
from typing import Any

from ml_collections import config_dict

from common import errors, files, ownership


def take(workdir: pathlib.Path, config: config_dict.ConfigDict) -> None:
  """Writes config.json, or makes sure that the one there says the same.

  Raises:
    InputError: the folder holds a run of another config.
  """
  path = workdir / 'config.json'
  if path.exists():
    check(workdir, config)
  else:
    files.write_text(path, json.dumps(_plain(config), indent=2) + '\n')


def check(
  workdir: pathlib.Path,
  config: config_dict.ConfigDict,
  *,
  apart: Collection[str] = (),
) -> None:
  """Makes sure that config.json, where there is one, says the same.

  Sections that another method alone reads may say what they will, as may the
  fields `apart`.

  Raises:
    InputError: it is no JSON, or names every field that is another.
  """
  path = workdir / 'config.json'
  if not path.exists():
    return
  try:
    found = json.loads(path.read_text('utf-8'))
  except ValueError as error:
    raise errors.InputError(f'{path}: no JSON ({error})') from error
  if not isinstance(found, dict):
    raise errors.InputError(f'{path}: found {found!r}, allowed a JSON object')
  differences = [
    f'config.{name}: found {there!r} there, asked for {here!r}'
    for name, there, here in _differences(found, _plain(config))
    if ownership.is_read(name, config.get('method', '')) and name not in apart
  ]
  if differences:
    raise errors.InputError(
      f'{path}: the folder holds a run of another config; '
      + '; '.join(differences)
      + '. Use the same config or another --workdir'
    )


def _plain(config: config_dict.ConfigDict) -> dict[str, Any]:
  """As JSON gives it back."""
  return json.loads(config.to_json())


def _differences(a: Mapping, b: Mapping, prefix: str = '') -> list[tuple]:
  """(name, value in a, value in b) of every leaf that is not the same."""
  found = []
  for name in sorted(a.keys() | b.keys()):
    here, there = a.get(name), b.get(name)
    if isinstance(here, dict) and isinstance(there, dict):
      found += _differences(here, there, f'{prefix}{name}.')
    elif here != there:
      found.append((f'{prefix}{name}', here, there))
  return found
