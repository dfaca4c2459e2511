"""A registered pair: how well it fits, and the files that it leaves."""

import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np

from common import errors, files, grids, itk, metrics, points, volumes
from samcl import registrar, scans

# All that a pair can leave.
FILES = (
  'warped.nii.gz',
  'warped_label.nii.gz',
  'jacobian.nii.gz',
  'displacement.nii.gz',
  'displacement.h5',
  'displacement_inverse.nii.gz',
  'displacement_inverse.h5',
  'registration.png',
  'summary.json',
)


@dataclasses.dataclass(frozen=True)
class Side:
  """The files of one image; `index` is of a volume in a 4-D file."""

  image: pathlib.Path
  mask: pathlib.Path | None = None
  label: pathlib.Path | None = None
  landmarks: pathlib.Path | None = None
  index: int | None = None

  @property
  def files(self) -> list[pathlib.Path]:
    """All that are given."""
    given = (self.image, self.mask, self.label, self.landmarks)
    return [path for path in given if path is not None]


@dataclasses.dataclass(frozen=True, eq=False)
class Loaded:
  """What the files of a side hold; landmarks are (k, 3), mm in RAS+."""

  scan: scans.Scan
  label: grids.Volume | None
  landmarks: np.ndarray | None

  @classmethod
  def read(cls, side: Side) -> 'Loaded':
    """Reads all of them.

    Raises:
      InputError: one of them cannot be used.
    """
    scan = scans.load(side.image, mask=side.mask, index=side.index)
    label = landmarks = None
    if side.label is not None:
      label = scans.load_beside(side.label, 'label', scan.volume, side.image)
    if side.landmarks is not None:
      landmarks = points.load(side.landmarks).positions
    return cls(scan, label, landmarks)


def read(fixed: Side, moving: Side) -> tuple[Loaded, Loaded]:
  """What the files of both sides hold.

  Raises:
    InputError: one of them cannot be used, or the sides do not have equally
      many landmarks.
  """
  a, b = Loaded.read(fixed), Loaded.read(moving)
  given = a.landmarks is not None and b.landmarks is not None
  if given and len(a.landmarks) != len(b.landmarks):
    raise errors.InputError(
      f'{moving.landmarks}: landmarks: found {len(b.landmarks)}, allowed '
      f'{len(a.landmarks)}, as {fixed.landmarks} has'
    )
  return a, b


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
  """Two images and how they fit together."""

  fixed: Loaded
  moving: Loaded
  found: registrar.Registration

  @functools.cached_property
  def warped(self) -> grids.Volume:
    """The moving image; where it has none, the least of its values."""
    volume = self.moving.scan.volume
    return self.found.displacement.warp(volume, fill=volume.data.min())

  @functools.cached_property
  def warped_label(self) -> grids.Volume | None:
    label = self.moving.label
    return None if label is None else self.found.displacement.warp(label, 0)

  @functools.cached_property
  def determinant(self) -> np.ndarray:
    return self.found.displacement.determinant()

  def summary(self) -> dict[str, Any]:
    """What summary.json says; scores are dicts of `before` and `after`."""
    return {
      'fixed': str(self.fixed.scan.path),
      'moving': str(self.moving.scan.path),
      'covered': round(self.found.covered, 3),
      'similarity': _before_after(*self.found.similarity),
      'folding_fraction': metrics.folding_fraction(self.determinant),
      'sd_log_jacobian': float(metrics.sd_log_jacobian(self.determinant)),
      **self._label_scores(),
      **self._landmark_scores(),
    }

  def write(
    self,
    folder: pathlib.Path,
    *,
    learn2reg: bool = False,
    transform: bool = False,
  ) -> None:
    """Writes everything; summary.json last, so that who has it has all.

    What an earlier time left goes first.

    Args:
      folder: made where it is not there.
      learn2reg: displacements in voxels, see
        `volumes.save_voxel_displacement`, and not in mm.
      transform: also as transforms of ITK.

    Raises:
      InputError: a file cannot be written.
    """
    like = self.fixed.scan.volume
    sides = (like, self.moving.scan.volume)
    for name in reversed(FILES):
      (folder / name).unlink(missing_ok=True)
    for name, data in (
      ('warped', self.warped.data),
      ('jacobian', self.determinant.astype(np.float32)),
      ('warped_label', self.warped_label and self.warped_label.data),
    ):
      if data is not None:
        volumes.save_volume(folder / f'{name}.nii.gz', data, like=like)
    for name, field, (here, there) in (
      ('displacement', self.found.displacement, sides),
      ('displacement_inverse', self.found.inverse, sides[::-1]),
    ):
      path = folder / f'{name}.nii.gz'
      if learn2reg:
        volumes.save_voxel_displacement(path, field.vectors, here, there)
      else:
        volumes.save_displacement(path, field.vectors, here)
      if transform:
        itk.write_transform(folder / f'{name}.h5', field.vectors, field.grid)
    self._draw(folder / 'registration.png')
    text = json.dumps(self.summary(), indent=2) + '\n'
    files.write_text(folder / 'summary.json', text)

  def _label_scores(self) -> dict[str, Any]:
    if self.fixed.label is None or self.moving.label is None:
      return {}
    fixed, moving = self.fixed.label.data, self.moving.label.data
    values = {*np.unique(fixed).tolist(), *np.unique(moving).tolist()} - {0}
    still = grids.resample(self.moving.label, self.fixed.label.grid, 0)
    before, after = (
      metrics.dice_per_label(fixed, label.data, sorted(values))
      for label in (still, self.warped_label)
    )
    return {
      'dice': _before_after(_mean(before), _mean(after)),
      'dice_per_label': {
        str(value): _before_after(*pair)
        for value, *pair in zip(sorted(values), before, after, strict=True)
      },
    }

  def _landmark_scores(self) -> dict[str, Any]:
    fixed, moving = self.fixed.landmarks, self.moving.landmarks
    if fixed is None or moving is None:
      return {}
    before, after = (
      np.linalg.norm(points - moving, axis=-1).mean()
      for points in (fixed, self.found.displacement.move(fixed))
    )
    return {'tre_mm': _before_after(before, after)}

  def _draw(self, path: pathlib.Path) -> None:
    """The picture; matplotlib is not needed before."""
    from samcl import figures

    fixed, moving = self.fixed.scan, self.moving.scan
    grid, least = fixed.volume.grid, moving.volume.data.min()
    still = grids.resample(moving.volume, grid, 1, fill=least)
    to_voxels = np.linalg.inv(grid.affine[:3, :3]).T
    labels = {
      'fixed_label': self.fixed.label,
      'moving_label': self.moving.label
      and grids.resample(self.moving.label, grid, 0),
      'warped_label': self.warped_label,
    }
    figures.draw_registration(
      path,
      fixed=_shown(fixed.volume.data),
      moving=_shown(still.data),
      warped=_shown(self.warped.data),
      displacement=self.found.displacement.vectors @ to_voxels,
      spacing=grid.spacing,
      title=f'{moving.name} to {fixed.name}',
      **{name: volume and volume.data for name, volume in labels.items()},
    )


def _shown(image: np.ndarray) -> np.ndarray:
  low, high = np.percentile(image, (0.5, 99.5))
  return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def _mean(scores: np.ndarray) -> float:
  """Of those that there are; NaN if there is none."""
  scores = scores[~np.isnan(scores)]
  return float(scores.mean()) if scores.size else np.nan


def _before_after(before: float, after: float) -> dict[str, float | None]:
  return {
    name: None if np.isnan(value) else round(float(value), 5)
    for name, value in (('before', before), ('after', after))
  }
