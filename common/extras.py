"""Libraries that come with an extra, for those who asked for it."""

import importlib
from typing import Any

from common import errors


def load(module: str, extra: str, wanted_by: object) -> Any:
  """The module.

  Raises:
    InputError: it is not installed; the message names `wanted_by`, a file or a
      flag, and the extra.
  """
  try:
    return importlib.import_module(module)
  except ImportError as error:
    raise errors.InputError(
      f"{wanted_by}: needs {module}: pip install '.[{extra}]'"
    ) from error
