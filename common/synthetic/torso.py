"""Chest and belly wall, bones, lungs, heart and great vessels, mm, RAS.

The origin is the middle of the body, at the height of the right dome of the
diaphragm.
"""

import dataclasses
import functools

import numpy as np

from common.synthetic import solids

WALL = 27.0  # mm from the skin to the cavity
_VERTEBRA = 31.0  # mm from one vertebra to the next
_RIB = 27.0  # mm from one rib to the next
_HILUM = (40.0, -8.0, 78.0)
_VESSEL_REACH = 24.0  # mm, half a voxel of the coarsest grid

# Hounsfield units, portal-venous phase.
CT = {
  'skin_and_fat': -95.0,
  'muscle': 55.0,
  'cavity': -100.0,
  'bone': 420.0,
  'marrow': 190.0,
  'disc': 90.0,
  'canal': 25.0,
  'lung': -840.0,
  'mediastinum': 25.0,
  'heart': 130.0,
  'vessel': 150.0,
  'bronchus': -960.0,
  'lung_vessel': 30.0,
}

# Shares of the fat level in a T1-weighted image.
T1 = {
  'skin_and_fat': 1.0,
  'muscle': 0.34,
  'cavity': 0.92,
  'bone': 0.16,
  'marrow': 0.56,
  'disc': 0.30,
  'canal': 0.18,
  'lung': 0.04,
  'mediastinum': 0.45,
  'heart': 0.40,
  'vessel': 0.14,
  'bronchus': 0.0,
  'lung_vessel': 0.1,
}


@dataclasses.dataclass(frozen=True)
class Frame:
  """Surfaces that several organs refer to; distances (n,), mm."""

  points: np.ndarray  # (3, n), mm
  skin: np.ndarray
  cavity: np.ndarray
  below_diaphragm: np.ndarray
  lung: np.ndarray


def create_frame(points: np.ndarray) -> Frame:
  """The frame at points (3, n), mm."""
  skin = _skin(points)
  below = _below_diaphragm(points)
  return Frame(points, skin, skin + WALL, below, _lung(points, skin, below))


def wall_parts(frame: Frame) -> list[solids.Part]:
  """Skin to cavity."""
  _, y, _ = frame.points
  fat = 11.0 + 5.0 * np.clip(np.abs(y) / 100.0, 0.0, 1.0)
  return [
    solids.Part('skin_and_fat', frame.skin),
    solids.Part('muscle', frame.skin + fat),
    solids.Part('cavity', np.maximum(frame.cavity, _not_back(frame.points))),
  ]


def chest_parts(frame: Frame) -> list[solids.Part]:
  """Mediastinum, heart, great vessels, lungs."""
  points = frame.points
  aorta = solids.tube(
    points,
    [(8, 8, 30), (12, 14, 80), (4, 4, 106), (-12, -24, 104), (-18, -44, 84),
     (-16, -44, 20), (-8, -38, -80), (-6, -34, -215)],
    [15, 15, 14, 13, 12, 11.5, 10.5, 9.0],
  )  # fmt: skip
  iliac = solids.tube(_mirror(points), [(0, -33, -210), (42, -30, -310)], 7.0)
  cava = solids.union(
    solids.tube(points, [(20, -28, -215), (24, -28, -80), (22, -4, 6)], 10.5),
    solids.tube(points, [(26, 4, 40), (26, 6, 125)], 9.0),
  )
  airway = solids.union(
    solids.tube(points, [(0, 2, 230), (0, -10, 98)], 9.0),
    solids.tube(_mirror(points), [(0, -10, 100), _HILUM], [8.0, 6.0]),
  )
  return [
    solids.Part('mediastinum', np.maximum(_mediastinum(points), frame.cavity)),
    solids.Part('heart', np.maximum(_heart(points), frame.cavity)),
    solids.Part('lung', frame.lung),
    solids.Part('vessel', solids.union(aorta, cava, iliac)),
    solids.Part('bronchus', airway),
  ]


def bone_parts(frame: Frame) -> list[solids.Part]:
  """Ribs, sternum, spine and pelvis, with marrow."""
  points = frame.points
  x, y, z = points
  spine_y = _spine_y(z)
  height = np.mod(z, _VERTEBRA) - 0.5 * _VERTEBRA
  radius = np.hypot(x / 1.2, y - spine_y) - 17.0
  body = solids.intersection(radius, np.abs(height) - 12.5, smooth=6.0)
  arch = solids.union(
    np.hypot(np.hypot(x, y - spine_y + 27.0) - 12.0, 0.4 * height) - 4.0,
    np.hypot(x, 0.35 * height) + np.abs(y - spine_y + 44.0) * 0.4 - 7.0,
    np.hypot(0.3 * np.maximum(np.abs(x) - 14.0, 0.0), y - spine_y + 20.0)
    + 0.5 * np.abs(height)
    + np.maximum(np.abs(x) - 32.0, 0.0)
    - 5.0,
  )
  return [
    solids.Part('disc', np.maximum(radius + 1.0, np.abs(z + 60.0) - 400.0)),
    solids.Part('bone', solids.union(body, arch, _ribs(frame), _pelvis(frame))),
    solids.Part('marrow', body + 3.5),
    solids.Part('marrow', _pelvis(frame) + 4.0),
    solids.Part('canal', np.hypot(x / 1.2, y - spine_y + 26.0) - 7.5),
  ]


def spine(frame: Frame) -> np.ndarray:
  """Column of vertebral bodies and discs, the solid behind its label."""
  x, y, z = frame.points
  return np.hypot(x / 1.2, y - _spine_y(z)) - 17.0


def lung_tree_parts(frame: Frame) -> list[solids.Part]:
  """Vessels that branch from the hila into the lungs.

  Farther than `_VESSEL_REACH` from a vessel a distance is only some large one.
  """
  distance = np.full(frame.points.shape[1], 1e3, frame.points.dtype)
  near = np.flatnonzero(frame.lung < 12.0)
  near = near[np.argsort(frame.points[2, near])]
  close, best = frame.points[:, near], distance[near]
  for start, end, radii in vessel_tree():
    margin = _VESSEL_REACH + max(radii)
    bounds = min(start[2], end[2]) - margin, max(start[2], end[2]) + margin
    level = slice(*np.searchsorted(close[2], bounds))
    found = solids.tube(close[:, level], [start, end], radii)
    best[level] = np.minimum(best[level], found)
  distance[near] = best
  return [solids.Part('lung_vessel', distance)]


@functools.cache
def vessel_tree() -> tuple[tuple[np.ndarray, np.ndarray, tuple], ...]:
  """Segments (start, end, radii at both), mm, the same tree for everyone.

  Tips are spread over each lung; the branches to them part in three steps, as
  lobar, segmental and subsegmental vessels do.
  """
  rng = np.random.default_rng(20)
  segments: list[tuple[np.ndarray, np.ndarray, tuple]] = []
  for side in (1.0, -1.0):
    tips = _lung_points(rng, side, 48)
    root = np.array([side * _HILUM[0], *_HILUM[1:]])
    _branch(segments, root, tips, (8.0, 5.5, 3.6, 2.3, 1.5))
  return tuple(segments)


def _branch(
  segments: list, start: np.ndarray, tips: np.ndarray, radii: tuple
) -> None:
  """Adds a tree from `start` to the tips (k, 3), depth first."""
  if len(tips) == 1 or len(radii) == 2:
    segments.extend((start, tip, (radii[0], radii[-1])) for tip in tips)
    return
  centered = tips - tips.mean(axis=0)
  axis = np.linalg.svd(centered, full_matrices=False)[2][0]
  order = np.argsort(centered @ axis, kind='stable')
  for group in np.array_split(tips[order], min(len(tips), 4)):
    middle = start + 0.45 * (group.mean(axis=0) - start)
    segments.append((start, middle, radii[:2]))
    _branch(segments, middle, group, radii[1:])


def _lung_points(
  rng: np.random.Generator, side: float, count: int
) -> np.ndarray:
  """Points (count, 3) in one lung, 10 mm or more from its surface, spread."""
  found = rng.uniform((15, -100, -90), (135, 100, 190), (3000, 3)).T
  found[0] *= side
  found = found[:, create_frame(found).lung < -10.0]
  chosen = [found[:, 0]]
  gap = np.full(found.shape[1], np.inf)
  while len(chosen) < count:
    gap = np.minimum(gap, np.sum((found - chosen[-1][:, None]) ** 2, axis=0))
    chosen.append(found[:, np.argmax(gap)])
  return np.stack(chosen)


def _mirror(points: np.ndarray) -> np.ndarray:
  return np.stack([np.abs(points[0]), points[1], points[2]])


def _skin(points: np.ndarray) -> np.ndarray:
  """Radial distance to a rounded box, narrower at the waist and the neck."""
  x, y, z = points
  waist = 6.0 * np.exp(-(((z + 150.0) / 60.0) ** 2))
  neck = 45.0 / (1.0 + np.exp(-(z - 205.0) / 14.0))
  wide, deep = 160.0 - waist - neck, 108.0 - 0.4 * neck
  ratio = (np.abs(x / wide) ** 2.6 + np.abs(y / deep) ** 2.6) ** (1 / 2.6)
  ratio = ratio + 1e-6
  return (ratio - 1.0) * np.hypot(x, y) / ratio - 1e-3


def _not_back(points: np.ndarray) -> np.ndarray:
  """Positive in the muscles beside the spine and in the psoas."""
  x, y, z = points
  side = np.abs(x)
  back = 1.0 - np.hypot((side - 30.0) / 34.0, (y + 92.0) / 26.0)
  swell = np.clip((-100.0 - z) / 150.0, 0.0, 1.0)
  center = 28.0 + 22.0 * swell
  psoas = swell * 24.0 - np.hypot(side - center, y + 52.0 - 16.0 * swell)
  psoas = np.where(swell > 0.0, psoas, -50.0)
  return np.maximum(24.0 * back, psoas)


def _below_diaphragm(points: np.ndarray) -> np.ndarray:
  """Negative below two domes, the right one higher."""
  x, y, z = points
  heights = []
  for center, top in ((68.0, 0.0), (-68.0, -14.0)):
    fall = ((x - center) / 78.0) ** 2 * 46.0 + ((y - 22.0) / 90.0) ** 2 * 42.0
    heights.append(top - np.minimum(fall, 130.0))
  surface = -solids.union(*[-height for height in heights], smooth=24.0)
  return (z - surface) * 0.75


def _heart(points: np.ndarray) -> np.ndarray:
  center = (-20.0, 32.0, 20.0)
  turned = solids.tilted(points, center, (0.0, 25.0, 35.0))
  return solids.ellipsoid(turned, center, (58.0, 42.0, 44.0))


def _mediastinum(points: np.ndarray) -> np.ndarray:
  column = solids.ellipsoid(points, (0.0, -4.0, 90.0), (34.0, 74.0, 190.0))
  return solids.union(column, _heart(points) - 4.0, smooth=14.0)


def _lung(
  points: np.ndarray, skin: np.ndarray, below: np.ndarray
) -> np.ndarray:
  mirrored = _mirror(points)
  lobe = solids.ellipsoid(mirrored, (70.0, -8.0, 30.0), (68.0, 92.0, 168.0))
  spine_bulge = np.hypot(points[0] / 1.2, points[1] - _spine_y(points[2]))
  lobe = solids.intersection(lobe, skin + WALL + 1.0, smooth=8.0)
  lobe = solids.intersection(lobe, -below, smooth=6.0)
  return solids.minus(
    lobe, _mediastinum(points), spine_bulge - 26.0, smooth=6.0
  )


def _spine_y(z: np.ndarray) -> np.ndarray:
  """Middle of the vertebral bodies: hollow chest, hollow loin."""
  return -60.0 + 9.0 * np.cos((z + 190.0) / 330.0 * 2.0 * np.pi)


def _ribs(frame: Frame) -> np.ndarray:
  """Bows in the chest wall that fall towards the front, and the sternum."""
  x, y, z = frame.points
  height = z + 0.38 * y + 0.10 * np.abs(x)
  offset = np.mod(height, _RIB) - 0.5 * _RIB
  bow = np.hypot((frame.skin + 19.0) * 1.3, offset * 0.8) - 4.6
  margin = -95.0 + 75.0 * np.clip((y + 20.0) / 100.0, 0.0, 1.5)
  gap = 17.0 - np.abs(x)
  ribs = np.maximum(np.maximum(bow, margin - z), gap)
  sternum = np.maximum(np.hypot(x / 3.2, frame.skin + 19.0) - 5.0, -y)
  sternum = np.maximum(sternum, np.maximum(20.0 - z, z - 175.0))
  return solids.union(ribs, sternum)


def _pelvis(frame: Frame) -> np.ndarray:
  """Wings of the iliac bones."""
  mirrored = _mirror(frame.points)
  bowl = solids.ellipsoid(mirrored, (20.0, 12.0, -300.0), (100.0, 88.0, 105.0))
  wing = np.abs(bowl) - 6.0
  x, y, z = mirrored
  crest = z + 222.0 + 0.15 * np.abs(y + 10.0)
  return np.maximum.reduce([wing, crest, 45.0 - x, y - 42.0])
