"""Smooth deformations of space that are inverted in closed form.

A deformation is a sequence of steps, applied in order. Points are (3, n) in
millimetres, RAS. Every step is a diffeomorphism of the whole space with a
known inverse, so ground truth holds to rounding at any point.
"""

from collections.abc import Sequence
import dataclasses
from typing import Protocol

import numpy as np


class Step(Protocol):
  """One invertible map of points (3, n), millimetres."""

  def apply(self, points: np.ndarray) -> np.ndarray:
    """Image of the points."""

  def invert(self, points: np.ndarray) -> np.ndarray:
    """Points whose image is `points`."""


@dataclasses.dataclass(frozen=True)
class Affine:
  """`matrix @ p + offset`; matrix (3, 3) of positive determinant."""

  matrix: np.ndarray
  offset: np.ndarray  # mm

  def apply(self, points: np.ndarray) -> np.ndarray:
    return self.matrix @ points + self.offset[:, None]

  def invert(self, points: np.ndarray) -> np.ndarray:
    return np.linalg.solve(self.matrix, points - self.offset[:, None])


@dataclasses.dataclass(frozen=True)
class Bend:
  """Moves one coordinate s by an amount that depends on the other two, q.

  `s' = c + r asinh(sinh((s - c) / r) + a(q))` with
  `a(q) = sum_k w_k exp(-sum_d ((q_d - m_kd) / e_kd)^2 / 2)`. Near s = c this
  is a shift by `r asinh(a)`, which dies out as `1 / cosh((s - c) / r)`. It is a
  shift in the variable `sinh((s - c) / r)`: the inverse is the same with -a,
  and `ds'/ds = cosh((s - c) / r) / cosh((s' - c) / r) > 0` is the Jacobian
  determinant.
  """

  axis: int
  center: float  # c, mm
  reach: float  # r, mm
  weights: np.ndarray  # w, (k,)
  positions: np.ndarray  # m, (k, 2), mm
  extents: np.ndarray  # e, (k, 2), mm

  def apply(self, points: np.ndarray) -> np.ndarray:
    return self._shift(points, 1.0)

  def invert(self, points: np.ndarray) -> np.ndarray:
    return self._shift(points, -1.0)

  def _shift(self, points: np.ndarray, sign: float) -> np.ndarray:
    scaled = (points[self.axis] - self.center) / self.reach
    moved = points.copy()
    moved[self.axis] = self.center + self.reach * np.arcsinh(
      np.sinh(scaled) + sign * self._amount(points)
    )
    return moved

  def _amount(self, points: np.ndarray) -> np.ndarray:
    """a(q): the squares of the exponent multiplied out, one matrix product."""
    others = np.delete(points, self.axis, axis=0)
    precision = self.extents**-2.0
    linear = precision * self.positions
    constant = np.sum(linear * self.positions, axis=1)
    exponent = linear @ others - 0.5 * (precision @ others**2)
    exponent -= 0.5 * constant[:, None]
    return self.weights @ np.exp(exponent, out=exponent)


def apply(steps: Sequence[Step], points: np.ndarray) -> np.ndarray:
  """Image of the points (3, n), first step first."""
  for step in steps:
    points = step.apply(points)
  return points


def invert(steps: Sequence[Step], points: np.ndarray) -> np.ndarray:
  """Points (3, n) whose image under the steps is `points`."""
  for step in reversed(steps):
    points = step.invert(points)
  return points


def draw_affine(
  rng: np.random.Generator, *, shift: float, degrees: float, scale: float
) -> Affine:
  """Random rotation, scaling along the axes and shift.

  Args:
    rng: source of the nine numbers.
    shift: standard deviation of the shift, mm, each axis.
    degrees: standard deviation of the angle about each axis.
    scale: standard deviation of the logarithm of the scale of each axis.
  """
  matrix = np.diag(np.exp(scale * _bounded(rng, 3)))
  for axis, angle in enumerate(np.radians(degrees) * _bounded(rng, 3)):
    first, second = (other for other in range(3) if other != axis)
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = np.cos(angle)
    turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
    matrix = matrix @ turn
  return Affine(matrix, shift * _bounded(rng, 3))


def draw_bends(
  rng: np.random.Generator,
  *,
  amplitude: float,
  width: float,
  extent: Sequence[float],
  rounds: int = 1,
) -> tuple[Bend, ...]:
  """Random bends, one per axis in random order in every round.

  Args:
    rng: source of all numbers.
    amplitude: standard deviation of a bump's height, mm.
    width: standard deviation in space of a bump, mm.
    extent: the bumps lie within ± half of these, mm, per axis.
    rounds: number of bends along each axis.
  """
  bends = []
  half = 0.5 * np.asarray(extent)
  for axis in np.concatenate([rng.permutation(3) for _ in range(rounds)]):
    others = np.delete(half, axis)
    count = int(np.clip(np.prod(others / width) * 1.2, 2, 6))
    reach = 1.5 * width
    bends.append(
      Bend(
        axis=int(axis),
        center=float(rng.uniform(-0.5, 0.5) * half[axis]),
        reach=reach,
        weights=amplitude / reach * _bounded(rng, count),
        positions=rng.uniform(-1.0, 1.0, (count, 2)) * others,
        extents=np.full((count, 2), width) * rng.uniform(0.8, 1.2, (count, 1)),
      )
    )
  return tuple(bends)


def _bounded(rng: np.random.Generator, count: int) -> np.ndarray:
  """Standard deviation about 1 and never beyond ±1.73."""
  return rng.uniform(-(3**0.5), 3**0.5, count)
