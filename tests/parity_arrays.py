"""Arrays computed with the authors' implementation, to be matched.

The folder is named by the environment variable SAMCL_PARITY_DIR; by default it
is the copy beside this file.
"""

import json
import os
import pathlib
from typing import Any

import numpy as np
import pytest

_HERE = pathlib.Path(__file__).parent / 'parity'
FOLDER = pathlib.Path(os.environ.get('SAMCL_PARITY_DIR', _HERE))


def load(name: str) -> dict[str, np.ndarray]:
  """Every array of `<name>.npz`.

  The copy in the repository leaves some large files out; a folder named by the
  environment must have all.
  """
  if FOLDER == _HERE and not (FOLDER / f'{name}.npz').exists():
    pytest.skip(f'{name}.npz is not in the copy kept here')
  with np.load(FOLDER / f'{name}.npz', allow_pickle=False) as arrays:
    return dict(arrays)


def config(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
  """The settings stored beside the arrays."""
  return json.loads(str(arrays['config']))


def channels_last(array: np.ndarray) -> np.ndarray:
  """(b, c, *s) as stored -> (b, *s, c) as used here."""
  return np.moveaxis(array, 1, -1)


def channels_first(array: np.ndarray) -> np.ndarray:
  """(b, *s, c) as used here -> (b, c, *s) as stored."""
  return np.moveaxis(array, -1, 1)
