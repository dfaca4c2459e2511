"""Which runs a sweep consists of: methods x orders x seeds x variants."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import pathlib
import re
import sys
from typing import Any

from common import errors

# Fields of a group and what each is where a group leaves it out.
_FIELDS = {
  'problem': None,
  'base': None,
  'methods': None,
  'seeds': (0,),
  'orders': ((),),
  'variants': ('',),
  'flags': '',
}
# What those that are lists are lists of.
_ITEMS = {
  'methods': (str, 'texts'),
  'seeds': (int, 'whole numbers'),
  'orders': ((tuple, list), 'tuples of sites'),
  'variants': (str, 'texts'),
}


@dataclasses.dataclass(frozen=True)
class PlannedRun:
  """One training.

  Attributes:
    folder: its working directory; what the run leaves is only ever read there.
    command: to start or resume it.
  """

  folder: pathlib.Path
  command: tuple[str, ...]

  @property
  def name(self) -> str:
    return f'{self.folder.parent.name}/{self.folder.name}'

  @property
  def finished(self) -> bool:
    return (self.folder / 'results.json').exists()


def list_runs(
  groups: Mapping[str, Mapping[str, Any]], out: pathlib.Path
) -> list[PlannedRun]:
  """Every run of every group once: seeds, then orders, variants last.

  A group has `problem` ('smg' or 'samcl'), `base` (a config file), `methods`,
  and optionally `seeds`, `orders` (streams; an empty one is that of the base),
  `variants` and `flags` (fields of the config as 'optim.lr=1e-3', separated by
  spaces: `flags` are common to the group and not part of a run's name).

  Raises:
    InputError: a field that is missing, not known or of another kind, or one
      folder for two different commands.
  """
  found: dict[pathlib.Path, tuple[tuple, PlannedRun]] = {}
  for name, group in groups.items():
    for place, run in _runs(_checked(name, group), out):
      _, known = found.setdefault(run.folder, (place, run))
      if known.command != run.command:
        raise errors.InputError(
          f'config.groups.{name}: {run.folder} is also the folder of another '
          'run; name what differs in `variants`'
        )
  in_order = sorted(found.values(), key=lambda pair: pair[0])
  return [run for _, run in in_order]


def _runs(
  group: Mapping[str, Any], out: pathlib.Path
) -> Iterator[tuple[tuple, PlannedRun]]:
  """Runs with their places in the order of the sweep."""
  base = pathlib.Path(group['base'])
  for seed in group['seeds']:
    for number, order in enumerate(group['orders']):
      for variant in group['variants']:
        for method in group['methods']:
          name = '+'.join([method, *map(_plain, _fields(variant))])
          flags = [
            f'method={method}',
            f'seed={seed}',
            *([f'stream={_tuple(order)}'] if order else []),
            *_fields(group['flags']),
            *_fields(variant),
          ]
          folder = out / base.stem / f'{name}-o{number}-s{seed}'
          command = (
            sys.executable,
            '-m',
            f'{group["problem"]}.train',
            f'--config={base}',
            *(f'--config.{flag}' for flag in flags),
            f'--workdir={folder}',
          )
          yield (seed, number, bool(variant)), PlannedRun(folder, command)


def _checked(name: str, group: Mapping[str, Any]) -> dict[str, Any]:
  where = f'config.groups.{name}'
  if not isinstance(group, Mapping):
    raise errors.InputError(f'{where}: found {group!r}, allowed a group')
  for field in group:
    if field not in _FIELDS:
      raise errors.InputError(
        f'{where}.{field}: unknown field, allowed: {", ".join(_FIELDS)}'
      )
  fields = _FIELDS | dict(group)
  for field, value in fields.items():
    if value is None:
      raise errors.InputError(f'{where}.{field}: missing, must be given')
  if fields['problem'] not in ('smg', 'samcl'):
    raise errors.InputError(
      f'{where}.problem: found {fields["problem"]!r}, allowed: smg, samcl'
    )
  if not pathlib.Path(fields['base']).is_file():
    raise errors.InputError(f'{where}.base: no such file: {fields["base"]}')
  for field, (kind, allowed) in _ITEMS.items():
    items = fields[field]
    if not isinstance(items, (tuple, list)) or not items:
      raise errors.InputError(
        f'{where}.{field}: found {items!r}, allowed a tuple of one or more'
      )
    for item in items:
      if not isinstance(item, kind):
        raise errors.InputError(
          f'{where}.{field}: found {item!r} in it, allowed {allowed}'
        )
  if not isinstance(fields['flags'], str):
    raise errors.InputError(
      f'{where}.flags: found {fields["flags"]!r}, allowed a text'
    )
  return fields


def _fields(text: str) -> list[str]:
  """'a=1 b=2' -> ['a=1', 'b=2']; values may have spaces, as folders do."""
  return re.split(r'\s+(?=[\w.]+=)', text.strip()) if text.strip() else []


def _tuple(names: Sequence[str]) -> str:
  return f'({",".join(map(repr, names))},)'


def _plain(flag: str) -> str:
  """A part of a folder's name."""
  return re.sub(r'[^0-9A-Za-z_.=-]', '_', flag)
