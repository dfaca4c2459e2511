"""The Learn2Reg data sets: layouts, and the pairs the authors train on."""

from collections.abc import Iterable
import dataclasses
import json
import pathlib
import re
from typing import Any

from common import errors
from samcl import cases, folders, pairings, specs

_CT_ABDOMEN = (-200.0, 300.0)  # Hounsfield units
_CT_LUNG = (-1350.0, 150.0)
_MR_PERCENTILE = 99.0

# How the authors of SAMCL use the four Learn2Reg data sets. The OASIS files
# are taken in their own axes, because the last two are to be swapped.
LEARN2REG: dict[str, dict[str, Any]] = {
  'OASIS': {
    'pairing': 'all',
    'max_pairs': 10_000,
    'val_pairing': 'ordered',
    'max_val_pairs': 200,
    'upper_percentile': _MR_PERCENTILE,
    'axes': (0, 2, 1),
    'labels': tuple(range(1, 36)),
  },
  'AbdomenCTCT': {
    'pairing': 'ordered',
    'val_pairing': 'ordered',
    'clip': _CT_ABDOMEN,
    'mask': 'ones',
    'labels': tuple(range(1, 14)),
  },
  'NLST': {
    'pairing': 'subject',
    'val_pairing': 'subject',
    'clip': _CT_LUNG,
    'label': 'mask',
    'labels': (1,),
    'metric': 'tre',
    'landmark_refinement': 2,
  },
  'AbdomenMRCT': {
    'pairing': 'cross',
    'intensity': {
      '0000': cases.Intensity(upper_percentile=_MR_PERCENTILE),
      '0001': cases.Intensity(clip=_CT_ABDOMEN),
    },
    'labels': (1, 2, 3, 4),
  },
}


def read(spec: specs.Spec) -> folders.Contents:
  """A Learn2Reg data set, as the challenge gives it or as the authors sort it.

  Challenge: `*dataset.json` with `training`, `training_paired_images`,
  `registration_val` and `registration_test`, whose paths are relative to the
  folder: imagesTr/, labelsTr/, masksTr/, keypointsTr/, and the same with Ts.
  Authors: {train,valid,test}/{images,labels,masks,keypoints}.
  Files are named NAME_ID_MODALITY.nii.gz, key points .csv without a header.

  The pairing 'listed' is that of `training_paired_images`.

  Raises:
    InputError: neither layout, no images, or a list that cannot be used.
  """
  dataset = spec.dataset or spec.root.name
  if spec.dataset is not None and (spec.root / dataset).is_dir():
    spec = dataclasses.replace(spec, root=spec.root / dataset)
  spec = spec.with_defaults(LEARN2REG.get(dataset, {}))
  spec = spec.with_defaults({'val_split': 'valid'})
  lists = sorted(spec.root.glob('*dataset.json'))
  if len(lists) == 1:
    return _read_challenge(spec, lists[0])
  if (spec.root / 'train').is_dir() and not lists:
    return _read_sorted(spec)
  raise errors.InputError(
    f'{spec.root}: layout: found {len(lists)} files *dataset.json and no'
    ' folder train, allowed one such file or the folders train and valid'
  )


def _read_sorted(spec: specs.Spec) -> folders.Contents:
  """The authors' folders."""
  cross = spec.pairing == 'cross' and spec.val_split == 'test'
  val_pairing = spec.val_pairing or ('subject' if cross else spec.pairing)
  train, val = (
    pairings.cap(pairings.pair(spec, pairing, _images(spec, split)), maximum)
    for split, pairing, maximum in (
      ('train', spec.pairing, spec.max_pairs),
      (spec.val_split, val_pairing, spec.max_val_pairs),
    )
  )
  return folders.Contents(spec, train, val, {})


def _images(spec: specs.Spec, split: str) -> list[cases.Case]:
  folder = spec.root / split / 'images'
  files = [f for f in folder.glob('*') if f.name.endswith(folders.SUFFIXES)]
  if not files:
    raise errors.InputError(
      f'{folder}: cases: found none, allowed files {folders.SUFFIXES}'
    )
  places = {
    kind: spec.root / split / kind
    for kind in ('images', 'labels', 'masks', 'keypoints')
  }
  names = sorted((folders.stem(f.name) for f in files), key=natural_key)
  return [folders.create_case(spec, name, places) for name in names]


def _read_challenge(spec: specs.Spec, path: pathlib.Path) -> folders.Contents:
  """The challenge's folders; images to validate on are not trained on."""
  content = _read_json(path)
  val_key = {'valid': 'registration_val', 'test': 'registration_test'}
  val = _listed(spec, path, content, val_key[spec.val_split])
  held_out = {case.image for case in pairings.images_of(val)}
  paired = _listed(spec, path, content, 'training_paired_images')
  pairing = spec.pairing or ('listed' if paired else 'ordered')
  if pairing == 'listed':
    train = paired
  else:
    entries = _entries(path, content, 'training', ('image',))
    found = [_challenge_case(spec, path, e['image']) for e in entries]
    found = [case for case in found if case.image not in held_out]
    found.sort(key=lambda case: natural_key(case.name))
    train = pairings.pair(spec, pairing, found)
  names = content.get('labels') or {}
  return folders.Contents(
    spec,
    pairings.cap(train, spec.max_pairs),
    pairings.cap(val, spec.max_val_pairs),
    _json_labels(names),
  )


def _read_json(path: pathlib.Path) -> dict[str, Any]:
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError) as error:
    raise errors.InputError(
      f'{path}: file: found no JSON ({error}), allowed a JSON object'
    ) from error
  if not isinstance(content, dict):
    raise errors.InputError(
      f'{path}: file: found {type(content).__name__}, allowed a JSON object'
    )
  return content


def _entries(
  path: pathlib.Path, content: dict[str, Any], key: str, fields: tuple[str, ...]
) -> list[dict[str, str]]:
  entries = content.get(key) or []
  for entry in entries:
    texts = isinstance(entry, dict) and all(
      isinstance(entry.get(field), str) for field in fields
    )
    if not texts:
      raise errors.InputError(
        f'{path}: {key}: found {entry!r}, allowed objects with {fields}'
      )
  return entries


def _listed(
  spec: specs.Spec, path: pathlib.Path, content: dict[str, Any], key: str
) -> pairings.Pairs:
  entries = _entries(path, content, key, ('fixed', 'moving'))
  return tuple(
    cases.Pair(
      _challenge_case(spec, path, entry['fixed']),
      _challenge_case(spec, path, entry['moving']),
    )
    for entry in entries
  )


def _challenge_case(
  spec: specs.Spec, path: pathlib.Path, image: str
) -> cases.Case:
  """A case of the challenge from the path of its image, ./imagesTr/NAME."""
  relative = pathlib.PurePosixPath(image)
  ending = relative.parent.name.removeprefix('images')
  places = {
    kind: path.parent / relative.parent.parent / f'{kind}{ending}'
    for kind in ('images', 'labels', 'masks', 'keypoints')
  }
  return folders.create_case(spec, folders.stem(relative.name), places)


def _json_labels(names: Any) -> dict[int, str]:
  """{"1": "liver"}, or the same for every modality: {"0": {"1": "liver"}}."""
  if not isinstance(names, dict):
    return {}
  flat: dict[int, str] = {}
  for value, name in names.items():
    if isinstance(name, dict):
      flat |= _json_labels(name)
    elif str(value).isdigit() and int(value) > 0:
      flat[int(value)] = str(name)
  return flat


def drop_unknown_points(pairs: Iterable[cases.Pair]) -> pairings.Pairs:
  """Takes away key points of pairs for which neither image has a file.

  The challenge holds back the key points of some validation images.
  """
  return tuple(_drop_unknown_points(pair) for pair in pairs)


def _drop_unknown_points(pair: cases.Pair) -> cases.Pair:
  both = (pair.fixed, pair.moving)
  files = [case.landmarks for case in both if case.landmarks]
  if not files or any(file.is_file() for file in files):
    return pair
  fixed, moving = (dataclasses.replace(case, landmarks=None) for case in both)
  return dataclasses.replace(pair, fixed=fixed, moving=moving)


def natural_key(name: str) -> list[tuple[int, str]]:
  """Sorts numbers in names by value: id 2 before id 10."""
  parts = re.split(r'(\d+)', name)
  return [(int(p), '') if p.isdigit() else (-1, p) for p in parts]
