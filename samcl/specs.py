"""What a config may say about a registration task, checked at the door."""

from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

from common import errors
from samcl import cases

CHOICES = {
  'format': ('pairs', 'learn2reg'),
  'metric': ('dice', 'tre'),
  'mask': ('file', 'nonzero', 'ones'),
  'label': ('file', 'mask', 'none'),
  'pairing': ('all', 'ordered', 'subject', 'cross', 'listed'),
  'val_pairing': ('all', 'ordered', 'subject', 'cross', 'listed'),
  'val_split': ('valid', 'test'),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
  """One task. Fields that are None follow the files or the data set.

  name: of the task; folders, reports and plots use it.
  format: 'pairs' or 'learn2reg', the layout of `root`.
  root: the folder.
  spacing: of the network grid, mm; None keeps the voxels of the files.
  labels: the values that labels may have beside 0, 1 to 255.
  metric: what the task is scored by; 'dice' where there are labels.
  mask: 'file', 'nonzero' voxels of the image, or 'ones'; 'file' where there
    is a folder of masks, else 'ones'.
  label: 'file', 'mask' (the mask file is the label) or 'none'; 'file' where
    there is a folder of labels, else 'none'.
  clip, upper_percentile: see `cases.Intensity`.
  intensity: the same for images whose name ends with the key, e.g.
    {'0000': {'upper_percentile': 99}, '0001': {'clip': (-200, 300)}}.
  axes: see `cases.Case`.
  landmark_refinement: see `landmarks.place_points`.
  val_pattern: which fixed images of a pairs.csv are for validation, as in
    shell file names; a column `split` is not read then.
  dataset: the learn2reg data set where it is not the name of the root folder.
  pairing: how images are paired to train on, see `pairings`; 'listed' is as
    the data have it, and the default of 'pairs'.
  val_pairing: the same for learn2reg folders to validate on.
  max_pairs, max_val_pairs: more pairs than that are drawn at random, seed 42.
  val_split: learn2reg folder or list to validate on.
  """

  name: str
  format: str
  root: pathlib.Path
  spacing: tuple[float, float, float] | None = None
  labels: tuple[int, ...] | None = None
  metric: str | None = None
  mask: str | None = None
  label: str | None = None
  clip: tuple[float, float] | None = None
  upper_percentile: float | None = None
  intensity: Mapping[str, cases.Intensity] | None = None
  axes: tuple[int, int, int] | None = None
  landmark_refinement: int | None = None
  val_pattern: str | None = None
  dataset: str | None = None
  pairing: str | None = None
  val_pairing: str | None = None
  max_pairs: int | None = None
  max_val_pairs: int | None = None
  val_split: str | None = None

  def intensity_of(self, name: str) -> cases.Intensity:
    """The preparation of the image `name`."""
    for ending, intensity in (self.intensity or {}).items():
      if name.endswith(ending):
        return intensity
    return cases.Intensity(self.clip, self.upper_percentile)

  def with_defaults(self, defaults: Mapping[str, Any]) -> 'Spec':
    """Fills fields that are None."""
    missing = {k: v for k, v in defaults.items() if getattr(self, k) is None}
    preparation = ('clip', 'upper_percentile', 'intensity')
    if any(getattr(self, name) is not None for name in preparation):
      for name in preparation:
        missing.pop(name, None)
    return dataclasses.replace(self, **missing)


def parse(fields: Mapping[str, Any], position: int) -> Spec:
  """Checks one task of a config.

  Raises:
    InputError: a field is unknown, missing or has a value that is not allowed.
  """
  where = f'tasks[{position}]'
  known = [field.name for field in dataclasses.fields(Spec)]
  unknown = sorted(set(fields) - set(known))
  if unknown:
    raise errors.InputError(f'{where}: field: found {unknown}, allowed {known}')
  for name in ('name', 'format', 'root'):
    if not fields.get(name):
      raise errors.InputError(
        f'{where}.{name}: found {fields.get(name)!r}, allowed a text'
      )
  where = f'tasks[{position}] ({fields["name"]})'
  values = {
    name: _PARSERS.get(name, _same)(f'{where}.{name}', value)
    for name, value in fields.items()
    if value is not None
  }
  for name, allowed in CHOICES.items():
    if name in values and values[name] not in allowed:
      raise errors.InputError(
        f'{where}.{name}: found {values[name]!r}, allowed {allowed}'
      )
  if not values['root'].is_dir():
    raise errors.InputError(
      f'{where}.root: found {values["root"]}, allowed an existing folder'
    )
  return Spec(**values)


def _same(where: str, value: Any) -> Any:
  del where
  return value


def _refuse(where: str, value: Any, allowed: str) -> errors.InputError:
  return errors.InputError(f'{where}: found {value!r}, allowed {allowed}')


def _root(where: str, value: Any) -> pathlib.Path:
  del where
  return pathlib.Path(value).expanduser()


def _numbers(
  where: str, value: Any, count: int, allowed: str
) -> tuple[float, ...]:
  try:
    numbers = () if isinstance(value, str) else tuple(float(v) for v in value)
  except (TypeError, ValueError):
    numbers = ()
  if len(numbers) != count:
    raise _refuse(where, value, allowed)
  return numbers


def _spacing(where: str, value: Any) -> tuple[float, float, float]:
  allowed = 'three numbers above 0, mm'
  spacing = _numbers(where, value, 3, allowed)
  if not all(0 < s < float('inf') for s in spacing):
    raise _refuse(where, value, allowed)
  return spacing


def _clip(where: str, value: Any) -> tuple[float, float]:
  allowed = 'two numbers, the lower first'
  clip = _numbers(where, value, 2, allowed)
  if not clip[0] < clip[1]:
    raise _refuse(where, value, allowed)
  return clip


def _percentile(where: str, value: Any) -> float:
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    raise _refuse(where, value, 'a number above 0, at most 100')
  if not 0 < value <= 100:
    raise _refuse(where, value, 'a number above 0, at most 100')
  return float(value)


def _intensity(where: str, value: Any) -> dict[str, cases.Intensity]:
  allowed = "{'ending of a name': {'clip': …} or {'upper_percentile': …}}"
  parsers = {'clip': _clip, 'upper_percentile': _percentile}
  if not isinstance(value, Mapping):
    raise _refuse(where, value, allowed)
  for fields in value.values():
    if not isinstance(fields, Mapping) or set(fields) - set(parsers):
      raise _refuse(where, fields, allowed)
  return {
    str(ending): cases.Intensity(
      **{
        name: parsers[name](f'{where}.{ending}.{name}', field)
        for name, field in fields.items()
        if field is not None
      }
    )
    for ending, fields in value.items()
  }


def _axes(where: str, value: Any) -> tuple[int, int, int]:
  axes = _numbers(where, value, 3, '0, 1 and 2 in some order')
  if sorted(axes) != [0, 1, 2]:
    raise _refuse(where, value, '0, 1 and 2 in some order')
  return tuple(int(axis) for axis in axes)


def _labels(where: str, value: Any) -> tuple[int, ...]:
  try:
    labels = tuple(int(v) for v in value)
    usable = list(labels) == list(value) and len(set(labels)) == len(labels)
  except (TypeError, ValueError):
    usable = False
  if not usable or not all(1 <= v <= 255 for v in labels):
    raise _refuse(where, value, 'different whole numbers 1 to 255')
  return labels


def _count(where: str, value: Any) -> int:
  if isinstance(value, bool) or not isinstance(value, int) or value < 1:
    raise _refuse(where, value, 'a whole number above 0')
  return value


_PARSERS = {
  'root': _root,
  'spacing': _spacing,
  'labels': _labels,
  'clip': _clip,
  'upper_percentile': _percentile,
  'intensity': _intensity,
  'axes': _axes,
  'landmark_refinement': _count,
  'max_pairs': _count,
  'max_val_pairs': _count,
}
