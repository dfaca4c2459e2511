"""What a saved displacement is applied to, and the files that this leaves."""

from collections.abc import Sequence
import dataclasses
import pathlib
import sys

from common import displacements, errors, files, grids, points, volumes
from samcl import scans

_COMPOSED = 'displacement.nii.gz'


@dataclasses.dataclass(frozen=True)
class Settings:
  """How inputs are moved.

  Attributes:
    then: a second displacement, applied after the first.
    like: a volume on whose grid results are, where not the displacement's.
    kind: of the volumes: 'image', 'label' or 'mask'.
    index: of a volume in 4-D files.
    inverse: undo the displacement instead.
  """

  then: pathlib.Path | None = None
  like: pathlib.Path | None = None
  kind: str = 'image'
  index: int | None = None
  inverse: bool = False


def execute(
  paths: Sequence[pathlib.Path], settings: Settings, out: pathlib.Path
) -> int:
  """Applies the displacement that comes first to the inputs that follow.

  Without inputs the displacement that results is written itself.

  Returns:
    1 if one of several inputs could not be used, and 0.

  Raises:
    InputError: a displacement or the only input cannot be used, two results
      have the same name, or one would take the place of what is read.
  """
  path, *inputs = paths
  targets = _targets(inputs, out)
  used = [*paths, *filter(None, (settings.then, settings.like))]
  files.require_apart(targets or [out / _COMPOSED], used)
  files.require_writable(out)
  field, target = _field(path, settings)
  # What pulls volumes; points move by the field where it is known.
  pulling = field
  if not field.grid.matches(target.grid):
    pulling = field.on(target.grid)
  if not inputs:
    volumes.save_displacement(out / _COMPOSED, pulling.vectors, target)
    print(f'done: {out / _COMPOSED}')
    return 0
  failed = []
  for result, one in targets.items():
    try:
      if points.is_points(one):
        found = points.load(one)
        found.save(result, field.move(found.positions))
      else:
        _pull(pulling, target, one, result, settings)
    except errors.InputError as error:
      if len(inputs) == 1:
        raise
      failed.append(str(error))
  for line in failed:
    print(f'failed: {line}', file=sys.stderr)
  print(f'done: {len(inputs) - len(failed)} moved; {out}')
  return 1 if failed else 0


def _targets(
  inputs: Sequence[pathlib.Path], out: pathlib.Path
) -> dict[pathlib.Path, pathlib.Path]:
  """The result of each input, and the input."""
  targets: dict[pathlib.Path, pathlib.Path] = {}
  for one in inputs:
    name = one.name if points.is_points(one) else f'{files.stem(one)}.nii.gz'
    known = targets.setdefault(out / name, one)
    if known is not one:
      raise errors.InputError(
        f'{one}: name: found {known} too, allowed different names: results are '
        'named after them'
      )
  return targets


def _field(
  path: pathlib.Path, settings: Settings
) -> tuple[displacements.Field, grids.Volume]:
  """The displacement asked for, and a volume on whose grid results are."""
  target = volumes.load_displacement(path)
  field = displacements.Field(target.data, target.grid)
  if settings.then is not None:
    second = volumes.load_displacement(settings.then)
    field = field.then(displacements.Field(second.data, second.grid))
  if settings.like is not None:
    target = volumes.load_volume(settings.like)
  if settings.inverse:
    field = field.inverse(target.grid)
  return field, target


def _pull(
  field: displacements.Field,
  target: grids.Volume,
  one: pathlib.Path,
  result: pathlib.Path,
  settings: Settings,
) -> None:
  """Writes one volume, pulled to the grid of `target`."""
  if settings.kind == 'image':
    volume = scans.load(one, index=settings.index).volume
    warped = field.warp(volume, fill=volume.data.min())
  else:
    volume = volumes.load_volume(one, settings.kind, index=settings.index)
    warped = field.warp(volume, 0)
  like = grids.Volume(warped.data, target.affine, target.stored)
  volumes.save_volume(result, warped.data, like=like)
