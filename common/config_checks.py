"""What the configs of both problems have in common, checked."""

from collections.abc import Collection, Sequence
import pathlib

from ml_collections import config_dict

from common import errors


def check_stations(
  config: config_dict.ConfigDict, known: Collection[str]
) -> None:
  """`stream` and `unseen` name stations of `known`, none of them twice.

  Raises:
    InputError: they do not, or `stream` is empty.
  """
  names = (*config.stream, *config.unseen)
  if not config.stream:
    raise errors.InputError('config.stream: found none, must name some')
  if set(names) - set(known) or len(set(names)) < len(names):
    raise errors.InputError(
      f'config.stream, config.unseen: found {names}, allowed each once of '
      f'{", ".join(known)}'
    )


def check_choices(
  field: str, found: Sequence[str], allowed: Collection[str]
) -> None:
  """Every value of `config.<field>` is allowed, and there is one.

  Raises:
    InputError: a value is not, or there is none.
  """
  wrong = [value for value in found if value not in allowed]
  if wrong or not found:
    raise errors.InputError(
      f'config.{field}: found {repr(wrong[0]) if wrong else "none"}, allowed: '
      f'{", ".join(allowed)}'
    )


def data_folder(config: config_dict.ConfigDict) -> pathlib.Path:
  """`data.folder`, which real data must have.

  Raises:
    InputError: it is missing.
  """
  if not config.data.synthetic and not config.data.folder:
    raise errors.InputError(
      'config.data.folder: missing; give the folder of the data, '
      '--config.data.folder=DIR'
    )
  return pathlib.Path(config.data.folder).expanduser()
