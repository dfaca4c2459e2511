"""Arrays computed with the authors' implementation, to be matched.

The folder is named by the environment variable SAMCL_PARITY_DIR; by default it
is the copy beside this file.
"""

import json
import os
import pathlib
from typing import Any

import numpy as np

FOLDER = pathlib.Path(
  os.environ.get('SAMCL_PARITY_DIR', pathlib.Path(__file__).parent / 'parity')
)


def load(name: str) -> dict[str, np.ndarray]:
  """Returns every array of `<name>.npz`; a missing file fails the test."""
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
