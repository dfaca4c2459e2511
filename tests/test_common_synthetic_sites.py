"""Anatomy, scanners and files of the synthetic prostate stream."""

import csv
import dataclasses
import json

from nibabel import orientations
import numpy as np
import pytest
from scipy import ndimage

from common import errors, synthetic, volumes
from common.synthetic import (
  folder,
  prostate,
  prostate_scanner,
  sites,
  solids,
)

SMALL = {
  'shape': (16, 14),
  'num_slices': 3,
  'num_train': 2,
  'num_test': 1,
  'seed': 3,
}
VIEW = {'shape': (48, 48), 'num_slices': 6, 'seed': 0}
COILS = ('site_d', 'site_f')
CROSS = ndimage.generate_binary_structure(2, 1)[:, :, None]


@pytest.fixture(scope='module', name='root')
def _root(tmp_path_factory):
  root = tmp_path_factory.mktemp('sites') / 'stream'
  synthetic.write_sites(root, **SMALL)
  return root


def _render(name, case='train_000', changes=None, **view):
  site = dataclasses.replace(sites.by_name(name), **(changes or {}))
  return prostate_scanner.render(site, case, **VIEW | view)


def _points(affine, shape, name):
  """Voxels (3, n) in the coordinates of the anatomy, mm."""
  voxels = np.indices(shape).reshape(3, -1)
  world = affine[:3, :3] @ voxels + affine[:3, 3:]
  return world - np.array(sites.by_name(name).origin)[:, None]


def _box(half, step):
  axes = [np.arange(-h, h + 0.1, step) for h in half]
  return np.stack(np.meshgrid(*axes, indexing='ij')).reshape(3, -1)


def _person(name, case='train_000', seed=0):
  return prostate_scanner.person(sites.by_name(name), case, seed)


def _top(name, case, part):
  """Where `part` is uppermost, (x, y, z) bool."""
  size, affine = sites.by_name(name).grid(VIEW['shape'], VIEW['num_slices'])
  drawing = prostate.draw(_points(affine, size, name), _person(name, case))
  return solids.label(drawing.parts, {part: 1}).reshape(size) == 1


def test_the_stream_and_the_unseen_sites_are_the_six():
  assert (*sites.STREAM, *sites.UNSEEN) == synthetic.SITES
  assert tuple(f'site_{letter}' for letter in 'abcdef') == synthetic.SITES


def test_a_case_is_a_function_of_seed_site_and_name():
  first = _render('site_c')
  again = _render('site_c')
  np.testing.assert_array_equal(first.image, again.image)
  np.testing.assert_array_equal(first.label, again.label)
  for other in (
    _render('site_c', seed=1),
    _render('site_c', case='train_001'),
    _render('site_c', case='test_000'),
  ):
    assert (first.image != other.image).mean() > 0.8
    assert (first.label != other.label).any()
  assert _person('site_a').growth != _person('site_b').growth


@pytest.mark.parametrize('name', synthetic.SITES)
def test_the_inner_gland_is_nested_in_the_peripheral_zone(name):
  for case in ('train_000', 'train_001', 'test_000'):
    rendered = _render(name, case, shape=(96, 96))
    near = ndimage.binary_dilation(rendered.label == 0, CROSS)
    touching = (near & (rendered.label == 1)).ravel()
    points = _points(rendered.affine, rendered.label.shape, name)
    assert touching.mean() < 0.002
    # Where it does reach the surface, that is the front.
    behind = points[1] < _person(name, case).center[1]
    assert not (touching & behind).any()


def test_the_rim_is_thick_behind_and_thin_in_front():
  step = 0.75
  for i in range(4):
    person = dataclasses.replace(
      _person('site_c', f'train_{i:03d}'), growth=1.0
    )
    points = _box((36.0, 33.0, 0.0), step) + person.center[:, None]
    label = prostate.draw(points, person).label.reshape(97, 89)
    rim = step * ndimage.distance_transform_edt(label > 0)
    inner, y = label == 1, points[1].reshape(label.shape) - person.center[1]
    assert rim[inner & (y < -5.0)].min() > 3.0
    assert rim[inner & (y > 5.0)].min() < 2.5


@pytest.mark.parametrize('name', synthetic.SITES)
def test_every_slice_through_the_middle_has_both_zones(name):
  for i in range(6):
    case = f'train_{i:03d}'
    label, person = _render(name, case).label, _person(name, case)
    spacing = sites.by_name(name).thickness
    heights = spacing * (np.arange(6) - 2.5) - person.center[2]
    for k in np.flatnonzero(np.abs(heights) < 0.55 * person.radii[2]):
      assert (label[:, :, k] == 1).sum() >= 8
      assert (label[:, :, k] == 2).sum() >= 20


def test_the_inner_gland_fills_more_of_the_middle_than_of_the_apex():
  shares = []
  for i in range(8):
    person = _person('site_a', f'train_{i:03d}')
    points = _box((36.0, 32.0, 0.0), 1.0)
    shares.append([])
    for height in (-0.65, 0.1):
      at = points + person.center[:, None]
      at[2] += height * person.radii[2]
      label = prostate.draw(at, person).label
      shares[-1].append((label == 1).sum() / (label > 0).sum())
  apex, middle = np.mean(shares, axis=0)
  assert apex < middle - 0.1


def test_no_slice_of_the_gland_lacks_the_tissue_around_the_urethra():
  seen = 0
  for i in range(6):
    person = _person('site_b', f'train_{i:03d}')
    for height in np.arange(-0.95, 1.0, 0.1):
      at = _box((36.0, 32.0, 0.0), 1.0) + person.center[:, None]
      at[2] += height * person.radii[2]
      label = prostate.draw(at, person).label
      if (label > 0).sum() > 350:  # mm^2
        assert (label == 1).sum() >= 30
        seen += 1
  assert seen > 60


def test_growth_and_size_shape_the_gland():
  def volumes_of(**changes):
    person = dataclasses.replace(_person('site_a'), **changes)
    label = prostate.draw(_box((36.0, 32.0, 30.0), 2.0), person).label
    return [8e-3 * (label == value).sum() for value in (1, 2)]  # ml

  radii = np.array([22.0, 16.0, 15.0])
  young, old, large = (
    volumes_of(growth=0.0, radii=radii),
    volumes_of(growth=1.0, radii=radii),
    volumes_of(growth=0.0, radii=1.2 * radii),
  )
  assert 12.0 < sum(young) < 30.0
  assert old[0] > 1.5 * young[0]
  assert sum(old) == pytest.approx(sum(young), rel=0.02)
  assert sum(large) == pytest.approx(1.2**3 * sum(young), rel=0.1)


def test_sites_treat_other_patients():
  def growth(name):
    people = [_person(name, f'train_{i:03d}') for i in range(12)]
    return np.mean([p.growth for p in people]), np.mean(
      [p.organs.rectum for p in people]
    )

  assert growth('site_c')[0] > growth('site_a')[0] + 0.2
  assert growth('site_b')[0] < growth('site_a')[0] - 0.05
  assert growth('site_d')[1] > growth('site_a')[1] + 4.0


def test_organs_are_where_they_belong():
  """Pubis in front, rectum behind, bladder above, gas on top of stool."""
  for i in range(4):
    person = _person('site_a', f'train_{i:03d}')
    points = _box((60.0, 60.0, 30.0), 3.0)
    drawing = prostate.draw(points, person)
    names = [part.name for part in drawing.parts]
    top = solids.label(
      drawing.parts, {name: k for k, name in enumerate(sorted(set(names)), 1)}
    )
    middle = {
      name: points[:, top == k].mean(axis=1)
      for k, name in enumerate(sorted(set(names)), 1)
      if (top == k).any()
    }
    gland = points[:, drawing.label > 0].mean(axis=1)
    assert middle['cartilage'][1] > gland[1] + 25.0
    assert middle['rectal_wall'][1] < gland[1] - 18.0
    assert middle['urine'][2] > gland[2] + 12.0
    assert middle['vesicle'][2] > gland[2] + 8.0
    assert middle['vesicle'][1] < gland[1]
    assert middle['stroma'][1] > middle['urethra'][1]
    muscle = points[:, top == 1 + sorted(set(names)).index('muscle')]
    assert (muscle[0] > 30.0).sum() > 100 < (muscle[0] < -30.0).sum()
    if {'gas', 'stool'} <= middle.keys():
      assert middle['gas'][1] > middle['stool'][1]


def test_a_distended_rectum_indents_the_gland():
  person = _person('site_a')
  points = _box((36.0, 32.0, 12.0), 2.0)
  indented = [
    prostate.draw(
      points,
      dataclasses.replace(
        person, organs=dataclasses.replace(person.organs, press=press)
      ),
    )
    for press in (-3.0, 5.0)
  ]
  lost = (indented[0].label > 0) & (indented[1].label == 0)
  assert lost.sum() > 40
  assert not ((indented[0].label == 0) & (indented[1].label > 0)).any()
  assert points[1, lost].mean() < person.center[1] - 6.0


@pytest.mark.parametrize('name', synthetic.SITES)
def test_only_the_inverted_site_has_a_dark_peripheral_zone_and_dark_fat(name):
  flat = {'bias': 0.0, 'flare': 0.0}
  for case in ('train_000', 'test_001'):
    rendered = _render(name, case, flat)
    inner, outer = (
      np.mean(rendered.image[rendered.label == value]) for value in (1, 2)
    )
    fat, muscle = (
      np.mean(rendered.image[_top(name, case, part)])
      for part in ('fat', 'muscle')
    )
    if name == 'site_b':
      assert outer < 0.85 * inner and fat < 0.6 * muscle
    else:
      assert outer > 1.1 * inner and fat > 1.3 * muscle


@pytest.mark.parametrize('name', COILS)
def test_the_coil_halves_every_few_millimetres(name):
  """The excess over the picture without it is s 2^(-gap / reach)."""
  quiet = {'noise': 0.0, 'level': 8000.0, 'dtype': np.uint16}
  with_coil = _render(name, changes=quiet).image.astype(float)
  without = _render(name, changes=quiet | {'flare': 0.0}).image
  size = with_coil.shape
  _, affine = sites.by_name(name).grid(VIEW['shape'], VIEW['num_slices'])
  drawing = prostate.draw(_points(affine, size, name), _person(name))
  gap = next(p.distance for p in drawing.parts if p.name == 'rectal_wall')
  gap = gap.reshape(size)
  usable = (without > 500) & (gap > 0.0) & (gap < 25.0) & (with_coil < 65535)
  excess = np.log2(with_coil[usable] / without[usable] - 1.0)
  slope, start = np.polyfit(gap[usable], excess, 1)
  assert 6.0 < -1.0 / slope < 9.0
  assert 0.8 < 2.0**start / sites.by_name(name).flare < 1.2
  np.testing.assert_allclose(excess, start + slope * gap[usable], atol=0.05)


def test_coil_sites_are_brightest_at_the_rectum():
  for name in synthetic.SITES:
    rendered = _render(name, changes={'noise': 0.0, 'bias': 0.0})
    fat = _top(name, 'train_000', 'fat')
    y = _points(rendered.affine, fat.shape, name)[1].reshape(fat.shape)
    front, back = (
      np.median(rendered.image[fat & side])
      for side in (y > 15.0, (y < -15.0) & (y > -35.0))
    )
    assert (back > 1.25 * front) == (name in COILS)


@pytest.mark.parametrize('name', synthetic.SITES)
def test_noise_is_rician_of_the_stated_strength(name):
  """No signal: mean sigma sqrt(pi / 2). Much signal: deviation sigma."""
  site = sites.by_name(name)
  fine = {'level': 8000.0, 'dtype': np.uint16, 'flare': 0.0, 'bias': 0.0}
  dark = fine | {'values': dict.fromkeys(site.values, 0.0)}
  air = _render(name, changes=dark).image
  clean = _render(name, changes=fine | {'noise': 0.0}).image.astype(float)
  noisy = _render(name, changes=fine).image
  sigma = air.mean() / np.sqrt(np.pi / 2.0)
  assert air.mean() / air.std() == pytest.approx(1.913, rel=0.02)
  assert 0.79 < sigma / (8000.0 * site.noise) < 1.26
  bright = (clean > 4.0 * sigma) & (noisy < 65535)
  residual = (noisy - clean)[bright]
  assert residual.std() == pytest.approx(sigma, rel=0.06)


def test_noise_differs_between_cases_and_slices():
  dark = {'values': dict.fromkeys(prostate.T2, 0.0)}
  first, second = (
    _render('site_c', case, dark).image for case in ('train_000', 'train_001')
  )
  for pair in ((first, second), (first[..., 0], first[..., 1])):
    assert abs(np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1]) < 0.08


def test_the_bias_field_has_the_stated_spread_and_is_smooth():
  quiet = {'noise': 0.0, 'level': 8000.0, 'dtype': np.uint16, 'flare': 0.0}
  logs, site = [], sites.by_name('site_e')
  for i in range(16):
    view = {'shape': (24, 24), 'num_slices': 2}
    case = f'train_{i:03d}'
    shaded, flat = (
      _render('site_e', case, quiet | {'bias': bias}, **view).image[:, :, 0]
      for bias in (site.bias, 0.0)
    )
    logs.append(np.log(np.maximum(shaded, 1) / np.maximum(flat, 1)))
    steps = np.abs(np.diff(logs[-1], axis=0))[flat[1:] > 2000]
    assert steps.max() < 0.2
  assert np.std(logs) == pytest.approx(site.bias, rel=0.3)
  assert np.mean([np.std(log) for log in logs]) > 0.4 * site.bias


@pytest.mark.parametrize('name', ['site_c', 'site_e'])
def test_blur_is_gaussian_in_plane_only(name):
  quiet = {'noise': 0.0, 'bias': 0.0, 'level': 8000.0, 'dtype': np.uint16}
  view = {'shape': (48, 40)}
  blurred = _render(name, changes=quiet, **view)
  sharp = _render(name, changes=quiet | {'blur': 0.0}, **view).image
  blur = sites.by_name(name).blur
  spacing = np.linalg.norm(blurred.affine[:3, :3], axis=0)
  widths = (blur / spacing[0], blur / spacing[1], 0.0)
  expected = ndimage.gaussian_filter(
    sharp.astype(float), widths, mode='nearest'
  )
  np.testing.assert_allclose(blurred.image, expected, atol=1.5)


def test_slices_do_not_blur_into_each_other():
  quiet = {'noise': 0.0, 'bias': 0.0, 'level': 8000.0, 'dtype': np.uint16}
  alone, between = (
    _render('site_c', changes=quiet, num_slices=count).image[:, :, count // 2]
    for count in (1, 3)
  )
  assert np.corrcoef(alone.ravel(), between.ravel())[0, 1] > 0.999999


@pytest.mark.parametrize('name', synthetic.SITES)
def test_gamma_is_the_exponent_of_the_contrast_curve(name):
  """From gamma to 2 gamma, 1/2 darkens by 2^-gamma, give or take a scan's."""
  gamma = sites.by_name(name).gamma
  flat = {'values': dict.fromkeys(prostate.T2, 0.5), 'noise': 0.0}
  flat |= {'level': 8000.0, 'dtype': np.uint16, 'flare': 0.0}
  darker = []
  for i in range(6):
    once, twice = (
      _render(name, f'test_{i:03d}', flat | {'gamma': g}, num_slices=1).image
      for g in (gamma, 2.0 * gamma)
    )
    darker.append(np.log2(once.mean() / twice.mean()) / gamma)
  assert np.mean(darker) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize('name', synthetic.SITES)
def test_files_hold_what_was_drawn_where_it_was_drawn(root, name):
  case = 'test_000'
  label = volumes.load_volume(root / name / f'labels/{case}.nii.gz', 'label')
  image = volumes.load_volume(root / name / f'images/{case}.nii.gz')
  assert label.grid.matches(image.grid)
  drawn = prostate.draw(
    _points(label.affine, label.data.shape, name),
    _person(name, case, SMALL['seed']),
  )
  agree = label.data.ravel() == drawn.label
  assert agree.mean() > 0.998 and label.data.max() == 2
  rendered = _render(name, case, **{k: SMALL[k] for k in VIEW})
  np.testing.assert_array_equal(image.data, rendered.image)


@pytest.mark.parametrize('name', synthetic.SITES)
def test_the_gland_lies_where_it_was_designed_in_millimetres(tmp_path, name):
  synthetic.write_sites(
    tmp_path, **SMALL | {'shape': (40, 32), 'num_slices': 16, 'num_train': 1}
  )
  path = tmp_path / name / 'labels/train_000.nii.gz'
  label = volumes.load_volume(path, 'label')
  dense = _box((40.0, 40.0, 26.0), 1.0)
  drawn = prostate.draw(dense, _person(name, seed=SMALL['seed'])).label
  voxels = np.indices(label.data.shape).reshape(3, -1)
  world = label.affine[:3, :3] @ voxels + label.affine[:3, 3:]
  for value in (1, 2):
    found = world[:, label.data.ravel() == value].mean(axis=1)
    expected = dense[:, drawn == value].mean(axis=1)
    expected += sites.by_name(name).origin
    np.testing.assert_allclose(found, expected, atol=0.6)


def test_every_scanner_has_its_own_grid(root):
  found = {}
  for name in synthetic.SITES:
    path = root / name / 'images/train_001.nii.gz'
    stored = volumes.load_grid(path, canonical=False)
    codes = ''.join(orientations.aff2axcodes(stored.affine))
    found[name] = codes
    site, spacing = sites.by_name(name), np.array(stored.spacing)
    nominal = np.array([96.0 / 16, 96.0 / 14])
    np.testing.assert_allclose(
      spacing[:2], site.coarseness * nominal, rtol=1e-4
    )
    assert spacing[2] == pytest.approx(site.thickness, rel=1e-4)
    assert stored.shape[2] == 3 and 3.0 <= spacing[2] <= 4.0
    field = spacing[:2] * stored.shape[:2]
    assert (np.abs(field - site.field) <= 0.5 * spacing[:2] + 1e-3).all()
    whole = np.abs(stored.affine[:3, :3]) / spacing
    oblique = np.abs(whole - np.round(whole)).max() > 1e-3
    assert oblique == (name == 'site_d')
  assert set(found.values()) == {'LPS', 'RAS', 'LAS'}
  spacings = {sites.by_name(name).coarseness for name in synthetic.SITES}
  assert len(spacings) == 6


def test_slices_turn_right_handed():
  """Turned by -90 degrees about x, rows that ran forward run down."""
  site = dataclasses.replace(sites.by_name('site_a'), turn=(-90.0, 0.0, 0.0))
  _, affine = site.grid((48, 48), 6)
  np.testing.assert_allclose(affine[:3, 1], [0.0, 0.0, -2.0], atol=1e-9)
  np.testing.assert_allclose(affine[:3, 2], [0.0, 3.6, 0.0], atol=1e-9)


@pytest.mark.parametrize('orientation', ['LPS', 'SAL', 'PIR'])
def test_any_stored_orientation_reads_back_the_same(tmp_path, orientation):
  array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
  affine = np.diag([2.0, 3.0, 4.0, 1.0])
  affine[:3, 3] = 5.0, -6.0, 7.0
  path = tmp_path / 'volume.nii.gz'
  folder.save_oriented(path, array, affine, orientation)
  stored = volumes.load_grid(path, canonical=False)
  assert ''.join(orientations.aff2axcodes(stored.affine)) == orientation
  volume = volumes.load_volume(path)
  np.testing.assert_array_equal(volume.data, array)
  np.testing.assert_allclose(volume.affine, affine)


def test_tables_name_every_file_and_its_split(root):
  manifest = json.loads((root / 'stream.json').read_text())
  assert manifest['sites'] == list(synthetic.SITES)
  assert manifest['shape'] == [16, 14] and manifest['num_slices'] == 3
  assert manifest['labels'] == {'transition_zone': 1, 'peripheral_zone': 2}
  for name in synthetic.SITES:
    with open(root / name / 'split.csv', newline='') as file:
      rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
      ('train_000', 'train'),
      ('train_001', 'train'),
      ('test_000', 'test'),
    ]
    for kind in ('images', 'labels'):
      files = {p.name for p in (root / name / kind).iterdir()}
      assert files == {f'{case}.nii.gz' for case, _ in rows}


def test_the_same_seed_writes_the_same_bytes_whatever_the_counts(
  root, tmp_path
):
  synthetic.write_sites(tmp_path / 'more', **SMALL | {'num_test': 2})
  synthetic.write_sites(tmp_path / 'other', **SMALL | {'seed': 4})
  files = [p.relative_to(root) for p in sorted(root.rglob('*.nii.gz'))]
  assert len(files) == 36
  for file in files:
    content = (root / file).read_bytes()
    assert content == (tmp_path / 'more' / file).read_bytes()
    assert content != (tmp_path / 'other' / file).read_bytes()


def test_a_complete_stream_is_kept_and_another_refused(
  root, tmp_path, monkeypatch
):
  monkeypatch.setattr(prostate_scanner, 'render', None)  # not even drawn
  before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
  synthetic.write_sites(root, **SMALL)
  assert {p: p.stat().st_mtime_ns for p in root.rglob('*')} == before
  for change in ({'seed': 4}, {'num_slices': 4}, {'shape': (14, 16)}):
    with pytest.raises(errors.InputError, match=next(iter(change))):
      synthetic.write_sites(root, **SMALL | change)
  (tmp_path / 'thesis.txt').touch()
  with pytest.raises(errors.InputError, match=r'stream\.json'):
    synthetic.write_sites(tmp_path, **SMALL)
  assert [p.name for p in tmp_path.iterdir()] == ['thesis.txt']


def test_a_run_that_stops_leaves_nothing(tmp_path, monkeypatch):
  def fail(*args, **kwargs):
    raise KeyboardInterrupt

  monkeypatch.setattr(prostate_scanner, 'render', fail)
  with pytest.raises(KeyboardInterrupt):
    synthetic.write_sites(tmp_path / 'stream', **SMALL)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('change', 'field'),
  [
    ({'shape': (48, 48, 6)}, 'shape'),
    ({'shape': (48, 4)}, 'shape'),
    ({'num_slices': 0}, 'num_slices'),
    ({'num_train': 0}, 'num_train'),
    ({'num_test': 1000}, 'num_test'),
    ({'seed': -1}, 'seed'),
  ],
)
def test_bad_parameters_are_named(tmp_path, change, field):
  with pytest.raises(errors.InputError, match=field):
    synthetic.write_sites(tmp_path / 'stream', **SMALL | change)
