"""Scores of segmentations and displacements on the host, in millimetres.

A score that does not exist is nan and is left out of every mean: a label that
neither image contains, a mask without voxels. A label that only one of the two
images contains is the worst case: Dice and surface Dice 0, distances equal to
the diagonal of the volume.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import types
from typing import NamedTuple

import numpy as np
from scipy import ndimage, spatial


@dataclasses.dataclass(frozen=True)
class MetricSpec:
  """What a reader of a number has to know.

  Attributes:
    higher_is_better: whether a larger value is the better one.
    unit: 'mm', 'px' where files have no spacing, or '1' for a ratio.
  """

  higher_is_better: bool
  unit: str


METRICS: Mapping[str, MetricSpec] = types.MappingProxyType(
  {
    'dice': MetricSpec(True, '1'),
    'surface_dice': MetricSpec(True, '1'),
    'assd': MetricSpec(False, 'mm'),
    'hd95': MetricSpec(False, 'mm'),
    'tre': MetricSpec(False, 'mm'),
    'folding_fraction': MetricSpec(False, '1'),
    'sd_log_jacobian': MetricSpec(False, '1'),
  }
)


# Raised when a number comes to mean something else: runs of one definition are
# not compared with those of another.
DEFINITION = 1


class SurfaceDistances(NamedTuple):
  """Distances in mm from every surface voxel of one mask to the other mask's.

  Both arrays are empty when both masks are, one holds `diagonal` throughout
  when only the other mask is empty.
  """

  first_to_second: np.ndarray
  second_to_first: np.ndarray
  diagonal: float


def dice_per_label(
  fixed_label: np.ndarray, warped_label: np.ndarray, labels: Sequence[int]
) -> np.ndarray:
  """`2 |A and B| / (|A| + |B|)` of each label, shape (len(labels),).

  Absent in both: nan. Absent in exactly one: 0.
  """
  fixed, warped = _same_shape(fixed_label, warped_label)
  scores = []
  for label in labels:
    a, b = fixed == label, warped == label
    total = np.count_nonzero(a) + np.count_nonzero(b)
    overlap = 2 * np.count_nonzero(a & b)
    scores.append(overlap / total if total else np.nan)
  return np.array(scores, dtype=np.float64)


def surface_scores_per_label(
  fixed_label: np.ndarray,
  warped_label: np.ndarray,
  labels: Sequence[int],
  *,
  spacing: Sequence[float],
  tolerance: float,
) -> dict[str, np.ndarray]:
  """'assd', 'hd95' and 'surface_dice' of each label, (len(labels),) each."""
  fixed, warped = _same_shape(fixed_label, warped_label)
  found = [
    surface_distances(fixed == label, warped == label, spacing)
    for label in labels
  ]
  return {
    'assd': np.array([assd(one) for one in found]),
    'hd95': np.array([hd95(one) for one in found]),
    'surface_dice': np.array([surface_dice(one, tolerance) for one in found]),
  }


def surface_distances(
  first: np.ndarray, second: np.ndarray, spacing: Sequence[float]
) -> SurfaceDistances:
  """Distances between the surfaces of two masks of equal shape (*s).

  The surface is the set of mask voxels with a face neighbour outside the mask;
  what lies beyond the volume is outside. A distance is Euclidean, in mm, from
  voxel centre to the nearest surface voxel centre, and every surface voxel
  counts once, so flat faces weigh as their number of voxels.
  `spacing` holds the voxel size in mm of each axis.
  """
  first, second = _same_shape(first, second)
  first, second = first.astype(bool), second.astype(bool)
  spacing = _spacing(spacing, first.ndim)
  diagonal = float(np.linalg.norm(np.multiply(first.shape, spacing)))
  window = _bounding_box(first | second)
  first, second = (
    np.argwhere(_surface(mask[window])) * spacing[None]
    for mask in (first, second)
  )
  return SurfaceDistances(
    _nearest(first, second, diagonal),
    _nearest(second, first, diagonal),
    diagonal,
  )


def assd(distances: SurfaceDistances) -> float:
  """Average symmetric surface distance, the mean over both surfaces, mm.

  Empty masks: nan if both are, the volume's diagonal if one is.
  """
  pooled = np.concatenate(distances[:2])
  return float(pooled.mean()) if pooled.size else np.nan


def hd95(distances: SurfaceDistances) -> float:
  """The larger of the two directed 95th percentiles, mm.

  Percentiles interpolate linearly between order statistics. Empty masks: nan
  if both are, the volume's diagonal if one is.
  """
  directed = [np.percentile(d, 95) for d in distances[:2] if d.size]
  return float(max(directed)) if directed else np.nan


def surface_dice(distances: SurfaceDistances, tolerance: float) -> float:
  """Share of both surfaces within `tolerance` mm of the other one.

  A distance equal to the tolerance is within. Empty masks: nan if both are, 0
  if one is.
  """
  if not all(d.size for d in distances[:2]):
    return 0.0 if any(d.size for d in distances[:2]) else np.nan
  return float((np.concatenate(distances[:2]) <= tolerance).mean())


def tre(
  displacement: np.ndarray,
  fixed_landmarks: np.ndarray,
  moving_landmarks: np.ndarray,
  spacing: Sequence[float],
) -> np.ndarray:
  """Target registration error `|(q + u(q) - r) * spacing|`, (k,) in mm.

  Args:
    displacement: u, (*s, d), voxels, from fixed to moving coordinates.
    fixed_landmarks: q, (k, d), voxels; u is interpolated linearly there, and
      a point beyond the grid takes u at the nearest point of its border.
    moving_landmarks: r, (k, d), voxels.
    spacing: voxel size of the grid in mm, (d,).

  Only real landmarks belong here: padding rows count like any other, and with
  no row at all the result is empty.
  """
  displacement = np.asarray(displacement)
  fixed, moving = _same_shape(fixed_landmarks, moving_landmarks)
  spacing = _spacing(spacing, displacement.ndim - 1)
  moved = np.stack(
    [
      ndimage.map_coordinates(component, fixed.T, order=1, mode='nearest')
      for component in np.moveaxis(displacement, -1, 0)
    ],
    axis=-1,
  )
  return np.linalg.norm((fixed + moved - moving) * spacing[None], axis=-1)


def folding_fraction(
  determinant: np.ndarray, mask: np.ndarray | None = None
) -> float:
  """Share of voxels whose Jacobian determinant is not positive.

  Args:
    determinant: (*s) or (*(s - 2)), as centred differences leave it.
    mask: (*s) of the image; trimmed by one voxel a side where the determinant
      is. Without it every voxel counts. No voxel left: nan.
  """
  values = _inside(determinant, mask)
  return float((values <= 0).mean()) if values.size else np.nan


def sd_log_jacobian(
  determinant: np.ndarray,
  mask: np.ndarray | None = None,
  *,
  floor: float = 1e-3,
) -> float:
  """Standard deviation of `log(max(det, floor))` over the mask.

  The logarithm does not exist where the map folds; those voxels enter as
  `log(floor)`, so the number grows with folding but stays finite. Shapes and
  the empty mask as in `folding_fraction`.
  """
  values = _inside(determinant, mask)
  return (
    float(np.log(np.maximum(values, floor)).std()) if values.size else (np.nan)
  )


def _surface(mask: np.ndarray) -> np.ndarray:
  return mask & ~ndimage.binary_erosion(mask)


def _nearest(
  points: np.ndarray, targets: np.ndarray, diagonal: float
) -> np.ndarray:
  """Distance of each of (n, d) points to the nearest target, (n,)."""
  if not len(targets):
    return np.full(len(points), diagonal)
  return spatial.KDTree(targets).query(points)[0]


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
  """The smallest box around the mask, in which its surface is the same."""
  boxes = ndimage.find_objects(mask.astype(np.uint8))
  return boxes[0] if boxes else tuple(slice(0, 1) for _ in mask.shape)


def _inside(determinant: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
  determinant = np.asarray(determinant)
  if mask is None:
    return determinant.ravel()
  mask = np.asarray(mask).astype(bool)
  if mask.shape == tuple(size + 2 for size in determinant.shape):
    mask = mask[(slice(1, -1),) * mask.ndim]
  return determinant[_same_shape(mask, determinant)[0]]


def _same_shape(
  first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  first, second = np.asarray(first), np.asarray(second)
  if first.shape != second.shape:
    raise ValueError(f'shapes differ: {first.shape} and {second.shape}')
  return first, second


def _spacing(spacing: Sequence[float], rank: int) -> np.ndarray:
  spacing = np.asarray(spacing, dtype=np.float64)
  if spacing.shape != (rank,) or not (spacing > 0).all():
    raise ValueError(
      f'spacing: found {spacing.tolist()}, allowed {rank} positive numbers'
    )
  return spacing
