"""Looks at every file of the tasks of a config."""

import pathlib

from ml_collections import config_dict
import numpy as np

from common import inspection, volumes
from samcl import setup, specs
from samcl import tasks as tasks_lib


def inspect(config: config_dict.ConfigDict) -> list[inspection.Station]:
  """What there is in each task, and all that is wrong with it.

  Raises:
    InputError: the config itself cannot be used.
  """
  setup.check(config)
  folder = setup.write_synthetic(config)
  stations = []
  for name in (*config.stream, *config.unseen):
    role = 'stream' if name in config.stream else 'unseen'
    station = inspection.Station(name, role)
    fields = setup.task_fields(config, name, folder)
    if station.attempt(specs.parse, fields, 0) is not None:
      shape = tuple(config.data.shape)
      found = station.attempt(
        tasks_lib.load_tasks,
        [fields],
        shape=shape,
        num_unseen=int(role == 'unseen'),
      )
      if found is not None:
        _look(station, found[0])
    stations.append(station)
  return stations


def _look(station: inspection.Station, task: tasks_lib.Task) -> None:
  for split in ('train', 'val'):
    station.counts[f'{split} pairs'] = len(task.pairs(split))
  images = dict.fromkeys(
    case
    for pair in (*task.train, *task.val)
    for case in (pair.fixed, pair.moving)
  )
  station.counts['images'] = len(images)
  good = set()
  for case in images:
    prepared = station.attempt(task.prepared, case)
    if prepared is None:
      continue
    good.add(case)
    image = volumes.load_volume(case.image).data
    values, counts = np.unique(
      prepared.label[prepared.label > 0], return_counts=True
    )
    labels = dict(zip(values.tolist(), counts.tolist(), strict=True))
    station.seen.append(
      inspection.Seen(
        case.image,
        prepared.stored,
        float(image.min()),
        float(image.max()),
        labels if case.label is not None else None,
      )
    )
  for split in ('train', 'val'):
    for number, pair in enumerate(task.pairs(split)):
      if {pair.fixed, pair.moving} <= good:
        station.attempt(task.load, split, [number])
  station.look_for_odd(task.labels)
  if {task.val[0].fixed, task.val[0].moving} <= good:
    station.draw = lambda path: _draw(path, task)


def _draw(path: pathlib.Path, task: tasks_lib.Task) -> None:
  """The first validation pair as it lies, unregistered."""
  from samcl import figures

  batch = task.load('val', [0])
  labels = {
    f'{side}_label': batch[f'{side}_label'][0] if task.labels else None
    for side in ('fixed', 'moving')
  }
  figures.draw_pair(
    path,
    fixed=batch['fixed'][0],
    moving=batch['moving'][0],
    spacing=task.spacing,
    title=f'{task.name}: {task.val[0].name}',
    **labels,
  )
