"""Segmentation sites: cases of a folder, loaded as batches of arrays."""

from collections.abc import Iterable, Mapping, Sequence
import csv
import dataclasses
import functools
import pathlib
import re
from typing import Any

import numpy as np

from common import errors, rng
from smg import cases as cases_lib
from smg import specs

Batch = dict[str, np.ndarray]
Case = cases_lib.Case
Cases = tuple[Case, ...]

_TEST_FRACTION = 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class Site:
  """One station of a segmentation stream.

  name: unique in the stream.
  spec: the fields of the config.
  classes: the classes that labels have beside 0, ascending.
  shape: of the network grid, two numbers for slices, three for volumes.
  train, test: the cases, by name.
  """

  name: str
  spec: specs.Spec
  classes: tuple[int, ...]
  shape: tuple[int, ...]
  train: Cases
  test: Cases
  _prepared: dict[Case, cases_lib.Prepared] = dataclasses.field(
    default_factory=dict, repr=False
  )

  @property
  def channels(self) -> int:
    """Of an image, 1 for grey or 3 for RGB."""
    return self.spec.channels

  def num_train(self) -> int:
    """Slices to train on, in 3-D volumes, without those that are left out."""
    return len(self._slices)

  def load_train(self, indices: Iterable[int]) -> Batch:
    """A batch of the training slices, in 3-D volumes, with these numbers.

    Returns:
      image: float32 (b, *s, c) in [0, 1];
      label: uint8 (b, *s), classes;
      mask: uint8 (b, *s), 1 where the image counts.
    """
    chosen = [self._slices[int(i)] for i in indices]
    return {
      name: np.stack([getattr(self.prepared(c), name)[n] for c, n in chosen])
      for name in ('image', 'label', 'mask')
    }

  def prepared(self, case: Case) -> cases_lib.Prepared:
    """The case on the network grid, read once."""
    if case not in self._prepared:
      self._prepared[case] = cases_lib.prepare(
        case, self.spec, self.shape, self.classes
      )
    return self._prepared[case]

  @functools.cached_property
  def _slices(self) -> tuple[tuple[Case, int], ...]:
    """Case and slice number of everything to train on."""
    return tuple(
      (case, n)
      for case in self.train
      for n, label in enumerate(self.prepared(case).label)
      if self.spec.train_slices == 'all' or label.any()
    )


def load_sites(
  stream: Mapping[str, Mapping[str, Any]],
  unseen: Mapping[str, Mapping[str, Any]],
  *,
  shape: Sequence[int],
  classes: Sequence[int],
) -> tuple[Site, ...]:
  """Builds the sites of `stream`, then of `unseen`; every file has been read.

  Args:
    stream: fields by name of the site, see `specs.Spec`, in order.
    unseen: the same for sites that are only scored.
    shape: of the network grid, the same for all sites.
    classes: that labels may have beside 0, the same for all sites.

  Raises:
    InputError: a field, a list or a file cannot be used; a site has no cases
      to train or to test on; sites do not fit together; a case is trained on
      and tested on.
  """
  shape, classes = _check_shape(shape), _check_classes(classes)
  both = [name for name in stream if name in unseen]
  if both or not stream:
    raise errors.InputError(
      f'sites: found {f"{both} trained and unseen" if both else "no stream"},'
      ' allowed one or more sites to train on and others to be unseen'
    )
  parsed = [specs.parse(n, f) for n, f in (*stream.items(), *unseen.items())]
  for spec in parsed:
    _check_fits(spec, parsed[0], shape, classes)
  sites = tuple(
    Site(spec.name, spec, classes, shape, *_split(spec, spec.name in stream))
    for spec in parsed
  )
  _check_separate(sites[: len(stream)], sites)
  for site in sites:
    for case in site.train + site.test:
      site.prepared(case)
    if site.name in stream and not site.num_train():
      raise errors.InputError(
        f'sites.{site.name}.train_slices: found {site.spec.train_slices!r} and'
        " no labelled slice to train on, allowed 'all', or labels with classes"
      )
  return sites


def _check_shape(shape: Sequence[int]) -> tuple[int, ...]:
  values = tuple(int(s) for s in shape)
  wrong = list(values) != list(shape) or len(values) not in (2, 3)
  if wrong or min(values) < 1:
    raise errors.InputError(
      f'shape: found {tuple(shape)}, allowed two (2-D) or three (3-D) whole'
      ' numbers above 0'
    )
  return values


def _check_classes(classes: Sequence[int]) -> tuple[int, ...]:
  values = tuple(sorted({int(c) for c in classes}))
  wrong = not values or values[0] < 1 or values[-1] > 255
  if wrong or sorted(classes) != list(values):
    raise errors.InputError(
      f'classes: found {tuple(classes)},'
      ' allowed different whole numbers 1 to 255'
    )
  return values


def _check_fits(
  spec: specs.Spec,
  first: specs.Spec,
  shape: tuple[int, ...],
  classes: tuple[int, ...],
) -> None:
  """A site beside the first one, the network grid and the classes."""
  where, is_3d = f'sites.{spec.name}', len(shape) == 3
  if spec.format == 'png' and is_3d:
    raise errors.InputError(
      f"{where}.format: found 'png' in a stream of shape {shape} (mixed 2-D"
      " and 3-D), allowed 'nifti', or a shape of two numbers"
    )
  if spec.slice_axis != 2 and is_3d:
    raise errors.InputError(
      f'{where}.slice_axis: found {spec.slice_axis} in a stream of shape'
      f' {shape}, allowed in 2-D streams only'
    )
  if spec.spacing is not None and len(spec.spacing) != len(shape):
    raise errors.InputError(
      f'{where}.spacing: found {spec.spacing}, allowed {len(shape)} numbers as'
      f' the shape {shape} has'
    )
  if spec.channels != first.channels:
    raise errors.InputError(
      f'{where}.channels: found {spec.channels}, allowed {first.channels} as'
      f' site {first.name} has'
    )
  unknown = {c for _, c in spec.label_values or ()} - {0, *classes}
  if unknown:
    raise errors.InputError(
      f'{where}.label_values: found class {sorted(unknown)}, allowed 0 and'
      f' {list(classes)} (field "classes")'
    )


def _check_separate(stream: Sequence[Site], sites: Sequence[Site]) -> None:
  """No image is trained on at one site and tested on at the same or another."""
  trained = {case.image.resolve(): s.name for s in stream for case in s.train}
  for site in sites:
    for case in site.test:
      if case.image.resolve() in trained:
        raise errors.InputError(
          f'{case.image}: split: found among the test cases of {site.name} and'
          f' the train cases of {trained[case.image.resolve()]}, allowed one'
        )


def _split(spec: specs.Spec, is_trained: bool) -> tuple[Cases, Cases]:
  """Train and test cases of a site."""
  found = cases_lib.find(spec)
  groups = {case.name: _group(spec, case.name) for case in found}
  path = _split_file(spec)
  if path is None:
    tested = _draw(spec, sorted(set(groups.values())), is_trained)
    splits = {
      name: 'test' if group in tested else 'train'
      for name, group in groups.items()
    }
  else:
    splits = _read_split(spec, path, groups)
  parts = {
    split: tuple(case for case in found if splits[case.name] == split)
    for split in ('train', 'test')
  }
  for split in ('train', 'test') if is_trained else ('test',):
    if not parts[split]:
      raise errors.InputError(
        f'{path or spec.root}: {split} cases: found none, allowed one or more'
        f' (site {spec.name})'
      )
  return parts['train'], parts['test']


def _group(spec: specs.Spec, name: str) -> str:
  """What a case is kept together by; its own name where nothing is said."""
  if spec.group_pattern is None:
    return name
  match = re.search(spec.group_pattern, name)
  group = match and match.group(1 if match.re.groups else 0)
  if not group:
    raise errors.InputError(
      f'sites.{spec.name}.group_pattern: found {spec.group_pattern!r} without'
      f' a group in case {name!r}, allowed a pattern that every case matches'
    )
  return group


def _split_file(spec: specs.Spec) -> pathlib.Path | None:
  if spec.split is not None:
    return spec.root / spec.split if spec.split else None
  path = spec.root / 'split.csv'
  if path.is_file() and spec.test_fraction is not None:
    raise errors.InputError(
      f'sites.{spec.name}.test_fraction: found {spec.test_fraction} beside'
      f" {path}, allowed one of them; the field split '' leaves the file aside"
    )
  return path if path.is_file() else None


def _draw(spec: specs.Spec, groups: list[str], is_trained: bool) -> set[str]:
  """The groups to test on; a site that is trained on keeps one to train."""
  fraction = spec.test_fraction
  if fraction is None:
    fraction = _TEST_FRACTION if is_trained else 1.0
  num = max(1, int(fraction * len(groups) + 0.5))
  if is_trained and len(groups) < 2:
    raise errors.InputError(
      f'{spec.root}: cases: found {groups} as the only group, allowed two or'
      f' more to draw train and test cases of site {spec.name}'
    )
  if is_trained:
    num = min(num, len(groups) - 1)
  order = rng.host(spec.split_seed, f'split/{spec.name}').permutation(
    len(groups)
  )
  return {groups[i] for i in order[:num]}


def _read_split(
  spec: specs.Spec, path: pathlib.Path, groups: Mapping[str, str]
) -> dict[str, str]:
  """The split of every case, from a file with the columns case, split."""
  splits: dict[str, str] = {}
  for number, (name, split) in enumerate(_read_rows(path), 1):
    if split not in ('train', 'test') or name in splits:
      raise errors.InputError(
        f'{path}: row {number}: found {name!r}, {split!r}, allowed train or'
        ' test, once for each case'
      )
    splits[name] = split
  missing = [name for name in groups if name not in splits]
  if missing:
    raise errors.InputError(
      f'{path}: case: found no row for {missing[:5]}, allowed one for each case'
      f' of site {spec.name} (field "cases" leaves some aside)'
    )
  seen: dict[str, str] = {}
  for name, group in groups.items():
    if seen.setdefault(group, splits[name]) != splits[name]:
      raise errors.InputError(
        f'{path}: split: found group {group!r} in train and test, allowed one'
        f' (sites.{spec.name}.group_pattern)'
      )
  return splits


def _read_rows(path: pathlib.Path) -> list[tuple[str, str]]:
  try:
    with open(path, newline='', encoding='utf-8-sig') as file:
      rows = [[c.strip() for c in row] for row in csv.reader(file)]
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise errors.InputError(
      f'{path}: file: found {type(error).__name__},'
      ' allowed a comma-separated text file'
    ) from error
  header, *rows = [row for row in rows if any(row)] or [[]]
  if 'case' not in header or 'split' not in header:
    raise errors.InputError(
      f'{path}: columns: found {header}, allowed those with case, split'
    )
  at = header.index('case'), header.index('split')
  for number, row in enumerate(rows, 1):
    if len(row) != len(header):
      raise errors.InputError(
        f'{path}: row {number}: found {len(row)} values,'
        f' allowed {len(header)}, one for each column'
      )
  return [(row[at[0]], row[at[1]]) for row in rows]
