"""Anatomy, ground truth and files of the synthetic registration stream."""

import csv
import itertools
import json

from nibabel import orientations
import numpy as np
import pytest
from scipy import ndimage

from common import errors, synthetic, volumes
from common.synthetic import abdomen, deformation, solids, tasks, torso

NAMES = ('brain_mr', 'abdomen_ct', 'lung_ct', 'abdomen_mr_ct')
LABELLED = ('brain_mr', 'abdomen_ct', 'abdomen_mr_ct')
SMALL = {'shape': (14, 12, 16), 'num_train': 1, 'num_test': 2, 'seed': 3}


@pytest.fixture(scope='module', name='root')
def _root(tmp_path_factory):
  root = tmp_path_factory.mktemp('synthetic') / 'stream'
  synthetic.write_stream(root, **SMALL)
  return root


def _rows(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


def _sample(array, displacement, order):
  at = np.indices(array.shape) + np.moveaxis(displacement, -1, 0)
  return ndimage.map_coordinates(array, at, order=order, mode='nearest'), at


def _dice(first, second):
  values = [v for v in np.unique(first) if v]
  return np.mean(
    [
      2 * np.sum((first == v) & (second == v))
      / (np.sum(first == v) + np.sum(second == v))
      for v in values
    ]
  )  # fmt: skip


def _bodies(seed=0):
  """Every map that a case of each task may have."""
  for name in NAMES:
    for pair in synthetic.list_pairs(name, 'train', 2):
      for case in pair:
        yield tasks.by_name(name), tasks.by_name(name).steps(case, seed)


def test_deformations_are_inverted_to_rounding():
  for task, steps in _bodies():
    points = task.to_anatomy(
      np.random.default_rng(0).uniform(0.0, 20.0, (3, 50)), (21, 19, 23)
    )
    moved = deformation.apply(steps, points)
    assert np.abs(moved - points).max() > 1.0
    back = deformation.invert(steps, moved)
    np.testing.assert_allclose(back, points, atol=1e-9)


def test_jacobian_determinants_are_positive_everywhere():
  step = 1e-3
  for task, steps in _bodies():
    voxels = np.indices((13, 12, 11)).reshape(3, -1)
    points = task.to_anatomy(voxels, (13, 12, 11))
    columns = [
      deformation.apply(steps, points + step * unit[:, None])
      - deformation.apply(steps, points - step * unit[:, None])
      for unit in np.eye(3)
    ]
    determinant = np.linalg.det(np.stack(columns).T / (2.0 * step))
    assert 0.2 < determinant.min() < determinant.max() < 5.0


def test_bend_shifts_its_center_by_the_closed_form():
  bend = deformation.Bend(
    axis=1,
    center=5.0,
    reach=10.0,
    weights=np.array([0.4]),
    positions=np.array([[3.0, -2.0]]),
    extents=np.array([[2.0, 4.0]]),
  )
  points = np.array([[3.0, 3.0, 1.0], [5.0, 9.0, 5.0], [-2.0, -2.0, -2.0]])
  moved = bend.apply(points)
  expected = [
    5.0 + 10.0 * np.arcsinh(0.4),
    5.0 + 10.0 * np.arcsinh(np.sinh(0.4) + 0.4),
    5.0 + 10.0 * np.arcsinh(0.4 * np.exp(-0.5)),
  ]
  np.testing.assert_allclose(moved[1], expected)
  np.testing.assert_array_equal(moved[[0, 2]], points[[0, 2]])


def test_solids_have_euclidean_distances_where_they_are_known():
  points = np.array([[0.0, 4.0, 9.0], [7.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
  ball = solids.ellipsoid(points, (1.0, 2.0, 3.0), (2.0, 2.0, 2.0))
  np.testing.assert_allclose(
    ball,
    np.linalg.norm(points - np.array([[1.0], [2.0], [3.0]]), axis=0) - 2.0,
    atol=1e-4,
  )
  rod = solids.tube(points, [(0.0, 0.0, 0.0), (6.0, 0.0, 0.0)], [1.0, 3.0])
  np.testing.assert_allclose(
    rod, [6.0, -1.0 - 4.0 / 3.0, np.hypot(3.0, 3.0) - 3.0], atol=1e-9
  )


def test_distances_to_lung_vessels_are_those_to_the_nearest_one():
  rng = np.random.default_rng(0)
  points = rng.uniform((-150, -100, -90), (150, 100, 190), (4000, 3)).T
  frame = torso.create_frame(points)
  (found,) = torso.lung_tree_parts(frame)
  nearest = solids.union(
    *[solids.tube(points, line, radii) for *line, radii in torso.vessel_tree()]
  )
  close = (frame.lung < 12) & (nearest < torso._VESSEL_REACH)
  assert 500 < close.sum() < 3500
  np.testing.assert_allclose(found.distance[close], nearest[close], atol=1e-9)
  assert (found.distance[~close] >= torso._VESSEL_REACH).all()


def test_tilted_turns_right_handed():
  points = np.array([[0.0], [0.0], [10.0]])  # the tip of a body that leant
  turned = solids.tilted(points, (0.0, 0.0, 0.0), (90.0, 0.0, 0.0))
  np.testing.assert_allclose(turned, [[0.0], [10.0], [0.0]], atol=1e-6)


def test_paint_covers_earlier_parts_with_ramps_of_one_edge():
  distance = np.array([-5.0, -1.0, 0.0, 1.0, 5.0])
  parts = [solids.Part('all', np.full(5, -9.0)), solids.Part('top', distance)]
  image = solids.paint(parts, {'all': 10.0, 'top': 30.0}, edge=4.0)
  np.testing.assert_allclose(image, [30.0, 25.0, 20.0, 15.0, 10.0])
  np.testing.assert_array_equal(
    solids.label(parts, {'top': 2}), [2, 2, 0, 0, 0]
  )


def test_a_thin_sheet_fills_its_share_of_a_voxel():
  parts = [solids.Part('sheet', np.array([-1.0]), thickness=2.0)]
  np.testing.assert_allclose(solids.paint(parts, {'sheet': 8.0}, edge=5.0), 3.2)


@pytest.mark.parametrize('name', LABELLED)
def test_labels_correspond_under_the_true_displacement(name):
  shape = (64, 56, 64)
  task = tasks.by_name(name)
  fixed, moving = synthetic.list_pairs(name, 'val', 3)[1]
  first, second = (
    tasks.render(task, case, shape=shape, seed=1) for case in (fixed, moving)
  )
  truth = synthetic.ground_truth(name, fixed, moving, shape=shape, seed=1)
  warped, at = _sample(second.label, truth, 0)
  size = np.array(shape).reshape(3, 1, 1, 1)
  seen = ((at >= 0) & (at <= size - 1)).all(axis=0)
  registered = _dice(first.label * seen, warped * seen)
  assert registered > (0.85 if name == 'brain_mr' else 0.9)
  assert registered > _dice(first.label, second.label) + 0.2
  for wrong in (-truth, truth[..., [1, 0, 2]], truth[..., [0, 2, 1]]):
    warped, _ = _sample(second.label, wrong, 0)
    assert _dice(first.label * seen, warped * seen) < registered - 0.1


def test_unregistered_overlap_leaves_room_to_learn():
  for name in LABELLED:
    task = tasks.by_name(name)
    scores = []
    for pair in synthetic.list_pairs(name, 'train', 6):
      labels = [
        tasks.render(task, c, shape=(40, 32, 40), seed=0).label for c in pair
      ]
      assert set(np.unique(labels[0])) == {*range(len(task.label_names) + 1)}
      scores.append(_dice(*labels))
    assert 0.4 < np.mean(scores) < 0.68, name


def test_landmarks_move_with_the_breath_and_lie_on_vessels():
  task, shape = tasks.by_name('lung_ct'), (64, 48, 64)
  fixed, moving = synthetic.list_pairs('lung_ct', 'train', 1)[0]
  here, there = tasks.landmarks(
    task, fixed, moving, shape=shape, seed=0, count=28
  )
  truth = synthetic.ground_truth('lung_ct', fixed, moving, shape=shape, seed=0)
  sampled = np.stack(
    [ndimage.map_coordinates(truth[..., d], here.T, order=3) for d in range(3)],
    axis=-1,
  )
  assert here.shape == (28, 3)
  np.testing.assert_allclose(here + sampled, there, atol=0.02)
  motion = (there - here) * task.spacing(shape)
  assert 10.0 < np.linalg.norm(motion, axis=1).mean() < 25.0
  assert motion[:, 2].mean() < -8.0  # lungs sink from breathing out to in
  for name, points in ((fixed, here), (moving, there)):
    image = tasks.render(task, name, shape=shape, seed=0).image
    at_vessels = ndimage.map_coordinates(image.astype(float), points.T, order=1)
    assert at_vessels.mean() > -650.0


def test_organs_are_on_their_side():
  """Liver right, spleen left, kidneys behind, dome of the liver on top."""
  task = tasks.by_name('abdomen_ct')
  voxels = np.indices((24, 20, 24)).reshape(3, -1)
  points = task.to_anatomy(voxels, (24, 20, 24)).astype(np.float32)
  label = abdomen.draw(points).label
  centers = {
    name: points[:, label == value].mean(axis=1)
    for name, value in abdomen.LABELS.items()
  }
  assert centers['liver'][0] > 30.0 > -30.0 > centers['spleen'][0]
  assert centers['right_kidney'][0] > 40.0 > -40.0 > centers['left_kidney'][0]
  assert centers['vertebrae'][1] < centers['aorta'][1] < 0.0
  assert centers['stomach'][1] > centers['left_kidney'][1]
  assert centers['liver'][2] > centers['right_kidney'][2]


def test_the_two_contrasts_of_one_body_differ():
  task, shape = tasks.by_name('abdomen_mr_ct'), (24, 20, 24)
  fixed, moving = synthetic.list_pairs('abdomen_mr_ct', 'train', 1)[0]
  mr, ct = (
    tasks.render(task, name, shape=shape, seed=0) for name in (fixed, moving)
  )
  assert (mr.image.dtype, ct.image.dtype) == (np.uint16, np.int16)
  fat_and_liver = {}
  for name, scan in (('mr', mr), ('ct', ct)):
    body = scan.mask * (1 - ndimage.binary_erosion(scan.mask))
    # The outermost voxels of the body are fat, half covered by air.
    fat_and_liver[name] = (
      np.median(scan.image[body == 1]),
      np.median(scan.image[scan.label == 1]),
    )
  assert fat_and_liver['mr'][0] > 1.1 * fat_and_liver['mr'][1]
  assert fat_and_liver['ct'][0] < fat_and_liver['ct'][1] - 100.0
  assert 60.0 < np.median(ct.image[ct.label == 1]) < 160.0
  assert ct.image[0, 0].mean() < -900.0


def test_files_have_the_orientation_of_their_scanner(root):
  for name, orientation in (
    ('brain_mr/images/train_000_scanner1', 'RAS'),
    ('abdomen_ct/labels/train_001_scanner2', 'LPS'),
    ('lung_ct/masks/val_000_exhale', 'LAS'),
    ('abdomen_mr_ct/images/val_001_mr', 'LSP'),
  ):
    grid = volumes.load_grid(root / f'{name}.nii.gz', canonical=False)
    assert ''.join(orientations.aff2axcodes(grid.affine)) == orientation


def test_reading_in_canonical_orientation_gives_the_drawn_arrays(root):
  for name in NAMES:
    task = tasks.by_name(name)
    for case in synthetic.list_pairs(name, 'val', 2)[1]:
      drawn = tasks.render(task, case, shape=SMALL['shape'], seed=SMALL['seed'])
      path = root / name / 'images' / f'{case}.nii.gz'
      volume = volumes.load_volume(path)
      np.testing.assert_array_equal(volume.data, drawn.image)
      np.testing.assert_allclose(
        volume.affine, task.affine(SMALL['shape']), atol=1e-4
      )


def test_landmark_files_count_voxels_as_stored(root):
  task, seed = tasks.by_name('lung_ct'), SMALL['seed']
  row = next(
    r for r in _rows(root / 'lung_ct/pairs.csv') if r['split'] == 'val'
  )
  points = _rows(root / 'lung_ct/landmarks' / row['landmarks'])
  assert list(points[0]) == [
    f'{side}_{axis}_vox' for side in ('fixed', 'moving') for axis in 'xyz'
  ]
  both = tasks.landmarks(
    task, row['fixed'], row['moving'], shape=SMALL['shape'], seed=seed, count=28
  )
  for side, expected in zip(('fixed', 'moving'), both, strict=True):
    found = [[float(p[f'{side}_{a}_vox']) for a in 'xyz'] for p in points]
    path = root / f'lung_ct/images/{row[side]}.nii.gz'
    stored = volumes.load_grid(path, canonical=False)
    canonical = volumes.load_grid(path)
    matrix = stored.to(canonical)
    found = np.array(found) @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_tables_name_files_and_keep_people_apart(root):
  for name in NAMES:
    people = {'train': set(), 'val': set()}
    for row in _rows(root / name / 'pairs.csv'):
      kinds = ['images', 'masks'] + ['labels'] * (name in LABELLED)
      for kind, side in itertools.product(kinds, ('fixed', 'moving')):
        assert (root / name / kind / f'{row[side]}.nii.gz').is_file()
        people[row['split']].add(row[side].rpartition('_')[0])
      same = row['fixed'].split('_')[1] == row['moving'].split('_')[1]
      assert same == (name in ('lung_ct', 'abdomen_mr_ct'))
    assert not people['train'] & people['val']
    splits = [row['split'] for row in _rows(root / name / 'pairs.csv')]
    assert splits == ['train', 'val', 'val']
  names = _rows(root / 'abdomen_mr_ct/label_names.csv')
  assert names[0] == {'value': '1', 'name': 'liver'}
  assert not (root / 'lung_ct/labels').exists()


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(
  root, tmp_path
):
  synthetic.write_stream(tmp_path / 'again', **SMALL)
  synthetic.write_stream(tmp_path / 'other', **SMALL | {'seed': 4})
  files = sorted(p.relative_to(root) for p in root.rglob('*') if p.is_file())
  for file in files:
    assert (root / file).read_bytes() == (
      tmp_path / 'again' / file
    ).read_bytes()
    if file.parent.name == 'images':
      other = tmp_path / 'other' / file
      assert (root / file).read_bytes() != other.read_bytes()


def test_a_case_does_not_depend_on_how_many_there_are(root, tmp_path):
  synthetic.write_stream(tmp_path / 'more', **SMALL | {'num_train': 3})
  for name in (
    'brain_mr/images/train_001_scanner2',
    'lung_ct/images/train_000_inhale',
  ):
    few, many = (
      volumes.load_volume(folder / f'{name}.nii.gz').data
      for folder in (root, tmp_path / 'more')
    )
    np.testing.assert_array_equal(few, many)


def test_a_complete_stream_is_kept_and_another_refused(root, tmp_path):
  before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
  synthetic.write_stream(root, **SMALL)
  assert {p: p.stat().st_mtime_ns for p in root.rglob('*')} == before
  with pytest.raises(errors.InputError, match='seed'):
    synthetic.write_stream(root, **SMALL | {'seed': 4})
  (tmp_path / 'thesis.txt').touch()
  with pytest.raises(errors.InputError, match=r'stream\.json'):
    synthetic.write_stream(tmp_path, **SMALL)
  assert [p.name for p in tmp_path.iterdir()] == ['thesis.txt']
  assert json.loads((root / 'stream.json').read_text())['shape'] == [14, 12, 16]


def test_a_run_that_stops_leaves_nothing(tmp_path, monkeypatch):
  def fail(*args, **kwargs):
    raise KeyboardInterrupt

  monkeypatch.setattr(tasks, 'render', fail)
  with pytest.raises(KeyboardInterrupt):
    synthetic.write_stream(tmp_path / 'stream', **SMALL)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('change', 'field'),
  [
    ({'shape': (40, 32)}, 'shape'),
    ({'shape': (40, 4, 40)}, 'shape'),
    ({'num_train': 0}, 'num_train'),
    ({'num_test': 1000}, 'num_test'),
    ({'seed': -1}, 'seed'),
  ],
)
def test_bad_parameters_are_named(tmp_path, change, field):
  with pytest.raises(errors.InputError, match=field):
    synthetic.write_stream(tmp_path / 'stream', **SMALL | change)
