"""Random numbers that are addressed, not consumed."""

import numpy as np


def generator(seed: int, *address: str) -> np.random.Generator:
  """The generator of one purpose, the same whichever others are in use."""
  words = [int.from_bytes(word.encode(), 'little') for word in address]
  return np.random.default_rng([seed, *words])
