"""What a config may say about a segmentation site, checked at the door."""

from collections.abc import Mapping
import dataclasses
import pathlib
import re
from typing import Any

from common import errors

CHOICES = {
  'format': ('nifti', 'png'),
  'channels': (1, 3),
  'slice_axis': (0, 1, 2),
  'train_slices': ('all', 'labelled'),
}
KINDS = ('image', 'label', 'mask')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
  """One site: a folder with an image, a label and perhaps a mask per case.

  name: of the site; folders, reports and plots use it.
  root: the folder.
  format: 'nifti' (.nii, .nii.gz) or 'png'.
  images, labels, masks: folders within `root`, '' or '.' for itself. A mask is
    the field of view: scores are taken there. Networks learn all of an image,
    so that they find nothing beyond it where nobody has a mask for them.
  image_suffix, label_suffix, mask_suffix: what a file name has between the
    case's name and the extension. Of files that share a folder each is of the
    kind with the longest suffix that fits.
  cases: names, or patterns as in shell file names; all where None.
  channels: 1 is grey, 3 is RGB (png only).
  label_values: pairs (value in the file, class), which may merge values; where
    None the classes themselves. Value 0 is background unless it is in a pair.
  spacing: of the network grid, mm (pixels of a png): in-plane, axes in
    ascending order, in a 2-D stream, all three in a 3-D one. Where None, of
    each image its own: isotropic (in-plane in a 2-D stream) and as fine as
    lets the whole image fit the grid.
  slice_axis: of the canonical volume; a 2-D stream learns slices across it.
  train_slices: 'all', or those 'labelled' with any class beside 0.
  percentiles: which intensities become 0 and 1, over the voxels above the
    image's minimum. Where None (0.5, 99.5) for nifti; for png black and white.
  split: file in `root` with columns case, split (train or test); where None
    split.csv if there is one; '' to draw the split all the same.
  test_fraction: of the groups that are drawn for testing; where None a
    quarter, and all of a site that is only scored.
  split_seed: of that draw.
  group_pattern: regular expression searched in the case's name; cases with the
    same first group (without groups: the same match) stay together.
  """

  name: str
  root: pathlib.Path
  format: str
  images: str = 'images'
  labels: str = 'labels'
  masks: str | None = None
  image_suffix: str = ''
  label_suffix: str = ''
  mask_suffix: str = ''
  cases: tuple[str, ...] | None = None
  channels: int = 1
  label_values: tuple[tuple[int, int], ...] | None = None
  spacing: tuple[float, ...] | None = None
  slice_axis: int = 2
  train_slices: str = 'all'
  percentiles: tuple[float, float] | None = None
  split: str | None = None
  test_fraction: float | None = None
  split_seed: int = 0
  group_pattern: str | None = None

  def place(self, kind: str) -> tuple[pathlib.Path, str] | None:
    """Folder and suffix of the 'image', 'label' or 'mask'; None without."""
    folder = getattr(self, f'{kind}s')
    if folder is None:
      return None
    return self.root / folder, getattr(self, f'{kind}_suffix')


def parse(name: str, fields: Mapping[str, Any]) -> Spec:
  """Checks one site of a config; a field that is None has its default.

  Raises:
    InputError: a field is unknown, missing or has a value that is not allowed.
  """
  where = f'sites.{name}'
  known = [f.name for f in dataclasses.fields(Spec) if f.name != 'name']
  unknown = sorted(set(fields) - set(known))
  if not name or unknown:
    found = repr(name) if not name else f'field: found {unknown}'
    raise errors.InputError(f'{where}: {found}, allowed a name and {known}')
  given = {k: v for k, v in fields.items() if v is not None}
  for field in ('root', 'format'):
    if not given.get(field):
      raise _refuse(f'{where}.{field}', given.get(field), 'a text')
  values = {k: _parse(f'{where}.{k}', k, v) for k, v in given.items()}
  spec = Spec(name=name, **values)
  _check_together(where, spec)
  return spec


def _parse(where: str, field: str, value: Any) -> Any:
  if field in CHOICES:
    if type(value) not in (int, str) or value not in CHOICES[field]:
      raise _refuse(where, value, f'one of {CHOICES[field]}')
    return value
  return _PARSERS[field](where, value)


def _check_together(where: str, spec: Spec) -> None:
  if not spec.root.is_dir():
    raise errors.InputError(
      f'{where}.root: found {spec.root}, allowed an existing folder'
    )
  if spec.format == 'nifti' and spec.channels != 1:
    raise _refuse(f'{where}.channels', spec.channels, "1; 3 is for 'png' only")
  if spec.format == 'png' and spec.slice_axis != 2:
    raise _refuse(f'{where}.slice_axis', spec.slice_axis, "2 for 'png'")
  if spec.masks is None and spec.mask_suffix:
    raise _refuse(
      f'{where}.mask_suffix', spec.mask_suffix, 'one beside the field "masks"'
    )
  places = [p for p in map(spec.place, KINDS) if p is not None]
  if len(set(places)) < len(places):
    found = [(str(folder), suffix) for folder, suffix in places]
    raise errors.InputError(
      f'{where}: images, labels, masks: found {found},'
      ' allowed different folders or suffixes'
    )
  if spec.split and spec.test_fraction is not None:
    raise _refuse(
      f'{where}.test_fraction', spec.test_fraction, 'none beside "split"'
    )


def _refuse(where: str, value: Any, allowed: str) -> errors.InputError:
  return errors.InputError(f'{where}: found {value!r}, allowed {allowed}')


def _text(where: str, value: Any) -> str:
  if not isinstance(value, str):
    raise _refuse(where, value, 'a text')
  return value


def _root(where: str, value: Any) -> pathlib.Path:
  if not isinstance(value, (str, pathlib.Path)):
    raise _refuse(where, value, 'a folder')
  return pathlib.Path(value).expanduser()


def _cases(where: str, value: Any) -> tuple[str, ...]:
  usable = isinstance(value, (tuple, list))
  names = tuple(value) if usable else ()
  if not names or not all(isinstance(name, str) and name for name in names):
    raise _refuse(where, value, 'names or patterns')
  return names


def _numbers(where: str, value: Any, allowed: str) -> tuple[float, ...]:
  try:
    return () if isinstance(value, str) else tuple(float(v) for v in value)
  except (TypeError, ValueError):
    raise _refuse(where, value, allowed) from None


def _spacing(where: str, value: Any) -> tuple[float, ...]:
  allowed = 'two (2-D) or three (3-D) numbers above 0'
  spacing = _numbers(where, value, allowed)
  usable = all(0 < s < float('inf') for s in spacing)
  if not usable or len(spacing) not in (2, 3):
    raise _refuse(where, value, allowed)
  return spacing


def _percentiles(where: str, value: Any) -> tuple[float, float]:
  allowed = 'two numbers 0 to 100, the lower first'
  found = _numbers(where, value, allowed)
  if len(found) != 2 or not 0 <= found[0] < found[1] <= 100:
    raise _refuse(where, value, allowed)
  return found


def _label_values(where: str, value: Any) -> tuple[tuple[int, int], ...]:
  allowed = 'pairs (value in the file, class) of whole numbers from 0'
  try:
    pairs = tuple((int(v), int(c)) for v, c in value)
    usable = [list(pair) for pair in pairs] == [list(pair) for pair in value]
  except (TypeError, ValueError):
    usable = False
  if not usable or not pairs or min(map(min, pairs)) < 0:
    raise _refuse(where, value, allowed)
  to_class = dict(pairs)
  if len(to_class) < len(pairs):
    raise _refuse(where, value, 'every value of the file once')
  # Else a predicted background could not be told from a class when saved.
  if to_class.get(0, 0) != 0 and 0 not in to_class.values():
    raise _refuse(where, value, 'a value for class 0, as 0 has another class')
  return pairs


def _fraction(where: str, value: Any) -> float:
  number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not number or not 0 < value <= 1:
    raise _refuse(where, value, 'a number above 0, at most 1')
  return float(value)


def _seed(where: str, value: Any) -> int:
  if isinstance(value, bool) or not isinstance(value, int) or value < 0:
    raise _refuse(where, value, 'a whole number from 0')
  return value


def _pattern(where: str, value: Any) -> str:
  try:
    re.compile(_text(where, value))
  except re.error as error:
    raise _refuse(where, value, f'a regular expression ({error})') from error
  return value


_PARSERS = {
  'root': _root,
  'images': _text,
  'labels': _text,
  'masks': _text,
  'image_suffix': _text,
  'label_suffix': _text,
  'mask_suffix': _text,
  'cases': _cases,
  'label_values': _label_values,
  'spacing': _spacing,
  'percentiles': _percentiles,
  'split': _text,
  'test_fraction': _fraction,
  'split_seed': _seed,
  'group_pattern': _pattern,
}
