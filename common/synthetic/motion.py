"""How people differ from the shared anatomy, and what moves between scans.

All maps lead from the scan to the anatomy. Lengths are in millimetres.
"""

from collections.abc import Sequence

import numpy as np

from common.synthetic import abdomen, brain, chest, deformation

Steps = tuple[deformation.Step, ...]


def brain_person(rng: np.random.Generator) -> Steps:
  """Small: heads are alike and held still."""
  return (
    deformation.draw_affine(rng, shift=1.2, degrees=1.2, scale=0.02),
    *deformation.draw_bends(
      rng, amplitude=1.8, width=38.0, extent=brain.EXTENT
    ),
    *deformation.draw_bends(
      rng, amplitude=0.9, width=20.0, extent=brain.EXTENT
    ),
  )


def abdomen_person(rng: np.random.Generator) -> Steps:
  """Large: bellies differ in size and in where organs lie."""
  return (
    deformation.draw_affine(rng, shift=2.2, degrees=1.2, scale=0.022),
    *_centered(
      deformation.draw_bends(
        rng, amplitude=4.0, width=80.0, extent=abdomen.EXTENT
      ),
      abdomen.CENTER,
    ),
    *_centered(
      deformation.draw_bends(
        rng, amplitude=2.0, width=42.0, extent=abdomen.EXTENT
      ),
      abdomen.CENTER,
    ),
  )


def chest_person(rng: np.random.Generator) -> Steps:
  """The same for both phases of breathing, so not to be registered."""
  return (
    deformation.draw_affine(rng, shift=5.0, degrees=2.0, scale=0.04),
    *_centered(
      deformation.draw_bends(
        rng, amplitude=7.0, width=80.0, extent=chest.EXTENT
      ),
      chest.CENTER,
    ),
  )


def nodding(rng: np.random.Generator) -> Steps:
  """Heads that lie chin down, on a thicker rest, at the second scanner."""
  drawn = deformation.draw_affine(rng, shift=0.8, degrees=0.8, scale=0.0)
  angle = np.radians(8.0)
  nod = np.eye(3)
  nod[1:, 1:] = [
    [np.cos(angle), -np.sin(angle)],
    [np.sin(angle), np.cos(angle)],
  ]
  offset = drawn.offset + np.array([-3.0, -4.0, -5.0])
  return (deformation.Affine(nod @ drawn.matrix, offset),)


def deep_breath(rng: np.random.Generator) -> Steps:
  """Bellies at the second scanner: breath held deep, another field of view."""
  drawn = deformation.draw_affine(rng, shift=1.5, degrees=1.0, scale=0.0)
  offset = drawn.offset + np.array([-12.0, 8.0, 8.0])
  depth = rng.uniform(10.0, 16.0)
  dome = deformation.Bend(
    axis=2,
    center=-60.0,
    reach=90.0,
    weights=np.array([depth / 90.0]),
    positions=np.array([[10.0, 0.0]]),
    extents=np.array([[100.0, 80.0]]),
  )
  return deformation.Affine(drawn.matrix, offset), dome


def exhale(rng: np.random.Generator) -> Steps:
  """From breathing out to breathing in: domes sink, the chest rises."""
  depth = rng.uniform(22.0, 44.0)
  domes = deformation.Bend(
    axis=2,
    center=-8.0,
    reach=75.0,
    weights=-depth / 75.0 * rng.uniform(0.85, 1.15, 2),
    positions=np.array([[68.0, -12.0], [-68.0, -12.0]]),
    extents=np.array([[50.0, 66.0], [50.0, 66.0]]),
  )
  front = deformation.Bend(
    axis=1,
    center=80.0,
    reach=60.0,
    weights=np.array([0.3 * depth / 60.0]),
    positions=np.array([[0.0, 30.0]]),
    extents=np.array([[110.0, 90.0]]),
  )
  fine = deformation.draw_bends(
    rng, amplitude=2.5, width=50.0, extent=chest.EXTENT
  )
  return domes, front, *_centered(fine, chest.CENTER)


def other_table(rng: np.random.Generator) -> Steps:
  """Another table than at the MR scanner, and a belly that bulges."""
  drawn = deformation.draw_affine(rng, shift=3.0, degrees=2.0, scale=0.015)
  offset = drawn.offset + np.array([14.0, -9.0, -12.0])
  table = deformation.Affine(drawn.matrix, offset)
  fine = deformation.draw_bends(
    rng, amplitude=4.5, width=65.0, extent=abdomen.EXTENT
  )
  bulge = deformation.Bend(
    axis=1,
    center=60.0,
    reach=80.0,
    weights=np.array([-rng.uniform(10.0, 20.0) / 80.0]),
    positions=np.array([[0.0, -100.0]]),
    extents=np.array([[100.0, 110.0]]),
  )
  return table, bulge, *_centered(fine, abdomen.CENTER)


def _centered(
  bends: Sequence[deformation.Bend], center: Sequence[float]
) -> Steps:
  """Bends about `center`, mm, instead of the origin."""
  middle = np.asarray(center)
  return (
    deformation.Affine(np.eye(3), -middle),
    *bends,
    deformation.Affine(np.eye(3), middle),
  )
