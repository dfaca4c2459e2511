"""From the parts of an anatomy to the numbers that a scanner stores."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from common.synthetic import solids


def expose_ct(
  rng: np.random.Generator,
  parts: Sequence[solids.Part],
  values: Mapping[str, float],
  edge: float,
  shape: tuple[int, ...],
) -> np.ndarray:
  """Hounsfield units with noise, int16."""
  enhancement = rng.normal(0.0, 10.0)
  above_air = {
    name: 1000.0 + value + (enhancement if 80.0 < value < 200.0 else 0.0)
    for name, value in values.items()
  }
  image = solids.paint(parts, above_air, edge=edge).reshape(shape) - 1000.0
  image += rng.normal(0.0, 14.0, shape)
  return np.clip(np.round(image), -1024, 3071).astype(np.int16)


def expose_mr(
  rng: np.random.Generator,
  parts: Sequence[solids.Part],
  values: Mapping[str, float],
  edge: float,
  shape: tuple[int, ...],
) -> np.ndarray:
  """Arbitrary units with bias field and Rician noise, uint16.

  The contrast between tissues differs a little from scan to scan.
  """
  gamma = np.exp(rng.normal(0.0, 0.08))
  shown = {
    name: value**gamma * (1.0 + 0.03 * rng.standard_normal())
    for name, value in values.items()
  }
  image = solids.paint(parts, shown, edge=edge).reshape(shape)
  image = image * _bias_field(rng, shape)
  noise = 0.02 * rng.standard_normal((2, *shape))
  image = np.hypot(image + noise[0], noise[1])
  level = rng.uniform(700.0, 1300.0)
  return np.clip(np.round(level * image), 0, 4095).astype(np.uint16)


def _bias_field(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Smooth factors about 1, (x, y, z)."""
  coarse = rng.normal(0.0, 0.1, (4, 4, 4))
  at = np.indices(shape) / (np.asarray(shape).reshape(3, 1, 1, 1) - 1) * 2 + 0.5
  return np.exp(ndimage.map_coordinates(coarse, at, order=3, mode='nearest'))
