"""Segmenting images of any geometry, and what is refused."""

import csv
import json
import pathlib

import nibabel as nib
import numpy as np
from PIL import Image
import pytest

from common import errors, metrics, volumes
from smg import image_jobs, segmenter
from tests import binaries, workdirs

SHAPE = (20, 18, 7)
AFFINE = np.array(
  [[4.0, 0, 0, -40], [0, 5.0, 0, -50], [0, 0, 6.0, -20], [0, 0, 0, 1]]
)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory) -> pathlib.Path:
  return workdirs.write_segmentation(tmp_path_factory.mktemp('run'))


@pytest.fixture(scope='module')
def network(workdir) -> segmenter.Segmenter:
  return segmenter.Segmenter.load(workdir)


def _image(folder, *, order=(0, 1, 2), flips=(0, 0, 0), turn=None):
  affine = AFFINE if turn is None else turn @ AFFINE
  data = workdirs.blobs(SHAPE, 0)
  data, affine = workdirs.reorder(data, affine, order, np.array(flips))
  return workdirs.save(folder / 'scan.nii.gz', data, affine)


def _segmented(network, folder, **geometry) -> np.ndarray:
  """The label as its file has it, brought back to canonical order."""
  path = _image(folder, **geometry)
  found = network.segment(path)
  saved = folder / 'label.nii.gz'
  volumes.save_volume(saved, found.label.data, like=found.label)
  stored = nib.load(saved)
  assert stored.shape == nib.load(path).shape
  np.testing.assert_allclose(stored.affine, nib.load(path).affine, atol=1e-4)
  return volumes.load_volume(saved, 'label').data


@pytest.fixture(scope='module')
def canonical(network, tmp_path_factory) -> np.ndarray:
  found = _segmented(network, tmp_path_factory.mktemp('canonical'))
  assert len(np.unique(found)) == 3
  return found


@pytest.mark.parametrize('order', workdirs.ORDERS)
def test_every_orientation_gives_the_same(network, canonical, tmp_path, order):
  for flips in workdirs.FLIPS:
    again = _segmented(network, tmp_path, order=order, flips=flips)
    assert metrics.dice_per_label(canonical, again, (1, 2)).min() >= 0.999


@pytest.mark.parametrize('degrees', [-20, -7, 5, 13, 30])
def test_oblique_scans_give_the_same(network, canonical, tmp_path, degrees):
  again = _segmented(network, tmp_path, turn=workdirs.oblique(degrees))
  assert metrics.dice_per_label(canonical, again, (1, 2)).min() >= 0.999


def test_one_program_serves_all_images(network, canonical, tmp_path):
  for number, shape in enumerate([(9, 30, 3), (40, 24, 11)]):
    data = workdirs.blobs(shape, number)
    network.segment(workdirs.save(tmp_path / f'{number}.nii', data, AFFINE))
  assert network._predict._cache_size() == 1


def test_a_mirrored_image_is_averaged_with(network, tmp_path):
  images = workdirs.blobs((16, 16, 3), 2).transpose(2, 0, 1)[..., None] / 300
  plain = network.predict(images)
  assert plain.shape == (3, 16, 16, 3)
  np.testing.assert_allclose(plain.sum(axis=-1), 1, rtol=1e-5)
  mirrored = network.predict(images[:, ::-1])[:, ::-1]
  found = network.predict(images, mirror=0)
  np.testing.assert_allclose(found, (plain + mirrored) / 2, atol=1e-6)
  assert np.abs(found - plain).max() > 1e-3
  # A patient whose sides are exchanged gets the exchanged answer.
  path = _image(tmp_path)
  left = network.segment(path, flips=True).probabilities.data
  data = workdirs.blobs(SHAPE, 0)[::-1]
  other = workdirs.save(tmp_path / 'exchanged.nii.gz', data, AFFINE)
  right = network.segment(other, flips=True).probabilities.data
  np.testing.assert_allclose(right[::-1], left, atol=1e-4)


def test_sagittal_slices_have_no_sides(tmp_path):
  fields = {f'sites.site_{x}.slice_axis': 0 for x in 'abcdef'}
  network = segmenter.Segmenter.load(
    workdirs.write_segmentation(tmp_path / 'run', **fields)
  )
  path = _image(tmp_path)
  network.segment(path)
  with pytest.raises(errors.InputError, match='no left and right'):
    network.segment(path, flips=True)


def test_beyond_the_networks_grid_is_background(network, tmp_path):
  """16 x 16 pixels of 6 mm in the middle of a wider image."""
  data = workdirs.blobs((60, 60, 3), 1)
  path = workdirs.save(tmp_path / 'wide.nii', data, AFFINE)
  found = network.segment(path)
  known = found.probabilities.data.sum(axis=-1) > 0.5
  assert 0.05 < known.mean() < 0.5
  assert not found.label.data[~known].any()
  np.testing.assert_allclose(
    found.probabilities.data.sum(axis=-1)[known], 1, atol=1e-5
  )


@pytest.fixture(scope='module')
def folder(workdir, tmp_path_factory) -> pathlib.Path:
  """A folder of images, one of them damaged, through the binary."""
  folder = tmp_path_factory.mktemp('binary')
  images = folder / 'images'
  for number in range(3):
    workdirs.save(
      images / f'case{number}.nii.gz', workdirs.blobs(SHAPE, number), AFFINE
    )
  (images / 'case1.nii.gz').write_bytes(b'no volume')
  done = binaries.run(
    'smg.segment',
    str(images),
    f'--workdir={workdir}',
    f'--out={folder / "out"}',
    '--overlay',
    '--probabilities',
  )
  assert done.returncode == 1
  assert done.stdout.splitlines()[-1] == (
    f'done: 2 of 3 images; {folder / "out"}'
  )
  (line,) = [x for x in done.stderr.splitlines() if x.startswith('failed: ')]
  assert 'case1.nii.gz: ' in line
  return folder


def test_what_the_binary_leaves(folder):
  names = {path.name for path in (folder / 'out').iterdir()}
  assert names == {'volumes.csv'} | {
    f'case{n}{end}'
    for n in (0, 2)
    for end in ('.nii.gz', '_overlay.png', '_probabilities.nii.gz')
  }
  label = nib.load(folder / 'out' / 'case2.nii.gz')
  shares = nib.load(folder / 'out' / 'case2_probabilities.nii.gz')
  assert shares.shape == (*SHAPE, 3)
  np.testing.assert_array_equal(
    np.asanyarray(label.dataobj), shares.get_fdata().argmax(axis=-1)
  )


def test_volumes_are_in_millilitres(folder):
  with open(folder / 'out' / 'volumes.csv', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  label = np.asanyarray(nib.load(folder / 'out' / 'case0.nii.gz').dataobj)
  for row in (row for row in rows if row['case'] == 'case0'):
    count = (label == int(row['value'])).sum()
    assert int(row['voxels']) == count > 0
    assert float(row['volume']) == pytest.approx(count * 0.12, abs=1e-3)
    assert row['unit'] == 'ml'
  assert {row['case'] for row in rows} == {'case0', 'case2'}


def test_png_in_png_out(tmp_path):
  """Values of the site's files, two of them for one class."""
  site = {
    'format': 'png',
    'spacing': None,
    'label_values': ((100, 1), (255, 2), (101, 1)),
  }
  workdir = workdirs.write_segmentation(
    tmp_path / 'run',
    **{'sites': dict.fromkeys(('site_a', 'site_b', 'site_e'), site)},
  )
  data = workdirs.blobs((30, 22, 3), 0)[..., 1]
  Image.fromarray(data.clip(0, 255).astype(np.uint8)).save(tmp_path / 'a.png')
  network = segmenter.Segmenter.load(workdir)
  settings = image_jobs.Settings(overlay=True)
  out = tmp_path / 'out'
  assert image_jobs.execute([tmp_path / 'a.png'], network, settings, out) == 0
  label = np.asarray(Image.open(out / 'a.png'))
  assert label.shape == (30, 22)
  assert {100, 255} <= set(np.unique(label)) <= {0, 100, 255}
  assert (out / 'a_overlay.png').exists()
  # Left and right of a png are its columns.
  mirrored = Image.fromarray(data.clip(0, 255).astype(np.uint8)[:, ::-1])
  mirrored.save(tmp_path / 'b.png')
  one, other = (
    network.segment(tmp_path / f'{x}.png', flips=True).probabilities.data
    for x in 'ab'
  )
  np.testing.assert_allclose(other[:, ::-1], one, atol=1e-4)
  assert ',px,1.0\n' in (out / 'volumes.csv').read_text()


def test_sites_that_are_prepared_differently_must_be_named(tmp_path):
  workdir = workdirs.write_segmentation(
    tmp_path, **{'sites.site_b.percentiles': (1.0, 90.0)}
  )
  network = segmenter.Segmenter.load(workdir)
  path = _image(tmp_path)
  with pytest.raises(errors.InputError, match=r'--site: missing; .*site_b'):
    network.segment(path)
  with pytest.raises(errors.InputError, match='--site=nowhere: the run has'):
    network.segment(path, site='nowhere')
  a, b = (network.segment(path, site=f'site_{x}').image for x in 'ab')
  assert np.abs(a - b).max() > 0.05


def _edited(tmp_path, edit, **fields) -> segmenter.Segmenter:
  """The network of a run whose config.json says something else."""
  workdir = workdirs.write_segmentation(tmp_path / 'edited', **fields)
  path = workdir / 'config.json'
  config = json.loads(path.read_text())
  edit(config)
  path.write_text(json.dumps(config))
  return segmenter.Segmenter.load(workdir)


def test_classes_are_told_in_any_order(network, tmp_path):
  def edit(config):
    config['data']['classes'] = [2, 1]

  other, path = _edited(tmp_path, edit), _image(tmp_path)
  assert other.classes == network.classes == (1, 2)
  expected = network.segment(path).label.data
  assert len(np.unique(expected)) == 3
  np.testing.assert_array_equal(other.segment(path).label.data, expected)


def test_sites_with_masks_and_sites_that_were_not_used(network, tmp_path):
  def edit(config):
    config['sites']['site_a'] |= {'masks': '.', 'mask_suffix': '_region'}
    config['sites']['site_f'] = {'format': 'png', 'typo': 3}

  path = _image(tmp_path)
  found = _edited(tmp_path, edit).segment(path)
  np.testing.assert_array_equal(
    found.label.data, network.segment(path).label.data
  )


@pytest.mark.parametrize(
  ('values', 'background', 'told'),
  [([[7, 1]], 0, 7), ([[255, 0], [0, 1]], 255, 0)],
)
def test_a_class_that_a_site_does_not_tell(
  network, tmp_path, values, background, told
):
  def edit(config):
    config['sites']['site_b']['label_values'] = values

  path = _image(tmp_path)
  expected = network.segment(path).label.data
  found = _edited(tmp_path, edit).segment(path, site='site_b')
  assert found.values == (told,)
  np.testing.assert_array_equal(
    found.label.data, np.where(expected == 1, told, background)
  )


def test_volumes_of_a_tilted_scan(network, tmp_path):
  """Sheared axes: the volume of a voxel is not the product of its sides."""
  tilted = AFFINE.copy()
  tilted[1, 2] = 2.4
  data = workdirs.blobs(SHAPE, 0)
  paths = [
    workdirs.save(tmp_path / f'{name}.nii', data, affine)
    for name, affine in (('upright', AFFINE), ('tilted', tilted))
  ]
  image_jobs.execute(paths, network, image_jobs.Settings(), tmp_path / 'out')
  with open(tmp_path / 'out' / 'volumes.csv', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  assert {row['case'] for row in rows} == {'upright', 'tilted'}
  for row in rows:
    assert float(row['volume']) == pytest.approx(int(row['voxels']) * 0.12)


def test_a_single_slice_and_a_volume_network(tmp_path):
  workdir = workdirs.write_segmentation(
    tmp_path / 'run',
    **{
      'data.shape': (8, 8, 8),
      **{
        f'sites.site_{x}.spacing': (6.0, 6.0, 6.0)
        for x in ('a', 'b', 'c', 'd', 'e', 'f')
      },
    },
  )
  data = workdirs.blobs((20, 18, 2), 0)[..., :1]
  path = workdirs.save(tmp_path / 'a.nii', data, AFFINE)
  network = segmenter.Segmenter.load(workdir)
  with pytest.raises(errors.InputError, match='a single slice in a 3-D'):
    network.segment(path)
  # A volume is not copied to fill a batch.
  seen = []
  network._predict = lambda params, images: seen.append(len(images)) or images
  network.predict(np.zeros((1, 16, 16, 16, 1), np.float32))
  assert seen == [1]


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    (['a.nii'], '--out: missing'),
    (['a.nii', '--out=x'], 'a.nii: file: found nothing'),
    (['README.md', '--out=x'], 'README.md: suffix'),
    (['no.folder/', '--out=x'], 'no.folder: file: found nothing'),
    (['common', '--out=x'], 'common: DICOM series: found 0'),
    (['--out=x'], 'arguments: found none'),
  ],
)
def test_arguments_that_cannot_be_used(workdir, tmp_path, arguments, expected):
  arguments = [a.replace('--out=x', f'--out={tmp_path}') for a in arguments]
  said = binaries.refused('smg.segment', f'--workdir={workdir}', *arguments)
  assert expected in said


def test_images_that_can_be_no_scan(network, tmp_path):
  data = workdirs.blobs(SHAPE, 0)
  metres = np.diag([1e-3, 1e-3, 1e-3, 1]) @ AFFINE
  path = workdirs.save(tmp_path / 'metres.nii.gz', data, metres)
  with pytest.raises(errors.InputError, match='seems to be in metres'):
    network.segment(path)
  label = (data > 150).astype(np.uint8)
  path = workdirs.save(tmp_path / 'label.nii.gz', label, AFFINE)
  with pytest.raises(errors.InputError, match='seems to be a label map'):
    network.segment(path)


def test_a_volume_of_a_series(network, tmp_path):
  series = np.stack([workdirs.blobs(SHAPE, n) for n in (0, 1)], axis=-1)
  path = workdirs.save(tmp_path / 'series.nii.gz', series, AFFINE)
  with pytest.raises(errors.InputError, match='index: found none for a 4-D'):
    network.segment(path)
  alone = workdirs.save(tmp_path / 'one.nii.gz', series[..., 1], AFFINE)
  np.testing.assert_array_equal(
    network.segment(path, index=1).label.data,
    network.segment(alone).label.data,
  )


def test_names_of_a_folder(tmp_path):
  """Dots within names stay; what other systems leave beside is not seen."""
  for name in ('p.001.nii.gz', 'p.002.nii.gz', '._p.001.nii.gz'):
    (tmp_path / name).write_bytes(b'')
  found = image_jobs.find([tmp_path], 'nifti')
  assert [path.name for path in found] == ['p.001.nii.gz', 'p.002.nii.gz']


def test_an_input_is_never_overwritten(network, tmp_path):
  path = _image(tmp_path)
  before = path.read_bytes()
  with pytest.raises(errors.InputError, match='would be overwritten'):
    image_jobs.execute([path], network, image_jobs.Settings(), tmp_path)
  assert path.read_bytes() == before


def test_what_the_network_did_not_see_is_said(network, tmp_path, capsys):
  """16 x 16 pixels of 6 mm, of 60 x 60 of 4 and 5 mm; nothing found counts."""
  data = workdirs.blobs((60, 60, 3), 1)
  path = workdirs.save(tmp_path / 'wide.nii.gz', data, AFFINE)
  out = tmp_path / 'out'
  image_jobs.execute([path], network, image_jobs.Settings(), out)
  with open(out / 'volumes.csv', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  assert [row['value'] for row in rows] == ['1', '2']
  share = (96 / 240) * (96 / 300)
  for row in rows:
    assert float(row['covered']) == pytest.approx(share, abs=0.02)
  assert 'note: the network saw as little as 13 %' in capsys.readouterr().out


def test_a_slice_that_shows_nothing_is_background(network):
  images = np.full((2, *network.shape, 1), 0.3, np.float32)
  images[1, : network.shape[0] // 2] = 0.8
  nothing, something = network.predict(images)
  np.testing.assert_array_equal(np.unique(nothing[..., 0]), [1])
  np.testing.assert_array_equal(np.unique(nothing[..., 1:]), [0])
  assert something.min() > 0 and something.max() < 1
