"""Named random streams: randomness is addressed, not consumed.

A key is a function of (seed, name, position), so a resumed run draws what an
uninterrupted one would have drawn, and adding a stream moves no other.
"""

import zlib

import jax
import numpy as np


def stream(seed: int, name: str) -> jax.Array:
  """The key of the stream `name`, e.g. 'init' or 'train'."""
  return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def at(seed: int, name: str, position: int) -> jax.Array:
  """The key at one position of a stream."""
  return jax.random.fold_in(stream(seed, name), position)


def host(seed: int, name: str, *position: int) -> np.random.Generator:
  """The same addressing for draws made with NumPy on the host."""
  return np.random.default_rng([seed, zlib.crc32(name.encode()), *position])
