"""Registration tasks: lists of image pairs, loaded as batches of arrays."""

import collections
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from common import errors, grids, volumes
from samcl import cases, folders, landmarks, learn2reg, specs

Batch = dict[str, np.ndarray]
Pair = cases.Pair

_READERS = {'pairs': folders.read_pairs, 'learn2reg': learn2reg.read}


@dataclasses.dataclass(frozen=True, eq=False)
class Native:
  """What brings a displacement of a pair back to the fixed image's own grid.

  fixed, moving: the network grid placed on either image.
  original: the fixed image's own grid, canonical. The three are the last
  arguments of `grids.restore_displacement`.
  """

  fixed: grids.Grid
  moving: grids.Grid
  original: grids.Grid


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
  """One station of a registration stream.

  name: unique in the stream.
  labels: values that labels have beside 0, ascending; empty without labels.
  metric: 'dice' or 'tre', what the task is scored by.
  spacing: of the network grid, mm.
  shape: of the network grid.
  train, val: the pairs.
  max_landmarks: rows of the landmark arrays.
  spec: the fields of the config, with those of the data set filled in.
  """

  name: str
  labels: tuple[int, ...]
  metric: str
  spacing: tuple[float, float, float]
  shape: tuple[int, int, int]
  train: tuple[Pair, ...]
  val: tuple[Pair, ...]
  max_landmarks: int
  spec: specs.Spec
  _cases: dict[cases.Case, cases.Prepared] = dataclasses.field(
    default_factory=dict, repr=False
  )
  _points: dict[Pair, Batch] = dataclasses.field(
    default_factory=dict, repr=False
  )

  def pairs(self, split: str) -> tuple[Pair, ...]:
    """The pairs of 'train' or 'val'."""
    return {'train': self.train, 'val': self.val}[split]

  def load(self, split: str, indices: Iterable[int]) -> Batch:
    """A batch of the pairs with these numbers.

    Every file is read at its first use and its prepared volume kept.

    Returns:
      fixed, moving: float32 (b, x, y, z) in [0, 1];
      fixed_mask, moving_mask: uint8 (b, x, y, z), 0 or 1;
      fixed_label, moving_label: uint8 (b, x, y, z);
      fixed_landmarks, moving_landmarks: float32 (b, k, 3), voxels of the
        network grid, 0 in rows without a point;
      landmark_weight: float32 (b, k), 1 for a point, else 0.

    Raises:
      InputError: a file cannot be used, see `cases`.
    """
    pairs = self.pairs(split)
    samples = [self._sample(pairs[int(i)]) for i in indices]
    return {name: np.stack([s[name] for s in samples]) for name in samples[0]}

  def native(self, pair: Pair) -> Native:
    """The grids of a pair, see `Native`."""
    fixed, moving = self.prepared(pair.fixed), self.prepared(pair.moving)
    return Native(fixed.grid, moving.grid, fixed.original)

  def prepared(self, case: cases.Case) -> cases.Prepared:
    """The case on the network grid, read once."""
    if case not in self._cases:
      prepared = cases.prepare(
        case, shape=self.shape, spacing=self.spec.spacing, labels=self.labels
      )
      _check_spacing(case, prepared.grid.spacing, self.spacing)
      self._cases[case] = prepared
    return self._cases[case]

  def _sample(self, pair: Pair) -> Batch:
    fixed, moving = self.prepared(pair.fixed), self.prepared(pair.moving)
    if pair not in self._points:
      self._points[pair] = self._landmarks(pair, fixed, moving)
    return {
      'fixed': fixed.image,
      'moving': moving.image,
      'fixed_mask': fixed.mask,
      'moving_mask': moving.mask,
      'fixed_label': fixed.label,
      'moving_label': moving.label,
    } | self._points[pair]

  def _landmarks(
    self, pair: Pair, fixed: cases.Prepared, moving: cases.Prepared
  ) -> Batch:
    points = landmarks.read_points(pair)
    count = len(points[0])
    sides = (
      ('fixed', pair.fixed, fixed, points[0]),
      ('moving', pair.moving, moving, points[1]),
    )
    batch = {'landmark_weight': np.zeros(self.max_landmarks, np.float32)}
    batch['landmark_weight'][:count] = 1
    for side, case, prepared, found in sides:
      rows = np.zeros((self.max_landmarks, 3), np.float32)
      if count:
        rows[:count] = landmarks.place_points(
          found,
          case,
          prepared,
          refinement=self.spec.landmark_refinement or 1,
          must_be_on_network_grid=side == 'fixed',
          path=pair.landmarks or case.landmarks,
        )
      batch[f'{side}_landmarks'] = rows
    return batch


def load_tasks(
  fields: Sequence[Mapping[str, Any]],
  *,
  shape: Sequence[int],
  num_unseen: int = 0,
) -> tuple[Task, ...]:
  """Builds the tasks of a stream; all their files are there afterwards.

  Their landmark arrays have as many rows as the pair with the most landmarks
  needs, and at least one.

  Args:
    fields: one dict for each task, see `specs.Spec`.
    shape: of the network grid, the same for all tasks.
    num_unseen: how many of the last tasks are only scored; they need no pairs
      to train on, and have none.

  Raises:
    InputError: a field, a list or a landmark file cannot be used; a file is
      missing; a task has no pairs, or validates on a pair that it trains on.
  """
  shape = _check_shape(shape)
  parsed = [specs.parse(dict(f), i) for i, f in enumerate(fields)]
  repeated = [
    name
    for name, count in collections.Counter(s.name for s in parsed).items()
    if count > 1
  ]
  if repeated:
    raise errors.InputError(
      f'tasks: name: found {repeated} more than once, allowed different names'
    )
  num_stream = len(parsed) - num_unseen
  built = tuple(
    _create_task(spec, shape, is_trained=number < num_stream)
    for number, spec in enumerate(parsed)
  )
  rows = max(1, *map(_count_landmarks, built))
  return tuple(dataclasses.replace(t, max_landmarks=rows) for t in built)


def _create_task(
  spec: specs.Spec, shape: tuple[int, int, int], *, is_trained: bool
) -> Task:
  contents = _READERS[spec.format](spec)
  spec = contents.spec
  train = contents.train if is_trained else ()
  val = contents.val
  if spec.format == 'learn2reg' and spec.metric != 'tre':
    val = learn2reg.drop_unknown_points(val)
  if is_trained:
    _check_pairs(spec, 'train', train)
  _check_pairs(spec, 'val', val)
  _check_separate(spec, train, val)
  labels = _labels(spec, contents, train + val)
  return Task(
    name=spec.name,
    labels=labels,
    metric=_metric(spec, labels, val),
    spacing=spec.spacing or _file_spacing((train or val)[0].fixed),
    shape=shape,
    train=train,
    val=val,
    max_landmarks=0,
    spec=spec,
  )


def _check_shape(shape: Sequence[int]) -> tuple[int, int, int]:
  values = tuple(int(s) for s in shape)
  if len(values) != 3 or min(values) < 1:
    raise errors.InputError(
      f'shape: found {tuple(shape)}, allowed three whole numbers above 0'
    )
  return values


def _check_pairs(spec: specs.Spec, split: str, pairs: tuple[Pair, ...]) -> None:
  if not pairs:
    raise errors.InputError(
      f'{spec.root}: {split} pairs: found none, allowed one or more'
    )
  missing = {
    path: pair for pair in pairs for path in pair.files if not path.is_file()
  }
  if missing:
    (path, pair), *others = missing.items()
    more = ', '.join(str(other) for other, _ in others)
    raise errors.InputError(
      f'{path}: file: found nothing, allowed a file: the {split} pair'
      f' {pair.name} of task {spec.name} needs it'
      + (f'; missing too: {more}' if more else '')
    )


def _check_separate(
  spec: specs.Spec, train: tuple[Pair, ...], val: tuple[Pair, ...]
) -> None:
  both = {pair.name for pair in train} & {pair.name for pair in val}
  if both:
    raise errors.InputError(
      f'{spec.root}: val pairs: found {sorted(both)[:5]} among the train'
      ' pairs too, allowed pairs of one split only'
    )


def _check_spacing(
  case: cases.Case,
  found: tuple[float, float, float],
  allowed: tuple[float, float, float],
) -> None:
  if not np.allclose(found, allowed, rtol=1e-2):
    raise errors.InputError(
      f'{case.image}: spacing: found {np.round(found, 3).tolist()} mm, allowed'
      f' {np.round(allowed, 3).tolist()} mm as in the first image;'
      ' the field "spacing" resamples'
    )


def _labels(
  spec: specs.Spec, contents: folders.Contents, pairs: tuple[Pair, ...]
) -> tuple[int, ...]:
  """Declared in the config, else in the data."""
  if not any(pair.fixed.label for pair in pairs):
    return ()
  labels = spec.labels or tuple(contents.label_names)
  if not labels or max(labels) > 255:
    raise errors.InputError(
      f'tasks ({spec.name}): labels: found {labels or "none"} for'
      f' {spec.root}, allowed whole numbers 1 to 255 in the field "labels"'
      ' or in label_names.csv'
    )
  return tuple(sorted(labels))


def _metric(
  spec: specs.Spec, labels: tuple[int, ...], val: tuple[Pair, ...]
) -> str:
  metric = spec.metric or ('dice' if labels else 'tre')
  without = [pair.name for pair in val if not pair.has_landmarks]
  if metric == 'tre' and without:
    raise errors.InputError(
      f'tasks ({spec.name}): metric: found tre, but no landmarks for'
      f' {without[:5]}, allowed dice, or landmarks for all val pairs'
    )
  if metric == 'dice' and not labels:
    raise errors.InputError(
      f'tasks ({spec.name}): metric: found dice, but no labels in'
      f' {spec.root}, allowed tre'
    )
  return metric


def _file_spacing(case: cases.Case) -> tuple[float, float, float]:
  spacing = volumes.load_grid(case.image, canonical=case.axes is None).spacing
  return tuple(spacing[axis] for axis in case.axes or range(3))


def _count_landmarks(task: Task) -> int:
  """The most that a pair has."""
  return max(len(landmarks.read_points(p)[0]) for p in task.train + task.val)
