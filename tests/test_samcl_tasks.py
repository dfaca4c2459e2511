"""Registration tasks from folders of tiny NIfTI files."""

import pathlib
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from common import errors, grids, volumes
from samcl import cases, tasks
from tests import task_files


@pytest.fixture(name='root')
def _root(tmp_path: pathlib.Path) -> pathlib.Path:
  """Cases a, b (flipped, oblique) and c; trains on (a, b), validates (c, a)."""
  task_files.write_case(tmp_path, 'a', 0)
  task_files.write_case(tmp_path, 'b', 1, affine=task_files.LAS)
  task_files.write_case(tmp_path, 'c', 2)
  task_files.write_points(tmp_path / 'landmarks' / 'ab.csv', task_files.POINTS)
  task_files.write_points(
    tmp_path / 'landmarks' / 'ca.csv', task_files.POINTS[:1]
  )
  (tmp_path / 'pairs.csv').write_text(
    'fixed,moving,landmarks,split\na,b,ab.csv,train\nc,a,ca.csv,val\n'
  )
  (tmp_path / 'label_names.csv').write_text(
    'value,name\n0,background\n2,pallidum\n1,putamen\n'
  )
  return tmp_path


def test_task_fields(root: pathlib.Path) -> None:
  task = task_files.load_task(root)
  assert task.labels == (1, 2)
  assert task.metric == 'dice'
  assert task.spacing == pytest.approx((1.0, 2.0, 1.5))
  assert (len(task.train), len(task.val)) == (1, 1)
  assert task.train[0].name == 'a__b'
  assert task.max_landmarks == 2


def test_a_task_that_is_only_scored_needs_no_pairs_to_train_on(
  root: pathlib.Path,
) -> None:
  fields = task_files.task_fields(root)
  (task,) = tasks.load_tasks([fields], shape=task_files.SHAPE, num_unseen=1)
  assert (task.train, len(task.val)) == ((), 1)
  (root / 'pairs.csv').write_text('fixed,moving,landmarks,split\nc,a,,val\n')
  (task,) = tasks.load_tasks([fields], shape=task_files.SHAPE, num_unseen=1)
  assert task.spacing == pytest.approx((1.0, 2.0, 1.5))
  assert task.load('val', [0])['fixed'].shape == (1, *task_files.SHAPE)
  with pytest.raises(errors.InputError, match='train pairs: found none'):
    tasks.load_tasks([fields], shape=task_files.SHAPE)


def test_landmark_files_are_read_once(root: pathlib.Path) -> None:
  task = task_files.load_task(root)
  first = task.load('train', [0])
  (root / 'landmarks' / 'ab.csv').unlink()
  again = task.load('train', [0])
  np.testing.assert_array_equal(
    again['fixed_landmarks'], first['fixed_landmarks']
  )


def test_batch_of_files_with_the_network_grid_is_exact(
  root: pathlib.Path,
) -> None:
  batch = task_files.load_task(root).load('train', [0, 0])
  shapes = {name: (a.dtype.name, a.shape) for name, a in batch.items()}
  assert shapes == {
    **dict.fromkeys(('fixed', 'moving'), ('float32', (2, *task_files.SHAPE))),
    **{
      f'{s}_{kind}': ('uint8', (2, *task_files.SHAPE))
      for s in ('fixed', 'moving')
      for kind in ('mask', 'label')
    },
    **{f'{s}_landmarks': ('float32', (2, 2, 3)) for s in ('fixed', 'moving')},
    'landmark_weight': ('float32', (2, 2)),
  }
  raw = nib.load(root / 'images' / 'a.nii.gz').get_fdata()
  wanted = (raw - raw.min()) / (raw.max() - raw.min())
  np.testing.assert_allclose(batch['fixed'][0], wanted, atol=1e-6)
  flipped = nib.load(root / 'labels' / 'b.nii.gz').get_fdata()[::-1]
  np.testing.assert_array_equal(batch['moving_label'][1], flipped)
  np.testing.assert_array_equal(batch['fixed_mask'][0], raw > 40)
  np.testing.assert_array_equal(batch['landmark_weight'], [[1, 1]] * 2)


def test_landmarks_go_from_stored_to_network_voxels(
  root: pathlib.Path,
) -> None:
  """b is stored with x to the left: x becomes S - 1 - x. y is padded by 1."""
  batch = task_files.load_task(root, shape=(8, 12, 6)).load('train', [0])
  fixed, moving = (
    np.array(task_files.POINTS)[:, :3],
    np.array(task_files.POINTS)[:, 3:],
  )
  np.testing.assert_allclose(
    batch['fixed_landmarks'][0], fixed + np.array([0, 1, 0]), atol=1e-4
  )
  wanted = moving * [-1, 1, 1] + np.array([7, 1, 0])
  np.testing.assert_allclose(batch['moving_landmarks'][0], wanted, atol=1e-4)


@pytest.mark.parametrize('spacing', [None, [1.3, 1.7, 0.9]])
def test_landmarks_stay_on_what_they_mark(
  tmp_path: pathlib.Path, spacing: list[float] | None
) -> None:
  """A smooth blob's centre, found in the loaded image, is the landmark."""
  centre = {'a': np.array([4.0, 3.0, 5.0]), 'b': np.array([3.0, 6.0, 4.0])}
  shape = (9, 10, 11)
  for name, affine in (('a', task_files.RAS), ('b', task_files.LAS)):
    away = np.moveaxis(np.indices(shape), 0, -1) - centre[name]
    away = away * np.linalg.norm(affine[:3, :3], axis=0)
    blob = np.exp(-(away**2).sum(-1) / 4).astype(np.float32)
    task_files.save(tmp_path / 'images' / f'{name}.nii.gz', blob, affine)
  task_files.write_points(
    tmp_path / 'landmarks' / 'p.csv', [[*centre['a'], *centre['b']]]
  )
  (tmp_path / 'pairs.csv').write_text(
    'fixed,moving,landmarks\na,b,p.csv\nb,a,p.csv\n'
  )
  task = task_files.load_task(
    tmp_path, (16, 20, 22), spacing=spacing, val_pattern='b'
  )
  batch = task.load('train', [0])
  for side in ('fixed', 'moving'):
    weight = np.clip(batch[side][0] - 0.05, 0, None)
    mass = np.indices(weight.shape).reshape(3, -1) @ weight.reshape(-1)
    np.testing.assert_allclose(
      mass / weight.sum(), batch[f'{side}_landmarks'][0, 0], atol=0.1
    )


def test_landmarks_follow_swapped_axes(root: pathlib.Path) -> None:
  """With axes (0, 2, 1) stored (x, y, z) is (x, z, y), flips are ignored."""
  task = task_files.load_task(root, shape=(8, 6, 10), axes=[0, 2, 1])
  assert task.spacing == pytest.approx((1.0, 1.5, 2.0))
  batch = task.load('train', [0])
  stored = nib.load(root / 'labels' / 'b.nii.gz').get_fdata()
  np.testing.assert_array_equal(
    batch['moving_label'][0], stored.transpose(0, 2, 1)
  )
  moving = np.array(task_files.POINTS)[:, [3, 5, 4]]
  np.testing.assert_allclose(batch['moving_landmarks'][0], moving, atol=1e-4)


def test_refined_landmarks(root: pathlib.Path) -> None:
  """The last fine voxel m S - 1 is the last voxel S - 1."""
  task_files.write_points(
    root / 'landmarks' / 'ab.csv', [[23, 29, 17, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
  )
  batch = task_files.load_task(root, landmark_refinement=3).load('train', [0])
  np.testing.assert_allclose(batch['fixed_landmarks'][0, 0], (7, 9, 5))
  wanted = np.array([7 - 7 / 23, 9 / 29, 5 / 17])
  np.testing.assert_allclose(batch['moving_landmarks'][0, 1], wanted, atol=1e-5)


def test_masks(root: pathlib.Path) -> None:
  image = nib.load(root / 'images' / 'a.nii.gz').get_fdata()
  image[2:4, 1, :] = 0
  task_files.save(
    root / 'images' / 'a.nii.gz', image.astype(np.int16), task_files.RAS
  )
  shape = (8, 12, 6)
  nonzero = task_files.load_task(root, shape, mask='nonzero').load(
    'train', [0]
  )['fixed_mask']
  np.testing.assert_array_equal(nonzero[0, :, 1:11], image != 0)
  ones = task_files.load_task(root, shape, mask='ones').load('train', [0])[
    'fixed_mask'
  ]
  assert ones[0, :, 1:11].all()
  assert not ones[0, :, [0, 11]].any()


def test_the_mask_may_be_the_label(root: pathlib.Path) -> None:
  task = task_files.load_task(root, label='mask', labels=[1])
  batch = task.load('val', [0])
  np.testing.assert_array_equal(batch['fixed_label'], batch['fixed_mask'])
  none = task_files.load_task(root, label='none')
  assert (none.labels, none.metric) == ((), 'tre')
  assert not none.load('val', [0])['fixed_label'].any()


def test_intensity_by_hand() -> None:
  """Clip, then pad with the lower bound, then scale by the extremes."""
  data = np.float32([-500, -100, 100, 900]).reshape(1, 4, 1)
  volume = grids.Volume(data, np.eye(4))
  grid = grids.network_grid(volume.grid, None, (1, 6, 1))
  out = cases.prepare_image(volume, grid, cases.Intensity(clip=(-200, 300)))
  np.testing.assert_allclose(out.ravel(), [0, 0, 0.2, 0.6, 1, 0], atol=1e-6)
  small = grids.network_grid(volume.grid, None, (1, 2, 1))
  out = cases.prepare_image(volume, small, cases.Intensity(clip=(-200, 300)))
  np.testing.assert_allclose(out.ravel(), [0, 1])  # -100 and 100 are left
  out = cases.prepare_image(volume, grid, cases.Intensity())
  np.testing.assert_allclose(
    out.ravel() * 1400, [0, 0, 400, 600, 1400, 0], atol=1e-3
  )


def test_percentile_by_hand() -> None:
  data = np.arange(1.0, 102.0, dtype=np.float32).reshape(1, 101, 1)
  volume = grids.Volume(data, np.eye(4))
  grid = grids.network_grid(volume.grid, None, (1, 103, 1))
  spec = cases.Intensity(upper_percentile=50)
  out = cases.prepare_image(volume, grid, spec).ravel()
  assert (out[0], out[1], out[51], out[101]) == (0, pytest.approx(1 / 51), 1, 1)


def test_a_constant_image_is_zero() -> None:
  volume = grids.Volume(np.float32([[[3.0, 5.0]]]), np.eye(4))
  out = cases.prepare_image(volume, volume.grid, cases.Intensity(clip=(-10, 2)))
  np.testing.assert_array_equal(out, np.zeros((1, 1, 2)))


def test_every_file_is_read_once(
  root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  read: list[str] = []
  load = volumes.load_volume

  def counted(path: pathlib.Path, kind: str = 'image') -> grids.Volume:
    read.append(f'{kind} {path.name}')
    return load(path, kind)

  monkeypatch.setattr(volumes, 'load_volume', counted)
  task = task_files.load_task(root)
  assert not read
  first = task.load('train', [0, 0])
  again = task.load('train', [0])
  task.load('val', [0])
  assert len(read) == len(set(read)) == 9
  np.testing.assert_array_equal(first['moving'][:1], again['moving'])
  again['moving'][:] = -1
  assert task.load('train', [0])['moving'].min() == 0


def test_native_brings_a_displacement_back(root: pathlib.Path) -> None:
  """One network voxel along y of moving b: 2 mm along b's oblique y axis."""
  task = task_files.load_task(root, shape=(4, 12, 6))
  native = task.native(task.train[0])
  u = np.broadcast_to(np.array([0.0, 1.0, 0.0]), (4, 12, 6, 3))
  shifted, still = (
    grids.restore_displacement(d, native.fixed, native.moving, native.original)
    for d in (u, np.zeros_like(u))
  )
  assert shifted.shape == (*task_files.SHAPE, 3)
  wanted = [-2 * np.sin(0.17), 2 * np.cos(0.17), 0]
  np.testing.assert_allclose(
    shifted - still, np.broadcast_to(wanted, shifted.shape), atol=1e-5
  )
  # Without displacement voxel (x, y, z) of a matches (7 - x, y, z) of b.
  here = grids.transform_points(np.array([2, 3, 4]), task_files.RAS)
  there = grids.transform_points(np.array([5, 3, 4]), task_files.LAS)
  np.testing.assert_allclose(still[2, 3, 4], there - here, atol=1e-4)


def test_streams_share_the_landmark_rows(root: pathlib.Path) -> None:
  other = task_files.task_fields(root, name='other', label='none', metric='tre')
  pair = tasks.load_tasks(
    [task_files.task_fields(root), other], shape=task_files.SHAPE
  )
  assert [task.max_landmarks for task in pair] == [2, 2]
  fewer = pair[0].load('val', [0])['landmark_weight']
  np.testing.assert_array_equal(fewer, [[1, 0]])


# What is refused.


@pytest.mark.parametrize(
  ('fields', 'part'),
  [
    ({'spcing': [1, 1, 1]}, 'spcing'),
    ({'format': 'bids'}, 'learn2reg'),
    ({'format': ''}, 'format'),
    ({'spacing': [1, 0, 1]}, 'spacing'),
    ({'spacing': '111'}, 'spacing'),
    ({'clip': [3, 1]}, 'clip'),
    ({'upper_percentile': 101}, 'upper_percentile'),
    ({'intensity': {'0000': {'clop': 1}}}, 'clop'),
    ({'axes': [0, 1, 1]}, 'axes'),
    ({'axes': 3}, 'axes'),
    ({'labels': [0, 1]}, 'labels'),
    ({'labels': [300]}, '255'),
    ({'labels': [1.5]}, '1.5'),
    ({'landmark_refinement': 0}, 'landmark_refinement'),
    ({'max_pairs': True}, 'max_pairs'),
    ({'mask': 'otsu'}, 'nonzero'),
    ({'metric': 'ssim'}, 'dice'),
  ],
)
def test_fields(root: pathlib.Path, fields: dict[str, Any], part: str) -> None:
  task_files.refuses(root, part, **fields)


def test_shape_names_and_folder(root: pathlib.Path) -> None:
  task_files.refuses(root / 'no' / 'folder', 'no/folder')
  task_files.refuses(root, 'shape', shape=(8, 8))
  with pytest.raises(errors.InputError, match=r"\['brain'\]"):
    tasks.load_tasks(
      [task_files.task_fields(root), task_files.task_fields(root)],
      shape=task_files.SHAPE,
    )


@pytest.mark.parametrize('place', ['images', 'labels', 'masks', 'landmarks'])
def test_missing_files_are_seen_at_the_start(
  root: pathlib.Path, place: str
) -> None:
  name = 'ab.csv' if place == 'landmarks' else 'b.nii.gz'
  (root / place / name).unlink()
  task_files.refuses(root, name, place)


def test_lists_of_pairs(root: pathlib.Path) -> None:
  table = root / 'pairs.csv'
  table.write_text('fixed,movin\na,b\n')
  task_files.refuses(root, 'pairs.csv', 'moving')
  table.write_text('fixed,moving\na,b\n')
  task_files.refuses(root, 'val_pattern')
  task_files.refuses(root, 'val pairs: found none', val_pattern='z*')
  task_files.refuses(root, 'train pairs: found none', val_pattern='a*')
  table.write_text('fixed,moving,split\na,b,train\na,b,val\n')
  task_files.refuses(root, 'a__b')
  table.write_text('fixed,moving,split\na,b\n')
  task_files.refuses(root, 'row 1: found 2')
  table.write_text('fixed,moving,split\na,b,evaluate\n')
  task_files.refuses(root, 'evaluate', 'train or val')
  table.write_text('')
  task_files.refuses(root, 'rows: found none')
  table.unlink()
  task_files.refuses(root, 'pairs.csv')


def test_labels_must_be_declared(root: pathlib.Path) -> None:
  task_files.refuses(
    root, 'label: found [2]', 'a.nii.gz', labels=[1], load=True
  )
  (root / 'label_names.csv').write_text('value,name\nx,y\n')
  task_files.refuses(root, 'label_names.csv')
  (root / 'label_names.csv').unlink()
  task_files.refuses(root, '"labels"')


def test_metric_needs_what_it_scores(root: pathlib.Path) -> None:
  task_files.refuses(root, 'dice', label='none', metric='dice')
  (root / 'pairs.csv').write_text('fixed,moving,split\na,b,train\nc,a,val\n')
  task_files.refuses(root, 'c__a', metric='tre')


@pytest.mark.parametrize('place', ['labels', 'masks'])
def test_image_and_label_on_different_grids(
  root: pathlib.Path, place: str
) -> None:
  path = root / place / 'a.nii.gz'
  data = np.asanyarray(nib.load(path).dataobj)
  moved = task_files.RAS.copy()
  moved[1, 3] += 0.5
  task_files.save(path, data, moved)
  task_files.refuses(root, f'{place}/a.nii.gz', 'affine', load=True)
  task_files.save(path, data[:, :-1], task_files.RAS)
  task_files.refuses(root, f'{place}/a.nii.gz', 'shape', load=True)


def test_a_label_stored_in_another_orientation_is_the_same(
  root: pathlib.Path,
) -> None:
  before = task_files.load_task(root).load('train', [0])['fixed_label']
  path = root / 'labels' / 'a.nii.gz'
  data = np.asanyarray(nib.load(path).dataobj)
  flip = np.diag([1.0, -1.0, 1.0, 1.0])
  flip[1, 3] = data.shape[1] - 1
  task_files.save(path, data[:, ::-1], task_files.RAS @ flip)
  after = task_files.load_task(root).load('train', [0])['fixed_label']
  np.testing.assert_array_equal(before, after)


def test_files_of_another_spacing_need_resampling(root: pathlib.Path) -> None:
  task_files.write_case(root, 'b', 1, affine=np.diag([1.0, 2.0, 3.0, 1.0]))
  task_files.refuses(root, 'b.nii.gz', 'spacing', load=True)
  task_files.load_task(root, spacing=[1, 2, 1.5]).load('train', [0])


def test_landmarks_that_cannot_be_used(root: pathlib.Path) -> None:
  path = root / 'landmarks' / 'ab.csv'
  task_files.refuses(root, 'ab.csv', 'network grid', shape=(8, 4, 6), load=True)
  task_files.write_points(path, [[1, 2, 3, 1, 2, 3], [1, 9.75, 3, 1, 2, 3]])
  task_files.refuses(root, 'ab.csv', 'landmark 2', load=True)
  task_files.write_points(path, [[1, 2, 3, 1, -0.75, 3]])
  task_files.refuses(root, 'ab.csv', 'landmark 1', load=True)
  task_files.write_points(path, [[1, 2, 3, 1, 2, float('nan')]])
  task_files.refuses(root, 'ab.csv', 'row 1')
  path.write_text('fixed_x_vox,fixed_y_vox\n1,2\n')
  task_files.refuses(root, 'moving_z_vox')
