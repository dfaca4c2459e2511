"""Registration tasks from folders of tiny NIfTI files."""

import json
import pathlib
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from common import errors, grids, volumes
from samcl import cases, learn2reg, tasks

_SHAPE = (8, 10, 6)
_RAS = np.diag([1.0, 2.0, 1.5, 1.0])
_LAS = np.array(  # stored x runs to the left, oblique by 10 degrees about z
  [
    [-np.cos(0.17), -2 * np.sin(0.17), 0, 4],
    [-np.sin(0.17), 2 * np.cos(0.17), 0, -9],
    [0, 0, 1.5, 2],
    [0, 0, 0, 1],
  ]
)


def _save(path: pathlib.Path, data: np.ndarray, affine: np.ndarray) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  nib.save(nib.Nifti1Image(data, affine), path)


def _write_case(
  root: pathlib.Path,
  name: str,
  seed: int,
  *,
  affine: np.ndarray = _RAS,
  shape: tuple[int, int, int] = _SHAPE,
  places: tuple[str, str, str] = ('images', 'labels', 'masks'),
) -> np.ndarray:
  rng = np.random.default_rng(seed)
  image = rng.integers(1, 200, shape).astype(np.int16)
  label = rng.integers(0, 3, shape).astype(np.uint8)
  mask = (image > 40).astype(np.uint8)
  for place, data in zip(places, (image, label, mask), strict=True):
    _save(root / place / f'{name}.nii.gz', data, affine)
  return image


def _write_points(path: pathlib.Path, points: list[list[float]]) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  names = [f'{s}_{a}_vox' for s in ('fixed', 'moving') for a in 'xyz']
  rows = [['group', *names], *[['a', *map(str, row)] for row in points]]
  path.write_text(''.join(','.join(row) + '\n' for row in rows))


_POINTS = [[1, 2, 3, 2, 3, 4], [6.5, 8, 0.5, 5, 7.25, 1]]


@pytest.fixture(name='root')
def _root(tmp_path: pathlib.Path) -> pathlib.Path:
  """Cases a, b (flipped, oblique) and c; trains on (a, b), validates (c, a)."""
  _write_case(tmp_path, 'a', 0)
  _write_case(tmp_path, 'b', 1, affine=_LAS)
  _write_case(tmp_path, 'c', 2)
  _write_points(tmp_path / 'landmarks' / 'ab.csv', _POINTS)
  _write_points(tmp_path / 'landmarks' / 'ca.csv', _POINTS[:1])
  (tmp_path / 'pairs.csv').write_text(
    'fixed,moving,landmarks,split\na,b,ab.csv,train\nc,a,ca.csv,val\n'
  )
  (tmp_path / 'label_names.csv').write_text(
    'value,name\n0,background\n2,pallidum\n1,putamen\n'
  )
  return tmp_path


def _fields(root: pathlib.Path, **fields: Any) -> dict[str, Any]:
  return {'name': 'brain', 'format': 'pairs', 'root': str(root)} | fields


def _load(
  root: pathlib.Path,
  shape: tuple[int, int, int] = _SHAPE,
  max_landmarks: int | None = None,
  **fields: Any,
) -> tasks.Task:
  return tasks.load_tasks(
    [_fields(root, **fields)], shape=shape, max_landmarks=max_landmarks
  )[0]


def test_task_fields(root: pathlib.Path) -> None:
  task = _load(root)
  assert task.labels == (1, 2)
  assert task.label_names == ('putamen', 'pallidum')
  assert task.metric == 'dice'
  assert task.spacing == pytest.approx((1.0, 2.0, 1.5))
  assert (len(task.train), len(task.val)) == (1, 1)
  assert task.train[0].name == 'a__b'
  assert task.max_landmarks == 2


def test_batch_of_files_with_the_network_grid_is_exact(
  root: pathlib.Path,
) -> None:
  batch = _load(root, max_landmarks=5).load('train', [0, 0])
  shapes = {name: (a.dtype.name, a.shape) for name, a in batch.items()}
  assert shapes == {
    **dict.fromkeys(('fixed', 'moving'), ('float32', (2, *_SHAPE))),
    **{
      f'{s}_{kind}': ('uint8', (2, *_SHAPE))
      for s in ('fixed', 'moving')
      for kind in ('mask', 'label')
    },
    **{f'{s}_landmarks': ('float32', (2, 5, 3)) for s in ('fixed', 'moving')},
    'landmark_weight': ('float32', (2, 5)),
  }
  raw = nib.load(root / 'images' / 'a.nii.gz').get_fdata()
  wanted = (raw - raw.min()) / (raw.max() - raw.min())
  np.testing.assert_allclose(batch['fixed'][0], wanted, atol=1e-6)
  flipped = nib.load(root / 'labels' / 'b.nii.gz').get_fdata()[::-1]
  np.testing.assert_array_equal(batch['moving_label'][1], flipped)
  np.testing.assert_array_equal(batch['fixed_mask'][0], raw > 40)
  np.testing.assert_array_equal(batch['landmark_weight'], [[1, 1, 0, 0, 0]] * 2)


def test_landmarks_go_from_stored_to_network_voxels(
  root: pathlib.Path,
) -> None:
  """b is stored with x to the left: x becomes S - 1 - x. y is padded by 1."""
  batch = _load(root, shape=(8, 12, 6)).load('train', [0])
  fixed, moving = np.array(_POINTS)[:, :3], np.array(_POINTS)[:, 3:]
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
  for name, affine in (('a', _RAS), ('b', _LAS)):
    away = np.moveaxis(np.indices(shape), 0, -1) - centre[name]
    away = away * np.linalg.norm(affine[:3, :3], axis=0)
    blob = np.exp(-(away**2).sum(-1) / 4).astype(np.float32)
    _save(tmp_path / 'images' / f'{name}.nii.gz', blob, affine)
  _write_points(
    tmp_path / 'landmarks' / 'p.csv', [[*centre['a'], *centre['b']]]
  )
  (tmp_path / 'pairs.csv').write_text(
    'fixed,moving,landmarks\na,b,p.csv\nb,a,p.csv\n'
  )
  task = _load(tmp_path, (16, 20, 22), spacing=spacing, val_pattern='b')
  batch = task.load('train', [0])
  for side in ('fixed', 'moving'):
    weight = np.clip(batch[side][0] - 0.05, 0, None)
    mass = np.indices(weight.shape).reshape(3, -1) @ weight.reshape(-1)
    np.testing.assert_allclose(
      mass / weight.sum(), batch[f'{side}_landmarks'][0, 0], atol=0.1
    )


def test_landmarks_follow_swapped_axes(root: pathlib.Path) -> None:
  """With axes (0, 2, 1) stored (x, y, z) is (x, z, y), flips are ignored."""
  task = _load(root, shape=(8, 6, 10), axes=[0, 2, 1])
  assert task.spacing == pytest.approx((1.0, 1.5, 2.0))
  batch = task.load('train', [0])
  stored = nib.load(root / 'labels' / 'b.nii.gz').get_fdata()
  np.testing.assert_array_equal(
    batch['moving_label'][0], stored.transpose(0, 2, 1)
  )
  moving = np.array(_POINTS)[:, [3, 5, 4]]
  np.testing.assert_allclose(batch['moving_landmarks'][0], moving, atol=1e-4)


def test_refined_landmarks(root: pathlib.Path) -> None:
  """The last fine voxel m S - 1 is the last voxel S - 1."""
  _write_points(
    root / 'landmarks' / 'ab.csv', [[23, 29, 17, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
  )
  batch = _load(root, landmark_refinement=3).load('train', [0])
  np.testing.assert_allclose(batch['fixed_landmarks'][0, 0], (7, 9, 5))
  wanted = np.array([7 - 7 / 23, 9 / 29, 5 / 17])
  np.testing.assert_allclose(batch['moving_landmarks'][0, 1], wanted, atol=1e-5)


def test_masks(root: pathlib.Path) -> None:
  image = nib.load(root / 'images' / 'a.nii.gz').get_fdata()
  image[2:4, 1, :] = 0
  _save(root / 'images' / 'a.nii.gz', image.astype(np.int16), _RAS)
  shape = (8, 12, 6)
  nonzero = _load(root, shape, mask='nonzero').load('train', [0])['fixed_mask']
  np.testing.assert_array_equal(nonzero[0, :, 1:11], image != 0)
  ones = _load(root, shape, mask='ones').load('train', [0])['fixed_mask']
  assert ones[0, :, 1:11].all()
  assert not ones[0, :, [0, 11]].any()


def test_the_mask_may_be_the_label(root: pathlib.Path) -> None:
  task = _load(root, label='mask', labels=[1])
  batch = task.load('val', [0])
  np.testing.assert_array_equal(batch['fixed_label'], batch['fixed_mask'])
  none = _load(root, label='none')
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
  task = _load(root)
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
  task = _load(root, shape=(4, 12, 6))
  native = task.native(task.train[0])
  assert native.fixed_image == root / 'images' / 'a.nii.gz'
  u = np.broadcast_to(np.array([0.0, 1.0, 0.0]), (4, 12, 6, 3))
  shifted, still = (
    grids.restore_displacement(d, native.fixed, native.moving, native.original)
    for d in (u, np.zeros_like(u))
  )
  assert shifted.shape == (*_SHAPE, 3)
  wanted = [-2 * np.sin(0.17), 2 * np.cos(0.17), 0]
  np.testing.assert_allclose(
    shifted - still, np.broadcast_to(wanted, shifted.shape), atol=1e-5
  )
  # Without displacement voxel (x, y, z) of a matches (7 - x, y, z) of b.
  here = grids.transform_points(np.array([2, 3, 4]), _RAS)
  there = grids.transform_points(np.array([5, 3, 4]), _LAS)
  np.testing.assert_allclose(still[2, 3, 4], there - here, atol=1e-4)


def test_streams_share_the_landmark_rows(root: pathlib.Path) -> None:
  other = _fields(root, name='other', label='none', metric='tre')
  pair = tasks.load_tasks([_fields(root), other], shape=_SHAPE)
  assert [task.max_landmarks for task in pair] == [2, 2]


# Learn2Reg.


def test_natural_order() -> None:
  names = ['A_0010_0000', 'A_2_0000', 'A_0001_0001', 'A_0001_0000']
  assert sorted(names, key=learn2reg.natural_key) == [
    'A_0001_0000',
    'A_0001_0001',
    'A_2_0000',
    'A_0010_0000',
  ]


def _write_challenge(
  root: pathlib.Path, name: str, stems: list[str], **content: Any
) -> pathlib.Path:
  for seed, stem in enumerate(stems):
    _write_case(root, stem, seed, places=('imagesTr', 'labelsTr', 'masksTr'))
  content = {
    'name': name,
    'tensorImageSize': {'0': '3D'},
    'labels': {'0': {'0': 'background', '1': 'liver', '2': 'spleen'}},
    'numTraining': len(stems),
    'training': [{'image': f'./imagesTr/{s}.nii.gz'} for s in stems],
  } | content
  (root / f'{name}_dataset.json').write_text(json.dumps(content))
  return root


def _listed(*pairs: tuple[str, str]) -> list[dict[str, str]]:
  return [
    {
      'fixed': f'./imagesTr/{fixed}.nii.gz',
      'moving': f'./imagesTr/{moving}.nii.gz',
    }
    for fixed, moving in pairs
  ]


def _names(pairs: tuple[tasks.Pair, ...]) -> list[str]:
  return [pair.name for pair in pairs]


def test_challenge_layout_holds_the_validation_images_out(
  tmp_path: pathlib.Path,
) -> None:
  stems = [f'OASIS_{i:04d}_0000' for i in (1, 2, 10, 11)]
  _write_challenge(
    tmp_path,
    'OASIS',
    stems,
    registration_val=_listed((stems[2], stems[3])),
  )
  task = _load(
    tmp_path,
    format='learn2reg',
    dataset='OASIS',
    axes=[0, 1, 2],
    labels=[1, 2],
  )
  assert _names(task.val) == [f'{stems[2]}__{stems[3]}']
  a, b = stems[:2]
  assert _names(task.train) == [
    f'{a}__{a}',
    f'{a}__{b}',
    f'{b}__{a}',
    f'{b}__{b}',
  ]
  assert task.label_names == ('liver', 'spleen')
  assert task.train[0].fixed.intensity.upper_percentile == 99
  assert task.load('val', [0])['fixed_mask'].any()


def test_challenge_layout_with_listed_pairs_and_key_points(
  tmp_path: pathlib.Path,
) -> None:
  stems = [f'Lung_{i:04d}_{t:04d}' for i in (1, 2) for t in (0, 1)]
  _write_challenge(
    tmp_path,
    'Lung',
    stems,
    training_paired_images=_listed((stems[1], stems[0])),
    registration_val=_listed((stems[3], stems[2])),
  )
  (tmp_path / 'keypointsTr').mkdir()
  for stem, point in zip(stems[:2], ('1.5,2,3', '0,8.25,5'), strict=True):
    path = tmp_path / 'keypointsTr' / f'{stem}.csv'
    path.write_text(f'{point}\n{point}\n')
  # The key points of the validation pair are held back: scored by Dice.
  task = _load(tmp_path, format='learn2reg', max_landmarks=3)
  assert _names(task.train) == [f'{stems[1]}__{stems[0]}']
  batch = task.load('train', [0])
  np.testing.assert_allclose(batch['fixed_landmarks'][0, 1], (0, 8.25, 5))
  np.testing.assert_allclose(batch['moving_landmarks'][0, 1], (1.5, 2, 3))
  assert task.load('val', [0])['landmark_weight'].sum() == 0
  _refuses(tmp_path, f'{stems[3]}.csv', format='learn2reg', metric='tre')


def test_presets_give_way_to_the_config(tmp_path: pathlib.Path) -> None:
  for split, ids in (('train', (1, 2)), ('valid', (3, 4))):
    for i in ids:
      _write_case(
        tmp_path / 'AbdomenCTCT' / split, f'AbdomenCTCT_{i:04d}_0000', i
      )
  fields = {'format': 'learn2reg', 'dataset': 'AbdomenCTCT'}
  task = _load(tmp_path, **fields)  # the folder above is found too
  assert task.train[0].fixed.intensity.clip == (-200, 300)
  assert task.train[0].fixed.mask is None
  task = _load(tmp_path, **fields, upper_percentile=90, mask='file')
  assert task.train[0].fixed.intensity == cases.Intensity(None, 90)
  assert task.train[0].fixed.mask is not None
  capped = _load(tmp_path, **fields, pairing='all', max_pairs=3)
  assert len(capped.train) == 3
  assert _load(tmp_path, **fields, pairing='all', max_pairs=3).train == (
    capped.train
  )


# What is refused.


def _refuses(
  root: pathlib.Path,
  *parts: str,
  shape: tuple[int, int, int] = _SHAPE,
  max_landmarks: int | None = None,
  load: bool = False,
  **fields: Any,
) -> None:
  """At the start, or, with `load`, only when the volumes are read."""
  if load:
    task = _load(root, shape, max_landmarks, **fields)
  with pytest.raises(errors.InputError) as caught:
    if load:
      task.load('train', [0])
    else:
      _load(root, shape, max_landmarks, **fields)
  message = str(caught.value)
  assert '\n' not in message
  for part in ('found', 'allowed', *parts):
    assert part in message


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
  _refuses(root, part, **fields)


def test_shape_names_and_folder(root: pathlib.Path) -> None:
  _refuses(root / 'no' / 'folder', 'no/folder')
  _refuses(root, 'shape', shape=(8, 8))
  with pytest.raises(errors.InputError, match=r"\['brain'\]"):
    tasks.load_tasks([_fields(root), _fields(root)], shape=_SHAPE)


@pytest.mark.parametrize('place', ['images', 'labels', 'masks', 'landmarks'])
def test_missing_files_are_seen_at_the_start(
  root: pathlib.Path, place: str
) -> None:
  name = 'ab.csv' if place == 'landmarks' else 'b.nii.gz'
  (root / place / name).unlink()
  _refuses(root, name, place)


def test_lists_of_pairs(root: pathlib.Path) -> None:
  table = root / 'pairs.csv'
  table.write_text('fixed,movin\na,b\n')
  _refuses(root, 'pairs.csv', 'moving')
  table.write_text('fixed,moving\na,b\n')
  _refuses(root, 'val_pattern')
  _refuses(root, 'val pairs: found none', val_pattern='z*')
  _refuses(root, 'train pairs: found none', val_pattern='a*')
  table.write_text('fixed,moving,split\na,b,train\na,b,val\n')
  _refuses(root, 'a__b')
  table.write_text('fixed,moving,split\na,b\n')
  _refuses(root, 'row 1: found 2')
  table.write_text('fixed,moving,split\na,b,evaluate\n')
  _refuses(root, 'evaluate', 'train or val')
  table.write_text('')
  _refuses(root, 'rows: found none')
  table.unlink()
  _refuses(root, 'pairs.csv')


def test_labels_must_be_declared(root: pathlib.Path) -> None:
  _refuses(root, 'label: found [2]', 'a.nii.gz', labels=[1], load=True)
  (root / 'label_names.csv').write_text('value,name\nx,y\n')
  _refuses(root, 'label_names.csv')
  (root / 'label_names.csv').unlink()
  _refuses(root, '"labels"')


def test_metric_needs_what_it_scores(root: pathlib.Path) -> None:
  _refuses(root, 'dice', label='none', metric='dice')
  (root / 'pairs.csv').write_text('fixed,moving,split\na,b,train\nc,a,val\n')
  _refuses(root, 'c__a', metric='tre')


@pytest.mark.parametrize('place', ['labels', 'masks'])
def test_image_and_label_on_different_grids(
  root: pathlib.Path, place: str
) -> None:
  path = root / place / 'a.nii.gz'
  data = np.asanyarray(nib.load(path).dataobj)
  moved = _RAS.copy()
  moved[1, 3] += 0.5
  _save(path, data, moved)
  _refuses(root, f'{place}/a.nii.gz', 'affine', load=True)
  _save(path, data[:, :-1], _RAS)
  _refuses(root, f'{place}/a.nii.gz', 'shape', load=True)


def test_a_label_stored_in_another_orientation_is_the_same(
  root: pathlib.Path,
) -> None:
  before = _load(root).load('train', [0])['fixed_label']
  path = root / 'labels' / 'a.nii.gz'
  data = np.asanyarray(nib.load(path).dataobj)
  flip = np.diag([1.0, -1.0, 1.0, 1.0])
  flip[1, 3] = data.shape[1] - 1
  _save(path, data[:, ::-1], _RAS @ flip)
  after = _load(root).load('train', [0])['fixed_label']
  np.testing.assert_array_equal(before, after)


def test_files_of_another_spacing_need_resampling(root: pathlib.Path) -> None:
  _write_case(root, 'b', 1, affine=np.diag([1.0, 2.0, 3.0, 1.0]))
  _refuses(root, 'b.nii.gz', 'spacing', load=True)
  _load(root, spacing=[1, 2, 1.5]).load('train', [0])


def test_landmarks_that_cannot_be_used(root: pathlib.Path) -> None:
  path = root / 'landmarks' / 'ab.csv'
  _refuses(root, 'ab.csv', 'max_landmarks', max_landmarks=1)
  _refuses(root, 'ab.csv', 'network grid', shape=(8, 4, 6), load=True)
  _write_points(path, [[1, 2, 3, 1, 2, 3], [1, 9.75, 3, 1, 2, 3]])
  _refuses(root, 'ab.csv', 'landmark 2', load=True)
  _write_points(path, [[1, 2, 3, 1, -0.75, 3]])
  _refuses(root, 'ab.csv', 'landmark 1', load=True)
  _write_points(path, [[1, 2, 3, 1, 2, float('nan')]])
  _refuses(root, 'ab.csv', 'row 1')
  path.write_text('fixed_x_vox,fixed_y_vox\n1,2\n')
  _refuses(root, 'moving_z_vox')


def test_learn2reg_folders_that_cannot_be_used(tmp_path: pathlib.Path) -> None:
  fields: dict[str, Any] = {'format': 'learn2reg', 'labels': [1, 2]}
  _refuses(tmp_path, 'layout', **fields)
  (tmp_path / 'train').mkdir()
  _refuses(tmp_path, 'cases: found none', **fields, pairing='ordered')
  _write_case(tmp_path / 'train', 'X_0001_0000', 0)
  _write_case(tmp_path / 'valid', 'X_0002_0000', 1)
  _refuses(tmp_path, 'pairing: found None', **fields)
  _refuses(tmp_path, 'train pairs: found none', **fields, pairing='subject')


@pytest.mark.parametrize(
  ('content', 'part'),
  [
    ('{', 'JSON'),
    ('[]', 'list'),
    ('{"registration_val": [{"fixed": "x"}]}', 'moving'),
    ('{}', 'train pairs: found none'),
  ],
)
def test_dataset_json_that_cannot_be_used(
  tmp_path: pathlib.Path, content: str, part: str
) -> None:
  (tmp_path / 'X_dataset.json').write_text(content)
  _refuses(tmp_path, part, format='learn2reg', labels=[1])


def test_key_points_of_different_number(tmp_path: pathlib.Path) -> None:
  stems = [f'Lung_{i:04d}_{t:04d}' for i in (1, 2) for t in (0, 1)]
  _write_challenge(
    tmp_path,
    'Lung',
    stems,
    training_paired_images=_listed((stems[1], stems[0])),
    registration_val=_listed((stems[3], stems[2])),
  )
  (tmp_path / 'keypointsTr').mkdir()
  first = tmp_path / 'keypointsTr' / f'{stems[0]}.csv'
  second = tmp_path / 'keypointsTr' / f'{stems[1]}.csv'
  first.write_text('1,2,3\n')
  _refuses(tmp_path, second.name, format='learn2reg')
  second.write_text('1,2,3\n1,2,3\n')
  _refuses(tmp_path, first.name, 'points: found 1', format='learn2reg')
  second.write_text('1,2\n')
  _refuses(tmp_path, second.name, 'row 1', format='learn2reg')
