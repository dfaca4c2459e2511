"""Folders with a list of image pairs."""

from collections.abc import Mapping
import dataclasses
import fnmatch
import pathlib

from common import errors, tables
from samcl import cases, pairings, specs

SUFFIXES = ('.nii.gz', '.nii')


@dataclasses.dataclass(frozen=True)
class Contents:
  """What a folder holds. `spec` has the defaults of its data set filled in."""

  spec: specs.Spec
  train: pairings.Pairs
  val: pairings.Pairs
  label_names: Mapping[int, str]


def read_pairs(spec: specs.Spec) -> Contents:
  """A folder with a list of pairs.

  pairs.csv has the columns fixed, moving and, where wanted, landmarks (a file
  in landmarks/) and split (train or val). The images are images/NAME.nii.gz,
  with the same names in labels/ and masks/. label_names.csv has the columns
  value, name. A `pairing` other than 'listed' pairs anew the images that are
  trained on and not validated on.
  """
  table = spec.root / 'pairs.csv'
  rows = tables.read_columns(table, ['fixed', 'moving'])
  folders = {kind: spec.root / kind for kind in ('images', 'labels', 'masks')}
  pairs: dict[str, list[cases.Pair]] = {'train': [], 'val': []}
  for number, row in enumerate(rows, 1):
    split = _split(spec, table, number, row)
    landmarks = row.get('landmarks')
    pairs[split].append(
      cases.Pair(
        create_case(spec, row['fixed'], folders),
        create_case(spec, row['moving'], folders),
        spec.root / 'landmarks' / landmarks if landmarks else None,
      )
    )
  train, val = tuple(pairs['train']), tuple(pairs['val'])
  if spec.pairing not in (None, 'listed'):
    train = _pair_anew(spec, table, train, val)
  return Contents(
    spec,
    pairings.cap(train, spec.max_pairs),
    pairings.cap(val, spec.max_val_pairs),
    _label_names(spec.root / 'label_names.csv'),
  )


def _pair_anew(
  spec: specs.Spec,
  table: pathlib.Path,
  train: pairings.Pairs,
  val: pairings.Pairs,
) -> pairings.Pairs:
  if any(pair.landmarks for pair in train):
    raise errors.InputError(
      f'{table}: landmarks: found some for listed pairs, which the pairing '
      f"{spec.pairing!r} of task {spec.name} leaves; allowed 'listed'"
    )
  held_out = pairings.images_of(val)
  images = [c for c in pairings.images_of(train) if c not in held_out]
  return pairings.pair(spec, spec.pairing, images)


def _split(
  spec: specs.Spec, table: pathlib.Path, number: int, row: dict[str, str]
) -> str:
  if spec.val_pattern is not None:
    is_val = fnmatch.fnmatchcase(row['fixed'], spec.val_pattern)
    return 'val' if is_val else 'train'
  split = row.get('split')
  if split not in ('train', 'val'):
    raise errors.InputError(
      f'{table}: split: found {split!r} in row {number}, allowed train or val,'
      ' or the field "val_pattern" of the task'
    )
  return split


def _label_names(path: pathlib.Path) -> dict[int, str]:
  if not path.is_file():
    return {}
  rows = tables.read_columns(path, ['value', 'name'])
  try:
    names = {int(row['value']): row['name'] for row in rows}
  except ValueError as error:
    raise errors.InputError(
      f'{path}: value: found {error.args[0].split()[-1]}, allowed whole numbers'
    ) from error
  return {value: name for value, name in names.items() if value != 0}


def create_case(
  spec: specs.Spec, name: str, folders: Mapping[str, pathlib.Path]
) -> cases.Case:
  """The case `name` with its files in the folders of their kind."""
  has = {kind: folder.is_dir() for kind, folder in folders.items()}
  mask = spec.mask or ('file' if has['masks'] else 'ones')
  label = spec.label or ('file' if has['labels'] else 'none')
  mask_file = _volume_file(folders['masks'], name)
  points = folders.get('keypoints')
  return cases.Case(
    name=name,
    image=_volume_file(folders['images'], name),
    label={
      'file': _volume_file(folders['labels'], name),
      'mask': mask_file,
    }.get(label),
    mask=mask_file if mask == 'file' else None,
    mask_nonzero=mask == 'nonzero',
    landmarks=points / f'{name}.csv' if has.get('keypoints') else None,
    intensity=spec.intensity_of(name),
    axes=spec.axes,
  )


def _volume_file(folder: pathlib.Path, name: str) -> pathlib.Path:
  """The file that exists, else the one that is looked for."""
  plain = folder / f'{name}.nii'
  return plain if plain.is_file() else folder / f'{name}.nii.gz'


def stem(name: str) -> str:
  """A file name without .nii or .nii.gz."""
  for suffix in SUFFIXES:
    name = name.removesuffix(suffix)
  return name
