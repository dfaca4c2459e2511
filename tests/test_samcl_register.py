"""Registering volumes of any geometry, and what is refused."""

import csv
import itertools
import json
import pathlib

from flax import linen as nn
import jax.numpy as jnp
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from common import (
  displacements,
  errors,
  grids,
  losses,
  metrics,
  points,
  volumes,
)
from samcl import cases, pair_jobs, placement, registrar, scans, specs
from samcl import transform as transform_lib
from tests import binaries, workdirs

SHAPE = (20, 18, 22)
AFFINE = np.array(
  [[5.0, 0, 0, -40], [0, 6.0, 0, -50], [0, 0, 4.0, -30], [0, 0, 0, 1]]
)

MARKS = {'fixed': 'two', 'moving': 'one'}


@pytest.fixture(scope='module')
def workdir(tmp_path_factory) -> pathlib.Path:
  return workdirs.write_registration(tmp_path_factory.mktemp('run'))


@pytest.fixture(scope='module')
def network(workdir) -> registrar.Registrar:
  return registrar.Registrar.load(workdir)


def _pair(folder, *, order=(0, 1, 2), flips=(0, 0, 0), turn=None):
  """Two volumes that cover each other, and a label of the second."""
  paths = []
  for name, seed in (('fixed', 0), ('moving', 1), ('label', 1)):
    data = workdirs.blobs(SHAPE, seed)
    if name == 'label':
      data = (data > 150).astype(np.uint8) + (data > 250)
    affine = AFFINE if turn is None else turn @ AFFINE
    data, affine = workdirs.reorder(data, affine, order, np.array(flips))
    paths.append(workdirs.save(folder / f'{name}.nii.gz', data, affine))
  return paths


def _warped_label(network, folder, **geometry) -> np.ndarray:
  """The warped label and the field as the files have them, in canonical order.

  Everything is written and read again.
  """
  fixed, moving, label = _pair(folder, **geometry)
  found = network.register(scans.load(fixed), scans.load(moving))
  like = volumes.load_volume(fixed)
  warped = found.displacement.warp(volumes.load_volume(label, 'label'), 0)
  volumes.save_volume(folder / 'warped.nii.gz', warped.data, like=like)
  volumes.save_displacement(
    folder / 'u.nii.gz', found.displacement.vectors, like
  )
  stored = nib.load(folder / 'u.nii.gz')
  assert stored.shape[:3] == nib.load(fixed).shape
  np.testing.assert_allclose(stored.affine, nib.load(fixed).affine, atol=1e-4)
  return (
    volumes.load_volume(folder / 'warped.nii.gz', 'label').data,
    volumes.load_displacement(folder / 'u.nii.gz').data,
  )


@pytest.fixture(scope='module')
def canonical(network, tmp_path_factory):
  return _warped_label(network, tmp_path_factory.mktemp('canonical'))


@pytest.mark.parametrize('order', workdirs.ORDERS)
def test_every_orientation_gives_the_same(network, canonical, tmp_path, order):
  label, field = canonical
  assert np.linalg.norm(field, axis=-1).mean() > 2
  for flips in workdirs.FLIPS:
    again, vectors = _warped_label(network, tmp_path, order=order, flips=flips)
    assert metrics.dice_per_label(label, again, (1, 2)).min() >= 0.999
    np.testing.assert_allclose(vectors, field, atol=1e-3)


@pytest.mark.parametrize('degrees', [-20, -7, 5, 13, 30])
def test_oblique_scans_give_the_same(network, canonical, tmp_path, degrees):
  label, field = canonical
  turn = workdirs.oblique(degrees)
  again, vectors = _warped_label(network, tmp_path, turn=turn)
  assert metrics.dice_per_label(label, again, (1, 2)).min() >= 0.999
  np.testing.assert_allclose(vectors @ turn[:3, :3], field, atol=1e-3)


def test_scans_of_different_geometry_are_brought_together(network, tmp_path):
  """The moving volume on another grid, in the same place: nearly the same."""
  fixed, moving, _ = _pair(tmp_path)
  plain = network.register(scans.load(fixed), scans.load(moving))
  volume = volumes.load_volume(moving)
  finer = grids.network_grid(volume.grid, (2.0, 2.0, 2.0), (60, 64, 54))
  other = grids.resample(volume, finer, 1)
  data, affine = workdirs.reorder(
    other.data, other.affine, (2, 0, 1), np.array([1, 0, 1])
  )
  path = workdirs.save(tmp_path / 'other.nii', data, affine)
  again = network.register(scans.load(fixed), scans.load(path))
  gap = again.displacement.vectors - plain.displacement.vectors
  size = np.linalg.norm(plain.displacement.vectors, axis=-1).mean()
  assert np.linalg.norm(gap, axis=-1).mean() < 0.15 * size
  assert again.inverse.vectors.shape[:3] == finer.shape


def test_one_program_serves_all_volumes(network, tmp_path):
  for number, shape in enumerate([(16, 16, 16), (9, 30, 21)]):
    paths = [
      workdirs.save(
        tmp_path / f'{number}{side}.nii', workdirs.blobs(shape, side), AFFINE
      )
      for side in range(2)
    ]
    network.register(*map(scans.load, paths))
  assert network._predict._cache_size() == 1
  assert network._finish._cache_size() == 1


@pytest.mark.parametrize('geometry', ['RAS', 'LPS', 'oblique', 'anisotropic'])
def test_another_toolkit_warps_alike(workdir, tmp_path, geometry):
  """The files of the binary, through SimpleITK, on any affine."""
  turn, flips = None, (0, 0, 0)
  if geometry == 'LPS':
    flips = (1, 1, 0)
  elif geometry == 'oblique':
    turn = workdirs.oblique(17)
  elif geometry == 'anisotropic':
    turn = np.diag([1.0, 1.0, 2.5, 1.0])
  fixed, moving, _ = _pair(tmp_path, flips=flips, turn=turn)
  job = pair_jobs.create(tmp_path / 'out', fixed, moving, {})
  network = registrar.Registrar.load(workdir)
  pair_jobs.execute(job, network, pair_jobs.Settings(itk=True))
  read = sitk.ReadImage
  out = tmp_path / 'out'
  field = read(str(out / 'displacement.nii.gz'), sitk.sitkVectorFloat64)
  ours = volumes.load_volume(out / 'warped.nii.gz').data
  for transform in (
    sitk.DisplacementFieldTransform(field),
    sitk.ReadTransform(str(out / 'displacement.h5')),
  ):
    theirs = sitk.Resample(
      read(str(moving), sitk.sitkFloat32),
      read(str(fixed)),
      transform,
      sitk.sitkLinear,
      -1.0,
    )
    sitk.WriteImage(theirs, str(tmp_path / 'theirs.nii.gz'))
    theirs = volumes.load_volume(tmp_path / 'theirs.nii.gz').data
    inside = theirs > -0.5
    assert inside.mean() > 0.5
    gap = np.abs(ours - theirs)[inside].mean()
    assert gap <= 1e-3 * np.ptp(ours)
  # It does something: without the field the two differ a lot.
  still = volumes.load_volume(moving).data
  assert np.abs(ours - still)[inside].mean() > 10e-3 * np.ptp(ours)


class Demons(nn.Module):
  """Forces along the edges of the fixed image, smoothed: no parameters."""

  @nn.compact
  def __call__(self, x):
    fixed, moving = x[..., 0], x[..., 1]
    slope = jnp.stack(jnp.gradient(fixed[0]), axis=-1)[None]
    return 40 * losses.gaussian_smooth(slope * (fixed - moving)[..., None], 3.0)


def test_the_inverse_undoes_the_displacement(tmp_path):
  """Twenty pairs: back to the same voxel within a twentieth of it."""
  network = registrar.Registrar(
    Demons(),
    {},
    shape=(16, 16, 16),
    transform=transform_lib.Transform(num_squarings=4),
    energy={},
    tasks={},
  )
  gaps, sizes = [], []
  for seed in range(20):
    scan = [
      scans.load(workdirs.save(tmp_path / 'a.nii', image, AFFINE))
      for image in (
        workdirs.blobs(SHAPE, 2 * seed),
        workdirs.blobs(SHAPE, 2 * seed + 1),
      )
    ]
    found = network.register(*scan)
    grid = found.displacement.grid
    places = np.moveaxis(np.indices(grid.shape), 0, -1)
    start = grids.transform_points(places, grid.affine)
    there = found.displacement.move(start)
    gap = found.inverse.move(there) - start
    for voxels, far in ((gaps, gap), (sizes, there - start)):
      voxels.append(np.linalg.norm(far / grid.spacing, axis=-1).mean())
  assert np.mean(sizes) > 0.4
  assert np.mean(gaps) <= 0.05


def test_refinement_is_stiffer_than_training(tmp_path):
  """Ten times, for both energies, in the weights of the run."""
  network = registrar.Registrar(
    Demons(),
    {},
    shape=(8, 8, 8),
    transform=transform_lib.SYMMETRIC,
    energy={'membrane_weight': 0.5, 'bending_weight': 2.0},
    tasks={},
  )
  scan = scans.load(
    workdirs.save(tmp_path / 'a.nii', workdirs.blobs(SHAPE, 1), AFFINE)
  )
  batch, *_ = placement.place(
    scan, scan, shape=(8, 8, 8), spec=None, align='world'
  )
  velocity = np.random.default_rng(0).random((1, 8, 8, 8, 3), np.float32)
  terms = network._cost(velocity, batch)[1]
  for name, weight, energy in (
    ('membrane', 5, losses.membrane_energy),
    ('bending', 20, losses.bending_energy),
  ):
    np.testing.assert_allclose(
      terms[f'loss/{name}'], weight * energy(velocity), rtol=1e-5
    )


def test_learn2reg_takes_voxels(workdir, tmp_path):
  """Voxel p of the fixed file matches p + u(p) of the moving one."""
  fixed, moving, _ = _pair(tmp_path, order=(2, 0, 1), flips=(1, 0, 0))
  network = registrar.Registrar.load(workdir)
  for name in ('itk', 'learn2reg'):
    job = pair_jobs.create(tmp_path / name, fixed, moving, {})
    settings = pair_jobs.Settings(learn2reg=name == 'learn2reg')
    pair_jobs.execute(job, network, settings)
  voxels = nib.load(tmp_path / 'learn2reg' / 'displacement.nii.gz')
  assert voxels.shape == (*nib.load(fixed).shape, 3)
  mm = volumes.load_displacement(tmp_path / 'itk' / 'displacement.nii.gz')
  field = displacements.Field(mm.data, mm.grid)
  affine = nib.load(fixed).affine
  for index in [(3, 4, 5), (10, 2, 7)]:
    point = grids.transform_points(np.array(index), affine)
    wanted = grids.transform_points(field.move(point), np.linalg.inv(affine))
    found = np.array(index) + voxels.get_fdata()[index]
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_a_scan_is_placed_as_training_prepares_it(tmp_path):
  """Stored P, I, R, which the task takes as P, R, I."""
  data, affine = workdirs.reorder(
    workdirs.blobs((5, 3, 4), 0), AFFINE, (1, 2, 0), np.array([1, 1, 0])
  )
  assert nib.aff2axcodes(affine) == ('P', 'I', 'R')
  path = workdirs.save(tmp_path / 'a.nii', data, affine)
  spec = specs.Spec(name='a', format='pairs', root=tmp_path, axes=(0, 2, 1))
  scan, shape = scans.load(path), (3, 5, 4)
  placed = placement.place(scan, scan, shape=shape, spec=spec, align='world')
  case = cases.Case('a', path, axes=spec.axes)
  wanted = cases.prepare(case, shape=shape, spacing=None, labels=()).image
  np.testing.assert_array_equal(placed.batch['fixed'][0], wanted)
  turned = data.transpose(0, 2, 1)
  scaled = (turned - data.min()) / np.ptp(data)
  np.testing.assert_allclose(wanted, scaled, atol=1e-6)


def test_only_where_an_image_is_not_zero_counts(tmp_path):
  data = 1 + workdirs.blobs((5, 3, 4), 0)
  data[1:3, :2] = 0
  path = workdirs.save(tmp_path / 'a.nii', data, AFFINE)
  spec = specs.Spec(name='a', format='pairs', root=tmp_path, mask='nonzero')
  scan = scans.load(path)
  placed = placement.place(
    scan, scan, shape=data.shape, spec=spec, align='world'
  )
  np.testing.assert_array_equal(placed.batch['fixed_mask'][0], data != 0)


def test_refinement_sets_in_within_three_voxels():
  weight = np.asarray(registrar._taper((7, 8, 9)))
  assert weight.shape == (7, 8, 9)
  np.testing.assert_allclose(
    weight[3, 4], np.array([0, 1, 2, 3, 3, 3, 2, 1, 0]) / 3
  )
  np.testing.assert_allclose(
    weight[:, 3, 4], np.array([0, 1, 2, 3, 2, 1, 0]) / 3
  )
  assert (weight[:, 0] == 0).all() and (weight[:, -1] == 0).all()


def test_refinement_leaves_the_border_alone(network, tmp_path, monkeypatch):
  moved, refined = [], network._refined

  def watched(velocity, *args):
    found = refined(velocity, *args)
    moved.append(np.linalg.norm(found - velocity, axis=-1)[0])
    return found

  monkeypatch.setattr(network, '_refined', watched)
  fixed, moving, _ = _pair(tmp_path)
  network.register(scans.load(fixed), scans.load(moving), refine=5)
  (moved,) = moved
  assert moved[1:-1, 1:-1, 1:-1].mean() > 0.01
  moved[1:-1, 1:-1, 1:-1] = 0
  assert (moved == 0).all()


def test_refinement_brings_images_closer(network, tmp_path):
  fixed, moving, _ = _pair(tmp_path)
  said = []
  scan = scans.load(fixed), scans.load(moving)
  plain = network.register(*scan)
  refined = network.register(
    *scan, refine=20, progress=lambda *at: said.append(at)
  )
  assert refined.similarity[0] == plain.similarity[0]
  assert refined.similarity[1] > plain.similarity[1] + 0.02
  assert said[0] == (1, 20) and said[-1] == (20, 20)


def test_centres_are_put_on_each_other(network, tmp_path):
  """A table that was moved between two scans, by more than the patient."""
  fixed, moving, _ = _pair(tmp_path)
  plain = network.register(scans.load(fixed), scans.load(moving))
  data = volumes.load_volume(moving).data
  away = AFFINE.copy()
  away[:3, 3] += (500, -300, 40)
  path = workdirs.save(tmp_path / 'away.nii', data, away)
  scan = scans.load(fixed), scans.load(path)
  with pytest.raises(errors.InputError, match=r'away\.nii: affine: .*overlap'):
    network.register(*scan)
  found = network.register(*scan, align='centre')
  np.testing.assert_allclose(
    found.displacement.vectors - plain.displacement.vectors,
    np.broadcast_to([500, -300, 40], (*SHAPE, 3)),
    atol=1e-2,
  )


@pytest.fixture(scope='module')
def registered(workdir, tmp_path_factory):
  """The binary on a pair with everything, a second time on a list."""
  folder = tmp_path_factory.mktemp('binary')
  fixed, moving, label = _pair(folder)
  marks = folder / 'marks.csv'
  marks.write_text('x,y,z\n0,0,0\n10,-5,8\n')
  done = binaries.run(
    'samcl.register',
    str(fixed),
    str(moving),
    f'--workdir={workdir}',
    f'--out={folder / "one"}',
    f'--fixed_label={label}',
    f'--moving_label={label}',
    f'--fixed_landmarks={marks}',
    f'--moving_landmarks={marks}',
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('done: similarity ')
  return folder


def test_what_the_binary_leaves(registered):
  names = {path.name for path in (registered / 'one').iterdir()}
  assert names == {
    'warped.nii.gz',
    'warped_label.nii.gz',
    'displacement.nii.gz',
    'displacement_inverse.nii.gz',
    'jacobian.nii.gz',
    'summary.json',
    'registration.png',
  }
  summary = json.loads((registered / 'one' / 'summary.json').read_text())
  assert summary['dice']['before'] == 1 and summary['dice']['after'] < 1
  assert set(summary['dice_per_label']) == {'1', '2'}
  assert summary['covered'] == 1
  assert summary['tre_mm']['before'] == 0 and summary['tre_mm']['after'] > 0
  field = volumes.load_displacement(registered / 'one' / 'displacement.nii.gz')
  displacement = displacements.Field(field.data, field.grid)
  marks = points.load(registered / 'marks.csv').positions
  moved = np.linalg.norm(displacement.move(marks) - marks, axis=-1)
  assert summary['tre_mm']['after'] == pytest.approx(moved.mean(), rel=1e-3)
  jacobian = volumes.load_volume(registered / 'one' / 'jacobian.nii.gz')
  np.testing.assert_allclose(
    jacobian.data, displacement.determinant(), atol=1e-3
  )


def test_a_list_of_pairs_with_a_bad_one(registered, workdir, tmp_path):
  pairs = registered / 'pairs.csv'
  pairs.write_text(
    'name,fixed,moving,moving_label\n'
    'good,fixed.nii.gz,moving.nii.gz,label.nii.gz\n'
    'bad,fixed.nii.gz,nothing.nii.gz,\n'
    'last,moving.nii.gz,fixed.nii.gz,\n'
  )
  done = binaries.run(
    'samcl.register',
    f'--pairs={pairs}',
    f'--workdir={workdir}',
    f'--out={tmp_path}',
  )
  assert done.returncode == 1
  assert 'failed: bad: ' in done.stderr and 'nothing.nii.gz' in done.stderr
  with open(tmp_path / 'summary.csv', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  assert [row['name'] for row in rows] == ['good', 'last']
  assert float(rows[0]['similarity_after']) > 0
  assert (tmp_path / 'last' / 'summary.json').exists()
  assert not (tmp_path / 'bad').exists()


def _refused(workdir, *arguments: str) -> str:
  return binaries.refused('samcl.register', f'--workdir={workdir}', *arguments)


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    (['--out=x'], 'arguments: found 0 paths'),
    (['a.nii', '--out=x'], 'arguments: found 1 paths'),
    (['a.nii', 'b.nii'], '--out: missing'),
    (['a.nii', 'b.nii', '--out=x', '--refine=-1'], '--refine: found -1'),
    (['a.nii', 'b.nii', '--out=x', '--align=eye'], '--align'),
    (['a.nii', 'b.nii', '--out=/proc/x'], '/proc/x'),
    (['a.nii', 'b.nii', '--out=x', '--device=tpu'], '--device=tpu: not found'),
    (['--pairs=p.csv', '--out=x', '--fixed_mask=m.nii'], '--fixed_mask: found'),
    (['a.nii', 'b.nii', '--out=x', '--task=knee'], '--task=knee: the run has'),
  ],
)
def test_flags_that_cannot_be_used(workdir, tmp_path, arguments, expected):
  arguments = [a.replace('--out=x', f'--out={tmp_path}') for a in arguments]
  assert expected in _refused(workdir, *arguments)


def test_no_run_and_a_run_of_the_other_problem(tmp_path):
  (tmp_path / 'empty').mkdir()
  other = workdirs.write_segmentation(tmp_path / 'other')
  bare = workdirs.write_registration(tmp_path / 'bare')
  for path in sorted((bare / 'checkpoints').rglob('*'), reverse=True):
    path.unlink() if path.is_file() else path.rmdir()
  for folder, message in (
    (tmp_path / 'empty', 'no readable config.json'),
    (other, 'found no tasks, must be a run of samcl.train'),
    (bare, 'found no checkpoint'),
  ):
    with pytest.raises(errors.InputError, match=message):
      registrar.Registrar.load(folder)


@pytest.mark.parametrize(
  ('change', 'expected'),
  [
    (lambda d, a: (np.round(d / 100), a), 'seems to be a label map'),
    (lambda d, a: (d[:, :, :1], a), 'a single slice'),
    (lambda d, a: (d, a @ np.diag([1e-3, 1e-3, 1e-3, 1])), 'in metres'),
    (lambda d, a: (d, a @ np.diag([1e3, 1e3, 1e3, 1])), 'in micrometres'),
    (lambda d, a: (np.stack([d, d], -1), a), 'index 0 to 1'),
  ],
)
def test_files_that_are_no_scans(tmp_path, change, expected):
  data, affine = change(workdirs.blobs(SHAPE, 0), AFFINE)
  path = workdirs.save(tmp_path / 'a.nii.gz', data, affine)
  with pytest.raises(errors.InputError, match=r'a\.nii\.gz: .*found') as caught:
    scans.load(path)
  assert expected in str(caught.value) and '\n' not in str(caught.value)


def test_one_volume_of_a_series(tmp_path):
  both = np.stack([workdirs.blobs(SHAPE, seed) for seed in (0, 1)], axis=-1)
  path = workdirs.save(tmp_path / 'a.nii.gz', both, AFFINE)
  found = scans.load(path, index=1).volume.data
  np.testing.assert_array_equal(found, both[..., 1])


def test_a_task_decides_how_images_are_prepared(tmp_path):
  """brain_mr clips at its percentile 99, abdomen_ct at -200 and 300 HU."""
  network = registrar.Registrar.load(
    workdirs.write_registration(tmp_path / 'run')
  )
  fixed, moving, _ = _pair(tmp_path)
  scan = scans.load(fixed), scans.load(moving)
  found = {
    task: network.register(*scan, task=task).displacement.vectors
    for task in ('brain_mr', 'abdomen_ct')
  }
  assert np.abs(found['brain_mr'] - found['abdomen_ct']).max() > 0.1
  with pytest.raises(errors.InputError, match='--task=heart: the run has'):
    network.register(*scan, task='heart')


def test_fields_that_are_not_integrated_have_an_inverse_too(tmp_path):
  fixed, moving, _ = _pair(tmp_path)
  scan = scans.load(fixed), scans.load(moving)
  for number, (symmetric, output) in enumerate(
    itertools.product((True, False), ('velocity', 'displacement'))
  ):
    network = registrar.Registrar.load(
      workdirs.write_registration(
        tmp_path / str(number),
        **{'model.symmetric': symmetric, 'model.output': output},
      )
    )
    found = network.register(*scan)
    start = np.array([[0.0, 0, 0], [10, -5, 8], [-12, 3, 9]])
    moved = found.displacement.move(start)
    gap = np.linalg.norm(found.inverse.move(moved) - start, axis=-1)
    assert np.linalg.norm(moved - start, axis=-1).mean() > 1
    assert gap.max() < 0.5, (symmetric, output)


def _list(tmp_path, text: str) -> list[pair_jobs.Job]:
  (tmp_path / 'pairs.csv').write_text(text)
  return pair_jobs.read(tmp_path / 'pairs.csv', tmp_path / 'out')


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('fixed,moving,fixed_masks\na.nii,b.nii,m.nii\n', "column 'fixed_masks'"),
    ('fixed,moving,fixed_index\na.nii,b.nii,last\n', 'row 1: fixed_index'),
    ('fixed,moving\na.nii,b.nii\nc.nii,\n', 'row 2: moving: found nothing'),
    ('name,fixed,moving\n..,a.nii,b.nii\n', "found the name '..'"),
    ('name,fixed,moving\nx/y,a.nii,b.nii\n', "found the name 'x/y'"),
    ('name,fixed,moving\nx,a.nii,b.nii\nx,c.nii,b.nii\n', 'row 2: found'),
  ],
)
def test_lists_that_are_refused(tmp_path, text, expected):
  with pytest.raises(errors.InputError, match=expected):
    _list(tmp_path, text)


def test_what_a_list_says_of_a_pair(tmp_path):
  (job,) = _list(
    tmp_path,
    'fixed,moving,fixed_index,moving_mask\np.1.nii.gz,/b.nii.gz,2,m.nii\n',
  )
  assert job.folder == tmp_path / 'out' / 'p.1__b'
  assert job.fixed.index == 2 and job.moving.index is None
  assert job.moving.mask == tmp_path / 'm.nii'
  assert job.moving.image == pathlib.Path('/b.nii.gz')


def test_labels_without_any_value(network, tmp_path):
  """No Dice then, and the next pair all the same."""
  fixed, moving, _ = _pair(tmp_path)
  empty = np.zeros(SHAPE, np.uint8)
  path = workdirs.save(tmp_path / 'empty.nii.gz', empty, AFFINE)
  jobs = _list(
    tmp_path,
    'name,fixed,moving,fixed_label,moving_label\n'
    f'a,{fixed},{moving},{path},{path}\nb,{fixed},{moving},,\n',
  )
  out = tmp_path / 'out'
  assert not pair_jobs.execute_all(jobs, network, pair_jobs.Settings(), out)
  summary = json.loads((out / 'a' / 'summary.json').read_text())
  assert summary['dice'] == {'before': None, 'after': None}
  assert (out / 'b' / 'summary.json').exists()


def test_what_else_goes_wrong_costs_one_pair(network, tmp_path, monkeypatch):
  fixed, moving, _ = _pair(tmp_path)
  jobs = _list(
    tmp_path,
    f'name,fixed,moving\na,{fixed},{moving}\nb,{moving},{fixed}\n',
  )
  whole = pair_jobs.execute

  def execute(job, *rest):
    if job.folder.name == 'a':
      raise MemoryError('out of memory,\nsays the allocator')
    return whole(job, *rest)

  monkeypatch.setattr(pair_jobs, 'execute', execute)
  out = tmp_path / 'out'
  assert pair_jobs.execute_all(jobs, network, pair_jobs.Settings(), out) == 1
  assert [path.parent.name for path in out.glob('*/summary.json')] == ['b']


def test_results_of_an_earlier_pair_go(network, tmp_path):
  fixed, moving, label = _pair(tmp_path)
  out = tmp_path / 'out'
  full = {'moving_label': str(label)}
  for extras, settings, more in (
    (full, pair_jobs.Settings(itk=True), True),
    ({}, pair_jobs.Settings(), False),
  ):
    job = pair_jobs.create(out, fixed, moving, extras)
    pair_jobs.execute(job, network, settings)
    for name in ('warped_label.nii.gz', 'displacement.h5'):
      assert (out / name).exists() == more, name
    assert (out / 'summary.json').exists()


def test_where_nothing_overlaps_any_more_there_is_no_similarity(network):
  """Masks that do before, by a single place that moves out of one of them."""
  shape = network.shape
  mask = np.zeros((2, 1, *shape), np.uint8)
  mask[:, 0, 8, 8, 8] = 1
  batch = {'landmark_weight': np.zeros((1, 1), np.float32)}
  for number, side in enumerate(('fixed', 'moving')):
    batch |= {
      side: workdirs.blobs(shape, number)[None] / 300,
      f'{side}_mask': mask[number],
      f'{side}_label': np.zeros_like(mask[number]),
      f'{side}_landmarks': np.zeros((1, 1, 3), np.float32),
    }
  velocity = np.zeros((1, *shape, 3), np.float32)
  velocity[..., 0] = 4.0
  before, after = network._fields(jnp.asarray(velocity), batch)['similarity']
  assert 0 <= before <= 1 and np.isnan(after)


def test_a_task_of_a_known_data_set_by_its_folder(tmp_path):
  config = {'format': 'learn2reg', 'root': 'data/OASIS'}
  spec = registrar._spec('brain', config, tmp_path)
  known = registrar._spec('OASIS', {'format': 'learn2reg'}, tmp_path)
  assert spec.axes == known.axes is not None
  assert registrar._said(spec)['axes'] == spec.axes


def test_an_input_is_never_overwritten(network, tmp_path):
  fixed, moving, _ = _pair(tmp_path)
  moving = moving.rename(tmp_path / 'warped.nii.gz')
  before = moving.read_bytes()
  job = pair_jobs.create(tmp_path, fixed, moving, {})
  with pytest.raises(errors.InputError, match='would be overwritten'):
    pair_jobs.execute(job, network, pair_jobs.Settings())
  assert moving.read_bytes() == before


def test_masks_apart_and_landmarks_that_do_not_fit(network, tmp_path):
  fixed, moving, _ = _pair(tmp_path)
  masks = []
  for name, part in (('left', np.s_[:5]), ('right', np.s_[15:])):
    mask = np.zeros(SHAPE, np.uint8)
    mask[part] = 1
    masks.append(workdirs.save(tmp_path / f'{name}.nii.gz', mask, AFFINE))
  given = {'fixed_mask': masks[0], 'moving_mask': masks[1]}
  job = pair_jobs.create(tmp_path / 'out', fixed, moving, given)
  with pytest.raises(errors.InputError, match='allowed masks that overlap'):
    pair_jobs.execute(job, network, pair_jobs.Settings())
  for name, rows in (('two', '0,0,0\n1,1,1\n'), ('one', '0,0,0\n')):
    (tmp_path / f'{name}.csv').write_text(f'x,y,z\n{rows}')
  given = {f'{s}_landmarks': tmp_path / f'{n}.csv' for s, n in MARKS.items()}
  job = pair_jobs.create(tmp_path / 'out', fixed, moving, given)
  with pytest.raises(errors.InputError, match=r'one\.csv: landmarks: found 1'):
    pair_jobs.execute(job, network, pair_jobs.Settings())
  assert not (tmp_path / 'out').exists()


def test_sheared_axes_and_a_transform(network, tmp_path):
  """Nothing is written where a part of it cannot be."""
  _, moving, _ = _pair(tmp_path)
  sheared = AFFINE.copy()
  sheared[0, 1] = 3
  fixed = workdirs.save(
    tmp_path / 'sheared.nii.gz', workdirs.blobs(SHAPE, 0), sheared
  )
  job = pair_jobs.create(tmp_path / 'out', fixed, moving, {})
  message = r'sheared\.nii\.gz: affine: .* axes at right angles'
  with pytest.raises(errors.InputError, match=message):
    pair_jobs.execute(job, network, pair_jobs.Settings(itk=True))
  assert not (tmp_path / 'out').exists()


def test_names_that_a_task_cannot_tell_apart(network, tmp_path):
  fixed, moving, _ = _pair(tmp_path)
  with pytest.raises(errors.InputError, match='ends with _ct or _mr: task'):
    network.register(
      scans.load(fixed), scans.load(moving), task='abdomen_mr_ct'
    )


def test_what_the_network_does_not_see_is_said(tmp_path, capsys):
  """16^3 voxels of 3 mm, of an image of 100 x 108 x 88 mm."""
  workdir = workdirs.write_registration(
    tmp_path / 'run', **{'tasks.brain_mr.spacing': (3.0, 3.0, 3.0)}
  )
  network = registrar.Registrar.load(workdir)
  wanted = np.prod(3.0 * np.array(network.shape) / (100, 108, 88))
  fixed, moving, _ = _pair(tmp_path)
  job = pair_jobs.create(tmp_path / 'out', fixed, moving, {})
  settings = pair_jobs.Settings(task='brain_mr')
  summary = pair_jobs.execute(job, network, settings)
  assert summary['covered'] == pytest.approx(wanted, rel=0.15)
  assert '% of the fixed image seen' in capsys.readouterr().out
