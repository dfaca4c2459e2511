"""Segmentation sites: cases of a folder, loaded as batches of arrays."""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from common import errors
from smg import cases as cases_lib
from smg import folders, specs

Batch = dict[str, np.ndarray]
Case = cases_lib.Case
Cases = tuple[Case, ...]


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
      label: uint8 (b, *s), classes, 0 beyond the extent of a file.
    """
    chosen = [self._slices[int(i)] for i in indices]
    return {
      name: np.stack([getattr(self.prepared(c), name)[n] for c, n in chosen])
      for name in ('image', 'label')
    }

  def prepared(self, case: Case) -> cases_lib.Prepared:
    """The case on the network grid, read once."""
    if case not in self._prepared:
      self._prepared[case] = cases_lib.prepare(
        case, self.spec, self.shape, self.classes
      )
    return self._prepared[case]

  def load_held_out(self) -> np.ndarray:
    """Images (n, *s, c) of test cases, chosen as those to train on are."""
    chosen = self._choose(self.test)
    return np.stack([self.prepared(case).image[n] for case, n in chosen])

  @functools.cached_property
  def _slices(self) -> tuple[tuple[Case, int], ...]:
    """Everything to train on."""
    return self._choose(self.train)

  def _choose(self, some: Cases) -> tuple[tuple[Case, int], ...]:
    """Case and slice number of what `train_slices` asks for."""
    return tuple(
      (case, n)
      for case in some
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
  shape, classes = check_shape(shape), check_classes(classes)
  both = [name for name in stream if name in unseen]
  if both or not stream:
    raise errors.InputError(
      f'sites: found {f"{both} trained and unseen" if both else "no stream"},'
      ' allowed one or more sites to train on and others to be unseen'
    )
  parsed = [specs.parse(n, f) for n, f in (*stream.items(), *unseen.items())]
  for spec in parsed:
    check_fits(spec, parsed[0], shape, classes)
  sites = tuple(
    Site(
      spec.name, spec, classes, shape, *folders.split(spec, spec.name in stream)
    )
    for spec in parsed
  )
  check_separate(sites[: len(stream)], sites)
  for site in sites:
    for case in site.train + site.test:
      site.prepared(case)
    if site.name in stream:
      check_trainable(site)
  return sites


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
  """The sides of the network grid, two or three."""
  values = tuple(int(s) for s in shape)
  wrong = list(values) != list(shape) or len(values) not in (2, 3)
  if wrong or min(values) < 1:
    raise errors.InputError(
      f'shape: found {tuple(shape)}, allowed two (2-D) or three (3-D) whole'
      ' numbers above 0'
    )
  return values


def check_classes(classes: Sequence[int]) -> tuple[int, ...]:
  """The classes beside 0, ascending."""
  values = tuple(sorted({int(c) for c in classes}))
  wrong = not values or values[0] < 1 or values[-1] > 255
  if wrong or sorted(classes) != list(values):
    raise errors.InputError(
      f'classes: found {tuple(classes)},'
      ' allowed different whole numbers 1 to 255'
    )
  return values


def check_fits(
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


def check_trainable(site: Site) -> None:
  """There is a slice to train on."""
  if not site.num_train():
    raise errors.InputError(
      f'sites.{site.name}.train_slices: found {site.spec.train_slices!r} and'
      " no labelled slice to train on, allowed 'all', or labels with classes"
    )


def check_separate(stream: Sequence[Site], sites: Sequence[Site]) -> None:
  """No image is trained on at one site and tested on at the same or another."""
  trained = {case.image.resolve(): s.name for s in stream for case in s.train}
  for site in sites:
    for case in site.test:
      if case.image.resolve() in trained:
        raise errors.InputError(
          f'{case.image}: split: found among the test cases of {site.name} and'
          f' the train cases of {trained[case.image.resolve()]}, allowed one'
        )
