"""All that is wrong with the data of a config, at once."""

import pathlib
import shutil

import nibabel as nib
import numpy as np
import pytest

from common import grids, inspection
from tests import binaries


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> pathlib.Path:
  """The data of both smallest configs, and that they are good."""
  folder = tmp_path_factory.mktemp('data')
  for name in ('smg', 'samcl'):
    done = _check(name, folder / name, folder / f'{name}_pictures')
    assert done.returncode == 0, done.stderr
  return folder


def _check(name: str, folder: pathlib.Path, workdir: pathlib.Path, *flags: str):
  return binaries.run(
    'common.check_data',
    f'configs/{name}_tiny.py',
    f'--workdir={workdir}',
    f'--config.data.folder={folder}',
    *flags,
  )


def _rows(text: str) -> dict[str, list[str]]:
  lines = [line for line in text.splitlines() if line.startswith('| ')]
  cells = [[c.strip() for c in line.strip('|').split('|')] for line in lines]
  return {row[0]: row[1:] for row in cells[2:]}


def test_good_data(data, tmp_path):
  done = _check('smg', data / 'smg', tmp_path)
  rows = _rows(done.stdout)
  assert list(rows) == ['site_a', 'site_b', 'site_e']
  assert rows['site_a'][:5] == [
    'stream',
    '4 train, 2 test',
    '16x16x2',
    '6x6x3.6',
    'LPS',
  ]
  assert rows['site_e'][0] == 'unseen'
  image = nib.load(data / 'smg' / 'site_a' / 'images' / 'train_000.nii.gz')
  assert nib.aff2axcodes(image.affine) == ('L', 'P', 'S')
  assert {path.name for path in tmp_path.iterdir()} == {
    'site_a.png',
    'site_b.png',
    'site_e.png',
  }
  assert done.stdout.splitlines()[-1].startswith('done: 18 images')


def test_tasks(data, tmp_path):
  done = _check('samcl', data / 'samcl', tmp_path)
  rows = _rows(done.stdout)
  assert len(rows) == len(list(tmp_path.glob('*.png'))) == 4
  assert rows['brain_mr'][1].startswith('4 train pairs, 2 val pairs, ')
  assert set(rows['abdomen_mr_ct'][4].split(', ')) == {'LSP', 'LPS'}


def _spoil(data: pathlib.Path, folder: pathlib.Path) -> None:
  """Three bad cases at one site, one at another, an odd one."""
  shutil.copytree(data / 'smg', folder)
  (folder / 'site_a' / 'labels' / 'train_000.nii.gz').unlink()
  (folder / 'site_a' / 'labels' / 'test_001.nii.gz').unlink()
  (folder / 'site_b' / 'images' / 'train_001.nii.gz').write_bytes(b'none')
  path = folder / 'site_b' / 'labels' / 'train_002.nii.gz'
  label = nib.load(path)
  values = np.asanyarray(label.dataobj).copy()
  values[0, 0, 0] = 9
  nib.save(nib.Nifti1Image(values, label.affine), path)
  path = folder / 'site_e' / 'labels' / 'test_000.nii.gz'
  label = nib.load(path)
  nothing = np.zeros(label.shape, np.uint8)
  nib.save(nib.Nifti1Image(nothing, label.affine), path)


def test_every_problem_is_named_at_once(data, tmp_path):
  _spoil(data, tmp_path / 'data')
  done = _check(
    'smg', tmp_path / 'data', tmp_path / 'out', '--config.data.synthetic=False'
  )
  assert done.returncode == 2
  lines = done.stderr.strip().splitlines()
  assert all(line.startswith('error: site_') for line in lines)
  text = '\n'.join(lines)
  for part in (
    'test_001',
    'label of train_000',
    'train_001.nii.gz: file: found no readable NIfTI',
    'train_002.nii.gz: label: found [9]',
  ):
    assert part in text
  assert 'site_e' not in text
  assert 'odd: site_e: ' in done.stdout and 'label: empty' in done.stdout
  assert 'done' not in done.stdout


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    (
      '--config.sites.site_b.spacing=(6.0,6.0,6.0)',
      'site_b: sites.site_b.spacing: found (6.0, 6.0, 6.0), allowed 2 numbers',
    ),
    ("--config.unseen=('site_f',)", 'site_f: '),
  ],
)
def test_sites_that_do_not_fit_together(data, tmp_path, flag, message):
  """Site f tests on the very files that site a trains on."""
  folder = tmp_path / 'data'
  shutil.copytree(data / 'smg', folder)
  shutil.rmtree(folder / 'site_f')
  (folder / 'site_f').mkdir()
  for name in ('images', 'labels'):
    (folder / 'site_f' / name).symlink_to(folder / 'site_a' / name)
  done = _check(
    'smg', folder, tmp_path / 'out', '--config.data.synthetic=False', flag
  )
  assert done.returncode == 2, done.stderr
  (line,) = done.stderr.strip().splitlines()
  assert line.startswith(f'error: {message}')
  assert 'allowed' in line


@pytest.mark.parametrize(
  ('name', 'shape'), [('smg', (17, 16)), ('samcl', (17, 16, 16))]
)
def test_a_config_that_would_be_refused(data, tmp_path, name, shape):
  flag = f'--config.data.shape={shape}'
  done = _check(name, data / name, tmp_path / 'out', flag)
  assert done.returncode == 2
  assert f'config.data.shape: found {shape}' in done.stderr


def test_missing_images_of_a_task(data, tmp_path):
  shutil.copytree(data / 'samcl', tmp_path / 'data')
  images = sorted((tmp_path / 'data' / 'lung_ct' / 'images').glob('train*'))
  for path in images[:2]:
    path.unlink()
  done = _check(
    'samcl', tmp_path / 'data', tmp_path, '--config.data.synthetic=False'
  )
  (line,) = done.stderr.strip().splitlines()
  assert line.startswith('error: lung_ct: ')
  assert all(path.name in line for path in images[:2])


def _seen(spacing: float = 1.0, high: float = 100.0, labels=None):
  affine = np.diag([spacing, spacing, spacing, 1.0])
  grid = grids.Grid((4, 4, 4), affine)
  return inspection.Seen(pathlib.Path(f'{spacing}'), grid, 0.0, high, labels)


def test_what_is_odd():
  station = inspection.Station('a', 'stream')
  station.seen = [
    _seen(labels={1: 5}),
    _seen(labels={1: 5}),
    _seen(spacing=10.0, labels={1: 2}),
    _seen(high=9000.0, labels={}),
  ]
  station.look_for_odd((1, 2))
  class_2, empty, spacing, values = station.odd
  assert 'no voxel of class [2]' in class_2
  assert empty.endswith('label: empty')
  assert spacing.startswith('10.0: spacing: 10 where others have 1')
  assert 'range of values: 9e+03 where others have 100' in values


@pytest.mark.parametrize(
  ('columns', 'expected'),
  [
    (((1, 0, 0), (0, 1, 0), (0, 0, 1)), 'RAS'),
    (((-2, 0, 0), (0, -1, 0), (0, 0, 3)), 'LPS'),
    (((0, 0, 1), (-1, 0, 0), (0, 1, 0)), 'SLA'),
    (((0.9, 0.4, 0), (-0.4, 0.9, 0), (0, 0, 1)), '~RAS'),
  ],
)
def test_orientations(columns, expected):
  affine = np.eye(4)
  affine[:3, :3] = np.array(columns, float).T
  assert inspection.orientation(grids.Grid((2, 2, 2), affine)) == expected
  assert ''.join(nib.aff2axcodes(affine)) == expected.removeprefix('~')


def test_flags_with_a_space(data, tmp_path):
  done = binaries.run(
    'common.check_data',
    'configs/smg_tiny.py',
    '--workdir',
    str(tmp_path / 'pictures'),
    '--config.data.folder',
    str(data / 'smg'),
  )
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'pictures' / 'site_a.png').exists()
