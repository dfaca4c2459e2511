"""Arrays computed with the authors' implementation, to be matched."""

import json
import pathlib
from typing import Any

import numpy as np

FOLDER = pathlib.Path(__file__).parent / 'parity'


def load(name: str) -> dict[str, np.ndarray]:
  """Every array of `<name>.npz`."""
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
