"""Looks at every file of the sites of a config."""

import pathlib

from ml_collections import config_dict
import numpy as np

from common import config_checks, inspection
from smg import cases, folders, setup, specs


def inspect(config: config_dict.ConfigDict) -> list[inspection.Station]:
  """What there is at each site, and all that is wrong with it.

  Raises:
    InputError: the config itself cannot be used.
  """
  config_checks.check_stations(config, config.sites)
  folder = setup.write_synthetic(config)
  stations = []
  for name in (*config.stream, *config.unseen):
    role = 'stream' if name in config.stream else 'unseen'
    station = inspection.Station(name, role)
    spec = config.sites[name].to_dict()
    fields = spec | {'root': folder / spec.get('root', name)}
    parsed = station.attempt(specs.parse, name, fields)
    if parsed is not None:
      _look(station, parsed, config)
    stations.append(station)
  return stations


def _look(
  station: inspection.Station,
  spec: specs.Spec,
  config: config_dict.ConfigDict,
) -> None:
  parts = station.attempt(folders.split, spec, station.role == 'stream')
  if parts is None:
    return
  station.counts = {
    name: len(part)
    for name, part in zip(('train', 'test'), parts, strict=True)
    if part
  }
  shape, classes = tuple(config.data.shape), tuple(config.data.classes)
  fullest, most = None, -1
  for case in (*parts[0], *parts[1]):
    prepared = station.attempt(cases.prepare, case, spec, shape, classes)
    if prepared is None:
      continue
    image = cases.load_image(case, spec)
    label = prepared.label * prepared.mask
    values, counts = np.unique(label[label > 0], return_counts=True)
    stored = image.stored.grid if image.stored else image.grid
    station.seen.append(
      inspection.Seen(
        case.image,
        stored,
        float(image.data.min()),
        float(image.data.max()),
        dict(zip(values.tolist(), counts.tolist(), strict=True)),
      )
    )
    if counts.sum() > most:
      fullest, most = (case.name, prepared), counts.sum()
  station.look_for_odd(classes)
  if fullest is not None:
    station.draw = lambda path: _draw(path, spec, *fullest)


def _draw(
  path: pathlib.Path, spec: specs.Spec, name: str, prepared: cases.Prepared
) -> None:
  from smg import figures

  figures.draw_case(
    path,
    prepared.image,
    prepared.label,
    f'{spec.name}: {name}',
    patient=spec.format == 'nifti',
  )
