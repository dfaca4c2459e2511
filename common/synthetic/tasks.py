"""The four tasks: whose body, how it moved, and how the scanner shows it.

A case has a name such as `train_003_ct`: split, person, scan. All that is
random about it is drawn from generators addressed by seed, task, person and
purpose, so no case depends on which others exist.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses

import numpy as np

from common.synthetic import (
  abdomen,
  brain,
  chest,
  deformation,
  motion,
  scanner,
  seeds,
  solids,
)


@dataclasses.dataclass(frozen=True)
class Scan:
  """How one kind of image is made.

  suffix: of the case name.
  orientation: of the array on disk, e.g. 'LPS'.
  values: intensity of each part: Hounsfield units, or shares for `mr`.
  mr: with bias field and Rician noise; else CT with Gaussian noise.
  pose: what this scan adds to the anatomy of the person.
  stripped: whether all outside the anatomy was removed.
  """

  suffix: str
  orientation: str
  values: Mapping[str, float]
  mr: bool
  pose: Callable[[np.random.Generator], motion.Steps] = lambda rng: ()
  stripped: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
  """One station of the stream.

  extent, center: field of view in the coordinates of the anatomy, mm.
  origin: where `center` lies in the scanner, mm.
  fixed, moving: the two scans. In every task they differ systematically, each
    time in another way: this is what a network can forget.
  between_people: whether the moving scan is of another person.
  """

  name: str
  draw: Callable[[np.ndarray], solids.Drawing]
  extent: tuple[float, float, float]
  center: tuple[float, float, float]
  origin: tuple[float, float, float]
  label_names: Sequence[str]
  person: Callable[[np.random.Generator], motion.Steps]
  fixed: Scan
  moving: Scan
  between_people: bool = False
  has_landmarks: bool = False

  def spacing(self, shape: Sequence[int]) -> float:
    """Of the isotropic grid that holds the field of view, mm."""
    return round(max(np.divide(self.extent, shape)), 2)

  def affine(self, shape: Sequence[int]) -> np.ndarray:
    """(4, 4), voxel to scanner, mm, of the array in RAS order."""
    spacing = self.spacing(shape)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    half = 0.5 * spacing * (np.asarray(shape) - 1)
    affine[:3, 3] = np.round(self.origin - half, 3)
    return affine

  def to_anatomy(self, voxels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Voxels (3, n) of the RAS array in the coordinates of the anatomy, mm."""
    middle = 0.5 * (np.asarray(shape, np.float64) - 1)
    return (voxels - middle[:, None]) * self.spacing(shape) + np.asarray(
      self.center
    )[:, None]

  def to_voxels(self, points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Inverse of `to_anatomy`."""
    middle = 0.5 * (np.asarray(shape, np.float64) - 1)
    offset = points - np.asarray(self.center)[:, None]
    return offset / self.spacing(shape) + middle[:, None]

  def scan(self, name: str) -> Scan:
    """The scan that the case `name` is."""
    both = (self.fixed, self.moving)
    return next(scan for scan in both if name.endswith(scan.suffix))

  def steps(self, name: str, seed: int) -> motion.Steps:
    """The map from the case `name` to the anatomy that all people share."""
    scan = self.scan(name)
    person = name.removesuffix(scan.suffix)
    return scan.pose(seeds.generator(seed, self.name, name, 'motion')) + (
      self.person(seeds.generator(seed, self.name, person, 'person'))
    )


@dataclasses.dataclass(frozen=True)
class Rendered:
  """A case on the grid, arrays (x, y, z) in RAS order."""

  image: np.ndarray  # int16 CT, uint16 MR
  label: np.ndarray  # uint8
  mask: np.ndarray  # uint8


def render(
  task: Task, name: str, *, shape: Sequence[int], seed: int
) -> Rendered:
  """Draws the case `name`."""
  voxels = np.indices(shape).reshape(3, -1)
  points = task.to_anatomy(voxels, shape)
  points = deformation.apply(task.steps(name, seed), points)
  drawing = task.draw(points.astype(np.float32))
  scan, edge = task.scan(name), task.spacing(shape)
  rng = seeds.generator(seed, task.name, name, 'scanner')
  expose = scanner.expose_mr if scan.mr else scanner.expose_ct
  image = expose(rng, drawing.parts, scan.values, edge, tuple(shape))
  if scan.stripped:
    outline = drawing.parts[0].distance.reshape(shape)
    image[outline > 0.5 * edge] = 0
  return Rendered(
    image,
    drawing.label.reshape(shape),
    drawing.mask.astype(np.uint8).reshape(shape),
  )


def ground_truth(
  task: Task, fixed: str, moving: str, *, shape: Sequence[int], seed: int
) -> np.ndarray:
  """Displacement (x, y, z, 3), voxels: `moving(p + u(p))` shows fixed's p."""
  voxels = np.indices(shape).reshape(3, -1).astype(np.float64)
  points = task.to_anatomy(voxels, shape)
  common = deformation.apply(task.steps(fixed, seed), points)
  there = deformation.invert(task.steps(moving, seed), common)
  displacement = task.to_voxels(there, shape) - voxels
  return np.moveaxis(displacement.reshape(3, *shape), 0, -1)


def landmarks(
  task: Task,
  fixed: str,
  moving: str,
  *,
  shape: Sequence[int],
  seed: int,
  count: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Corresponding voxels (k, 3) of both RAS arrays, k <= count, at vessels."""
  common = chest.landmarks().astype(np.float64)
  sides = []
  for name in (fixed, moving):
    points = deformation.invert(task.steps(name, seed), common)
    sides.append(task.to_voxels(points, shape).T)
  last = np.asarray(shape) - 1
  inside = np.all([(p >= 0) & (p <= last) for p in sides], axis=(0, 2))
  rng = seeds.generator(seed, task.name, fixed, 'landmarks')
  chosen = rng.permutation(np.flatnonzero(inside))[:count]
  return sides[0][chosen], sides[1][chosen]


_EXHALE_CT = chest.CT | {'lung': -740.0}

TASKS = (
  Task(
    'brain_mr',
    brain.draw,
    brain.EXTENT,
    (0.0, 0.0, 0.0),
    (1.5, -17.0, 12.0),
    tuple(brain.LABELS),
    motion.brain_person,
    Scan('_scanner1', 'RAS', brain.T1, True, stripped=True),
    Scan('_scanner2', 'RAS', brain.T1, True, motion.nodding, stripped=True),
    between_people=True,
  ),
  Task(
    'abdomen_ct',
    abdomen.draw,
    abdomen.EXTENT,
    abdomen.CENTER,
    (-4.0, 168.0, -412.5),
    tuple(abdomen.LABELS),
    motion.abdomen_person,
    Scan('_scanner1', 'LPS', abdomen.CT, False),
    Scan('_scanner2', 'LPS', abdomen.CT, False, motion.deep_breath),
    between_people=True,
  ),
  Task(
    'lung_ct',
    chest.draw,
    chest.EXTENT,
    chest.CENTER,
    (2.0, 175.0, -188.0),
    (),
    motion.chest_person,
    Scan('_exhale', 'LAS', _EXHALE_CT, False, motion.exhale),
    Scan('_inhale', 'LAS', chest.CT, False),
    has_landmarks=True,
  ),
  Task(
    'abdomen_mr_ct',
    lambda points: abdomen.draw(points, abdomen.FOUR_ORGANS),
    abdomen.EXTENT,
    abdomen.CENTER,
    (0.0, -6.0, 20.0),
    abdomen.FOUR_ORGANS,
    motion.abdomen_person,
    Scan('_mr', 'LSP', abdomen.T1, True),
    Scan('_ct', 'LPS', abdomen.CT, False, motion.other_table),
  ),
)


def by_name(name: str) -> Task:
  """The task `name`; KeyError for another."""
  return {task.name: task for task in TASKS}[name]
