"""Six synthetic sites that segment the prostate, and their files.

Four are to be trained on, one after another; two are never seen. They differ
in contrast, coil, noise, resolution and patients, each in another way: a
network that adapts to one forgets what another looks like.
"""

from collections.abc import Sequence
from concurrent import futures
import os
import pathlib

import numpy as np

from common import errors
from common.synthetic import folder, prostate, prostate_scanner

STREAM = ('site_a', 'site_b', 'site_c', 'site_d')
UNSEEN = ('site_e', 'site_f')
SITES = STREAM + UNSEEN

_VERSION = 1


def write_sites(
  root: pathlib.Path,
  *,
  shape: Sequence[int],
  num_slices: int,
  num_train: int,
  num_test: int,
  seed: int,
) -> None:
  """Writes six sites, or keeps those that are there already.

  `root/SITE/{images,labels}/CASE.nii.gz` are stored as that site's scanner
  does it, on its own grid; `root/SITE/split.csv` says which cases are for
  training; `root/stream.json` has the parameters. Labels are 1 transition
  zone (inner gland) and 2 peripheral zone. The folder appears when it is
  complete.

  Args:
    root: the folder; it must not exist, be empty, or hold this very stream.
    shape: in-plane pixels of the nominal grid of 96 mm by 96 mm, at least 8;
      the sites' pixels are multiples of its.
    num_slices: axial slices of every volume.
    num_train: training cases of each site.
    num_test: test cases of each site.
    seed: another seed, other people.

  Raises:
    InputError: `root` holds something else or cannot be written, or a
      parameter is out of range.
  """
  shape = [int(size) for size in shape]
  if len(shape) != 2 or min(shape) < 8:
    raise errors.InputError(
      f'shape: found {shape}, allowed two whole numbers, 8 or more'
    )
  if not 1 <= num_slices <= 99:
    raise errors.InputError(f'num_slices: found {num_slices}, allowed 1 to 99')
  counts = folder.check_counts(
    num_train=num_train, num_test=num_test, seed=seed
  )
  manifest = {'version': _VERSION, 'sites': list(SITES)}
  manifest |= {'labels': prostate.LABELS, 'shape': shape}
  manifest |= {'num_slices': num_slices} | counts
  folder.write_once(root, manifest, lambda path: _write(path, manifest))


def by_name(name: str) -> prostate_scanner.Site:
  """The site `name`; KeyError for another."""
  return {site.name: site for site in _SITES}[name]


def _write(root: pathlib.Path, manifest: dict) -> None:
  splits = {'train': manifest['num_train'], 'test': manifest['num_test']}
  rows = [
    {'case': f'{split}_{i:03d}', 'split': split}
    for split, count in splits.items()
    for i in range(count)
  ]
  for site in _SITES:
    folder.save_table(root / site.name / 'split.csv', list(rows[0]), rows)
  with futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
    jobs = [
      pool.submit(_write_case, root / site.name, site, row['case'], manifest)
      for site in _SITES
      for row in rows
    ]
    for job in jobs:
      job.result()


def _write_case(
  path: pathlib.Path, site: prostate_scanner.Site, case: str, manifest: dict
) -> None:
  rendered = prostate_scanner.render(
    site,
    case,
    shape=manifest['shape'],
    num_slices=manifest['num_slices'],
    seed=manifest['seed'],
  )
  for kind in ('image', 'label'):
    folder.save_oriented(
      path / f'{kind}s' / f'{case}.nii.gz',
      getattr(rendered, kind),
      rendered.affine,
      site.orientation,
    )


def _mixed(share: float) -> dict[str, float]:
  """Values between the two contrasts; share 1 is T2."""
  return {
    name: share * value + (1.0 - share) * prostate.T1_ENHANCED[name]
    for name, value in prostate.T2.items()
  }


_SITES = (
  # The textbook T2 image.
  prostate_scanner.Site(
    'site_a', prostate.Population(), origin=(1.5, -12.0, 8.0)
  ),
  # Contrast-enhanced T1 without fat: zones and surroundings are inverted.
  prostate_scanner.Site(
    'site_b',
    prostate.Population(size=(0.8, 1.0), growth=(0.0, 0.5)),
    values=prostate.T1_ENHANCED,
    bias=0.15,
    noise=0.04,
    coarseness=0.75,
    thickness=3.0,
    origin=(-3.0, 20.5, -31.0),
    orientation='RAS',
    level=420.0,
  ),
  # A weak magnet: few pixels, blurred, noisy; old men with large glands.
  prostate_scanner.Site(
    'site_c',
    prostate.Population(size=(1.05, 1.3), growth=(0.6, 1.0)),
    gamma=0.7,
    bias=0.15,
    noise=0.1,
    blur=1.6,
    coarseness=1.2,
    field=120.0,
    thickness=4.0,
    origin=(0.0, -40.0, 112.0),
    orientation='LAS',
    level=250.0,
    dtype=np.int16,
  ),
  # A coil in the distended rectum, slices turned to face it.
  prostate_scanner.Site(
    'site_d',
    prostate.Population(rectum=(16.0, 19.0), press=(2.0, 5.0), gas=(1.0, 1.0)),
    gamma=1.4,
    bias=0.1,
    noise=0.04,
    flare=4.0,
    coarseness=0.9,
    field=104.0,
    thickness=3.0,
    turn=(-7.0, 2.0, 3.0),
    origin=(6.0, 4.0, -15.0),
    orientation='LPS',
    level=700.0,
  ),
  # Between the contrasts, uneven and soft.
  prostate_scanner.Site(
    'site_e',
    prostate.Population(size=(0.9, 1.2), growth=(0.3, 0.9)),
    values=_mixed(0.78),
    gamma=0.8,
    bias=0.35,
    noise=0.04,
    blur=1.0,
    coarseness=0.85,
    field=112.0,
    thickness=3.5,
    origin=(-8.0, -3.0, 40.0),
    orientation='LAS',
    level=900.0,
  ),
  # Another make of coil: weaker, noisier, a flatter curve.
  prostate_scanner.Site(
    'site_f',
    prostate.Population(
      growth=(0.2, 1.0), rectum=(14.0, 17.0), press=(0.0, 3.0), gas=(0.6, 1.0)
    ),
    values=_mixed(0.85),
    gamma=0.7,
    bias=0.2,
    noise=0.07,
    flare=2.0,
    coarseness=1.1,
    field=100.0,
    thickness=3.3,
    origin=(2.0, 11.0, 3.0),
    orientation='RAS',
    level=1500.0,
    dtype=np.int16,
  ),
)
