"""The files of a segmentation site, and which of its cases are tested on."""

from collections.abc import Mapping
import fnmatch
import pathlib
import re

from common import errors, itk, rng, tables
from smg import cases, specs

Cases = tuple[cases.Case, ...]

_TEST_FRACTION = 0.25
EXTENSIONS = {'nifti': ('.nii.gz', '.nii'), 'png': ('.png',)}


def find(spec: specs.Spec) -> Cases:
  """The cases of a site by name; all their files are there.

  Raises:
    InputError: a folder or file is missing; there are no images, or none for
      an entry of `spec.cases`; a case has two files of a kind.
  """
  files = {kind: _list(spec, kind) for kind in specs.KINDS}
  if not files['image']:
    raise errors.InputError(
      f'{spec.root / spec.images}: images: found none that end with'
      f' {spec.image_suffix!r} and {EXTENSIONS[spec.format]}, allowed one or'
      f' more (site {spec.name})'
    )
  needed = [k for k in specs.KINDS if spec.place(k) is not None]
  names = _choose(spec, list(files['image']))
  missing = [
    (kind, name) for kind in needed for name in names if name not in files[kind]
  ]
  if missing:
    (kind, name), *others = missing
    folder, suffix = spec.place(kind)
    more = ''.join(f', {kind} of {name}' for kind, name in others)
    raise errors.InputError(
      f'{folder / (name + suffix)}: {kind}: found no file, allowed'
      f' {EXTENSIONS[spec.format]}: case {name} of site {spec.name} needs it'
      + (f'; missing too: {more[2:]}' if more else '')
    )
  return tuple(
    cases.Case(name, **{kind: files[kind][name] for kind in needed})
    for name in names
  )


def split(spec: specs.Spec, is_trained: bool) -> tuple[Cases, Cases]:
  """Train and test cases of a site.

  Raises:
    InputError: as `find`; the split cannot be read or leaves a part empty.
  """
  found = find(spec)
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


def is_image(path: pathlib.Path, file_format: str) -> bool:
  """Whether a file, or a folder with a DICOM series, is of a format.

  Volumes that only ITK reads count as 'nifti'.
  """
  if path.name.lower().endswith(EXTENSIONS[file_format]):
    return True
  return file_format == 'nifti' and itk.reads(path)


def _list(spec: specs.Spec, kind: str) -> dict[str, pathlib.Path]:
  """The files of a kind by case, sorted."""
  if spec.place(kind) is None:
    return {}
  folder, suffix = spec.place(kind)
  if not folder.is_dir():
    raise errors.InputError(
      f'{folder}: {kind}s: found no folder, allowed an existing one'
      f' (site {spec.name})'
    )
  places = [p for p in map(spec.place, specs.KINDS) if p is not None]
  sharing = [other for place, other in places if place == folder]
  found: dict[str, pathlib.Path] = {}
  for path in sorted(folder.iterdir()):
    stem = _stem(path.name, spec.format)
    if stem is None or suffix != _longest(stem, sharing):
      continue
    name = stem.removesuffix(suffix)
    if name in found:
      raise errors.InputError(
        f'{path}: {kind}: found {found[name].name} beside it, allowed one file'
        f' for case {name}'
      )
    found[name] = path
  return dict(sorted(found.items()))


def _stem(name: str, file_format: str) -> str | None:
  """A file name without extension; None if hidden or of another format."""
  for extension in EXTENSIONS[file_format]:
    if name.lower().endswith(extension) and not name.startswith('.'):
      return name[: -len(extension)]
  return None


def _longest(stem: str, suffixes: list[str]) -> str | None:
  return max((s for s in suffixes if stem.endswith(s)), key=len, default=None)


def _choose(spec: specs.Spec, names: list[str]) -> list[str]:
  if spec.cases is None:
    return names
  chosen = set()
  for entry in spec.cases:
    fits = {n for n in names if n == entry or fnmatch.fnmatchcase(n, entry)}
    if not fits:
      raise errors.InputError(
        f'sites.{spec.name}.cases: found {entry!r} without an image in'
        f' {spec.root / spec.images}, allowed names or patterns of its images'
      )
    chosen |= fits
  return sorted(chosen)


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
  rows = tables.read_columns(path, ['case', 'split'])
  for number, row in enumerate(rows, 1):
    name, split = row['case'], row['split']
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
