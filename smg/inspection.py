"""Looks at every file of the sites of a config."""

import pathlib

from ml_collections import config_dict
import numpy as np

from common import inspection
from smg import cases, folders, setup, specs
from smg import sites as sites_lib


def inspect(config: config_dict.ConfigDict) -> list[inspection.Station]:
  """What there is at each site, and all that is wrong with it.

  Raises:
    InputError: the config itself cannot be used.
  """
  setup.check(config)
  shape = sites_lib.check_shape(config.data.shape)
  classes = sites_lib.check_classes(config.data.classes)
  folder = setup.write_synthetic(config)
  stations, parsed, sites = [], [], []
  for name in (*config.stream, *config.unseen):
    role = 'stream' if name in config.stream else 'unseen'
    station = inspection.Station(name, role)
    stations.append(station)
    spec = station.attempt(
      specs.parse, name, setup.site_fields(config, name, folder)
    )
    if spec is None:
      continue
    parsed.append(spec)
    station.attempt(sites_lib.check_fits, spec, parsed[0], shape, classes)
    parts = station.attempt(folders.split, spec, role == 'stream')
    if parts is None or station.problems:
      continue
    site = sites_lib.Site(name, spec, classes, shape, *parts)
    sites.append((station, site))
    _look(station, site)
  trained = [site for station, site in sites if station.role == 'stream']
  for station, site in sites:
    station.attempt(sites_lib.check_separate, trained, [site])
  return stations


def _look(station: inspection.Station, site: sites_lib.Site) -> None:
  station.counts = {
    name: len(part)
    for name, part in (('train', site.train), ('test', site.test))
    if part
  }
  fullest, most = None, -1
  for case in site.train + site.test:
    prepared = station.attempt(site.prepared, case)
    if prepared is None:
      continue
    image = cases.load_image(case, site.spec)
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
  if station.role == 'stream':
    station.attempt(sites_lib.check_trainable, site)
  station.look_for_odd(site.classes)
  if fullest is not None:
    station.draw = lambda path: _draw(path, site.spec, *fullest)


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
