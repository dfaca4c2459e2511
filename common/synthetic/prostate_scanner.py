"""How one site scans prostates: its patients, contrast, coil and grid."""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
from scipy import ndimage

from common.synthetic import prostate, seeds, solids

FIELD = 96.0  # mm, field of view of the nominal grid


@dataclasses.dataclass(frozen=True)
class Site:
  """A scanner and those who come to it.

  values: intensity of each part, shares.
  gamma: of the contrast curve `value**gamma`.
  bias: standard deviation of the logarithm of the bias field.
  noise: standard deviation in each channel before the magnitude, shares.
  blur: standard deviation in plane, mm.
  flare: of the endorectal coil, factor at the rectum minus 1.
  coarseness: pixel size, share of the nominal one.
  field: of view, mm.
  thickness: distance of slices, mm.
  turn: of the slices about x, y, z, degrees; 0 is straight axial.
  origin: where the pelvis lies in the scanner, mm.
  orientation: of the arrays on disk, e.g. 'LPS'.
  level: stored number of intensity 1.
  dtype: of the stored numbers.
  """

  name: str
  population: prostate.Population
  values: Mapping[str, float] = dataclasses.field(
    default_factory=lambda: prostate.T2
  )
  gamma: float = 1.0
  bias: float = 0.1
  noise: float = 0.03
  blur: float = 0.0
  flare: float = 0.0
  coarseness: float = 1.0
  field: float = FIELD
  thickness: float = 3.6
  turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
  origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
  orientation: str = 'LPS'
  level: float = 1000.0
  dtype: type[np.integer] = np.uint16

  def grid(
    self, shape: Sequence[int], num_slices: int
  ) -> tuple[tuple[int, ...], np.ndarray]:
    """Shape and affine (voxel to scanner, mm) of the array in RAS order.

    Args:
      shape: in-plane pixels of the nominal grid.
      num_slices: of the volume.
    """
    pixels = self.coarseness * FIELD / np.asarray(shape)
    counts = np.round(self.field / pixels).astype(int)
    size = (*(int(count) for count in counts), num_slices)
    spacing = np.append(pixels, self.thickness)
    affine = np.eye(4)
    affine[:3, :3] = _rotation(self.turn) * spacing
    middle = 0.5 * (np.array(size) - 1.0)
    affine[:3, 3] = self.origin - affine[:3, :3] @ middle
    return size, affine


@dataclasses.dataclass(frozen=True)
class Rendered:
  """A case, arrays (x, y, z) in RAS order."""

  image: np.ndarray  # dtype of the site
  label: np.ndarray  # uint8
  affine: np.ndarray  # (4, 4), voxel to scanner, mm


def person(site: Site, case: str, seed: int) -> prostate.Person:
  """The patient of a case."""
  rng = seeds.generator(seed, site.name, case, 'person')
  return prostate.draw_person(rng, site.population)


def render(
  site: Site, case: str, *, shape: Sequence[int], num_slices: int, seed: int
) -> Rendered:
  """Draws a case, a pure function of seed, site and name."""
  size, affine = site.grid(shape, num_slices)
  voxels = np.indices(size).reshape(3, -1)
  world = affine[:3, :3] @ voxels + affine[:3, 3:]
  points = (world - np.asarray(site.origin)[:, None]).astype(np.float32)
  drawing = prostate.draw(points, person(site, case, seed))
  rng = seeds.generator(seed, site.name, case, 'scanner')
  image = _expose(rng, site, drawing, points, affine, size)
  return Rendered(image, drawing.label.reshape(size), affine)


def _expose(
  rng: np.random.Generator,
  site: Site,
  drawing: solids.Drawing,
  points: np.ndarray,
  affine: np.ndarray,
  size: tuple[int, ...],
) -> np.ndarray:
  """The image (x, y, z): tissues, blur, coils, then Rician noise."""
  pixels = np.linalg.norm(affine[:3, :2], axis=0)
  values = _contrast(rng, site)
  image = solids.paint(drawing.parts, values, edge=float(pixels.mean()))
  widths = np.append(site.blur / pixels, 0.0)
  image = ndimage.gaussian_filter(image.reshape(size), widths, mode='nearest')
  shading = _bias_field(rng, site, points) * _flare(rng, site, drawing)
  image = image * shading.reshape(size)
  noise = site.noise * rng.standard_normal((2, *size))
  image = np.hypot(image + noise[0], noise[1])
  level = site.level * rng.uniform(0.8, 1.25)
  limit = np.iinfo(site.dtype).max
  return np.clip(np.round(level * image), 0, limit).astype(site.dtype)


def _contrast(rng: np.random.Generator, site: Site) -> dict[str, float]:
  """Values of the parts; they differ a little from scan to scan."""
  gamma = site.gamma * np.exp(rng.normal(0.0, 0.12))
  return {
    name: value**gamma * (1.0 + 0.06 * rng.standard_normal())
    for name, value in site.values.items()
  }


def _bias_field(
  rng: np.random.Generator, site: Site, points: np.ndarray
) -> np.ndarray:
  """Factors (n,): exp of three waves longer than the field of view."""
  directions = rng.standard_normal((3, 3)) * ((1.0,), (1.0,), (0.5,))
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  lengths = rng.uniform(110.0, 220.0, (3, 1))  # mm
  phases = rng.uniform(0.0, 2.0 * np.pi, (3, 1))
  waves = np.cos(2.0 * np.pi * directions @ points / lengths + phases)
  # A cosine has variance 1/2, three of them 3/2.
  return np.exp(site.bias * np.sqrt(2.0 / 3.0) * waves.sum(axis=0))


def _flare(
  rng: np.random.Generator, site: Site, drawing: solids.Drawing
) -> np.ndarray:
  """Factors (n,) of a coil in the rectum; they halve every 6 to 9 mm."""
  gap = next(p.distance for p in drawing.parts if p.name == 'rectal_wall')
  reach = rng.uniform(6.0, 9.0)  # mm
  strength = site.flare * rng.uniform(0.8, 1.2)
  return 1.0 + strength * 0.5 ** (np.maximum(gap, 0.0) / reach)


def _rotation(degrees: Sequence[float]) -> np.ndarray:
  """(3, 3), right-handed turns about x, then y, then z."""
  matrix = np.eye(3)
  for axis, angle in enumerate(np.radians(degrees)):
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = np.cos(angle)
    turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
    matrix = turn @ matrix
  return matrix
