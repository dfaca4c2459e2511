"""Solids as signed distances, and pictures of them.

Points are (3, n) in millimetres, axes right, anterior, superior. A distance is
(n,) in millimetres, negative inside, close to Euclidean near the surface.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Part:
  """A named solid; later parts of a sequence cover earlier ones.

  thickness: of a sheet; one thinner than a voxel fills only a share of it.
  """

  name: str
  distance: np.ndarray  # (n,), mm
  thickness: float = float('inf')  # mm


@dataclasses.dataclass(frozen=True)
class Drawing:
  """An anatomy seen at n points."""

  parts: list[Part]
  label: np.ndarray  # (n,), uint8
  mask: np.ndarray  # (n,), bool


def ellipsoid(
  points: np.ndarray, center: Sequence[float], radii: Sequence[float]
) -> np.ndarray:
  """First-order distance `f (f - 1) / |grad f|` with f the scaled radius."""
  offset = points - _column(center, points)
  scaled = offset / _column(radii, points)
  radius = np.sqrt(np.sum(scaled**2, axis=0)) + 1e-6
  slope = np.sqrt(np.sum((scaled / _column(radii, points)) ** 2, axis=0)) + 1e-6
  return radius * (radius - 1.0) / slope


def tilted(
  points: np.ndarray, center: Sequence[float], angles: Sequence[float]
) -> np.ndarray:
  """Points in the frame of a body turned about `center` by degrees (x, y, z).

  Positive angles turn right-handed: y to z, z to x, x to y.
  """
  moved = points - _column(center, points)
  for axis, angle in enumerate(np.radians(np.asarray(angles, points.dtype))):
    first, second = (axis + 1) % 3, (axis + 2) % 3
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = moved.copy()
    turned[first] = cosine * moved[first] + sine * moved[second]
    turned[second] = cosine * moved[second] - sine * moved[first]
    moved = turned
  return moved + _column(center, points)


def tube(
  points: np.ndarray,
  line: Sequence[Sequence[float]],
  radii: float | Sequence[float],
) -> np.ndarray:
  """Round cones along a polyline (k, 3); one radius, or one per corner."""
  corners = np.asarray(line, points.dtype)
  widths = np.broadcast_to(np.asarray(radii, points.dtype), corners.shape[:1])
  nearest = None
  for start, end, first, last in zip(
    corners[:-1], corners[1:], widths[:-1], widths[1:], strict=True
  ):
    along, offset = end - start, points - start[:, None]
    share = np.clip(along @ offset / (along @ along), 0.0, 1.0)
    gap = offset - along[:, None] * share
    distance = np.sqrt(np.sum(gap**2, axis=0)) - (
      first + (last - first) * share
    )
    nearest = distance if nearest is None else np.minimum(nearest, distance)
  return nearest


def union(*distances: np.ndarray, smooth: float = 0.0) -> np.ndarray:
  """Union; edges where solids meet are filled over `smooth` mm."""
  joined = distances[0]
  for other in distances[1:]:
    joined = np.minimum(joined, other) - _blend(joined - other, smooth)
  return joined


def intersection(*distances: np.ndarray, smooth: float = 0.0) -> np.ndarray:
  """Intersection; edges are rounded over `smooth` mm."""
  return -union(*[-distance for distance in distances], smooth=smooth)


def minus(
  distance: np.ndarray, *removed: np.ndarray, smooth: float = 0.0
) -> np.ndarray:
  """The first solid without the others."""
  return intersection(distance, *[-other for other in removed], smooth=smooth)


def sheets(
  points: np.ndarray, wavelength: float, phase: float = 0.0
) -> np.ndarray:
  """Distance >= 0 to a gyroid, a smooth labyrinth of sheets.

  Neighbouring sheets are about half a wavelength apart. The coordinates are
  first bent by a slow wave, so that the pattern does not look periodic.
  """
  number = 2.0 * np.pi / wavelength
  x, y, z = points * number
  x, y, z = (
    x + 0.9 * np.sin(0.37 * y + 1.0 + phase) + 0.4 * np.sin(0.61 * z),
    y + 0.9 * np.sin(0.41 * z + 2.0 + phase) + 0.4 * np.sin(0.53 * x),
    z + 0.9 * np.sin(0.33 * x + 0.5 + phase) + 0.4 * np.sin(0.57 * y),
  )
  value = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
  return np.abs(value) / (1.4 * number)


def paint(
  parts: Sequence[Part], values: Mapping[str, float], *, edge: float
) -> np.ndarray:
  """Picture (n,) of the parts on 0, each edge a ramp of `edge` mm.

  The ramp is the share of a voxel of that size that a plane cuts off, so an
  edge of one voxel is antialiased and the picture is as sharp as its grid.
  In the middle of a sheet of thickness t the ramp is at (1 + t / edge) / 2,
  where its share is t / edge.
  """
  picture = np.zeros_like(parts[0].distance)
  for part in parts:
    share = np.clip(0.5 - part.distance / edge, 0.0, 1.0)
    if part.thickness < edge:
      share *= part.thickness / (0.5 * (edge + part.thickness))
    picture += share * (np.float32(values[part.name]) - picture)
  return picture


def label(parts: Sequence[Part], values: Mapping[str, int]) -> np.ndarray:
  """Integer (n,) of the uppermost part at each point; unnamed parts are 0."""
  labels = np.zeros(parts[0].distance.shape, np.uint8)
  for part in parts:
    labels[part.distance < 0.0] = values.get(part.name, 0)
  return labels


def _blend(difference: np.ndarray, smooth: float) -> np.ndarray:
  """What the polynomial smooth minimum lies below the plain one."""
  if smooth == 0.0:
    return np.zeros_like(difference)
  share = np.maximum(smooth - np.abs(difference), 0.0) / smooth
  return share**2 * smooth / 4.0


def _column(values: Sequence[float], points: np.ndarray) -> np.ndarray:
  return np.asarray(values, points.dtype)[:, None]
