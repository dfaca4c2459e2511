"""Segmentation sites from folders of tiny files."""

import pathlib
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from common import rasters, rng, volumes
from smg import cases, sites
from tests import site_files

SHAPE = site_files.SHAPE
PLANE = SHAPE[:2]


@pytest.fixture(name='root')
def _root(tmp_path: pathlib.Path) -> pathlib.Path:
  """NIfTI cases p, q (stored LPS) and r; trains on p and q."""
  site_files.write_nifti(tmp_path, 'p', 0)
  site_files.write_nifti(tmp_path, 'q', 1, affine=site_files.LPS)
  site_files.write_nifti(tmp_path, 'r', 2)
  (tmp_path / 'split.csv').write_text(
    'case,split\np,train\nr,test\nq,train\n', encoding='utf-8'
  )
  return tmp_path


@pytest.fixture(name='pngs')
def _pngs(tmp_path: pathlib.Path) -> pathlib.Path:
  """RGB cases c0 to c3."""
  for n in range(4):
    site_files.write_png(tmp_path, f'c{n}', n)
  return tmp_path


def _stored(root: pathlib.Path, kind: str, name: str) -> np.ndarray:
  return np.asanyarray(nib.load(root / kind / f'{name}.nii.gz').dataobj)


def _save_png(root: pathlib.Path, kind: str, name: str, data: Any) -> None:
  site_files.save_png(root / kind / f'{name}.png', data)


# What a batch is.


def test_slices_of_a_volume_are_the_voxels_of_the_file(
  root: pathlib.Path,
) -> None:
  site = site_files.load_site(site_files.nifti_fields(root, masks='masks'))
  assert (site.name, site.channels, site.classes) == ('a', 1, (1, 2))
  assert [c.name for c in site.train] == ['p', 'q']
  assert [c.name for c in site.test] == ['r']
  assert site.num_train() == 10
  batch = site.load_train([3, 6])
  assert {k: (a.dtype.name, a.shape) for k, a in batch.items()} == {
    'image': ('float32', (2, 8, 10, 1)),
    'label': ('uint8', (2, 8, 10)),
  }
  # q is stored with x to the left and y to the back.
  mask = {case.name: site.prepared(case).mask for case in site.train}
  for kind, (in_p, in_q) in {
    'labels': batch['label'],
    'masks': (mask['p'][3], mask['q'][1]),
  }.items():
    p, q = (_stored(root, kind, name) for name in 'pq')
    np.testing.assert_array_equal(in_p, p[:, :, 3])
    np.testing.assert_array_equal(in_q, q[::-1, ::-1, 1])
  image = _stored(root, 'images', 'q').astype(float)
  low, high = np.percentile(image[image > image.min()], (0.5, 99.5))
  wanted = np.clip((image - low) / (high - low), 0, 1)[::-1, ::-1, 1]
  np.testing.assert_allclose(batch['image'][1, ..., 0], wanted, atol=1e-6)


@pytest.mark.parametrize(
  ('affine', 'order'),
  [(site_files.RAS, (0, 1, 2)), (site_files.SAR, (2, 1, 0))],
)
@pytest.mark.parametrize('axis', [0, 1, 2])
def test_slices_across_each_axis(
  tmp_path: pathlib.Path, axis: int, affine: np.ndarray, order: tuple[int, ...]
) -> None:
  """Slice n is that of the canonical volume; the other axes ascend."""
  shape = tuple(np.array((7, 8, 6))[list(order)])  # x, y, z: 7, 8, 6
  for n, name in enumerate('pq'):
    label = site_files.write_nifti(
      tmp_path, name, n, shape=shape, affine=affine
    )[1]
  own = np.array([1.0, 1.0, 3.0])
  plane = [a for a in range(3) if a != axis]
  site = site_files.load_site(
    site_files.nifti_fields(
      tmp_path, slice_axis=axis, spacing=own[plane], cases=['q', 'p']
    ),
    shape=tuple(np.array((7, 8, 6))[plane] + (2, 0)),
  )
  case = next(c for c in (*site.train, *site.test) if c.name == 'q')
  prepared = site.prepared(case)
  canonical = label.transpose(order)
  for n in range((7, 8, 6)[axis]):
    wanted = canonical.take(n, axis)
    np.testing.assert_array_equal(prepared.label[n, 1:-1], wanted)
    assert not prepared.label[n, [0, -1]].any()
  assert prepared.mask[:, 1:-1].all()
  assert not prepared.mask[:, [0, -1]].any()
  assert not prepared.image[:, [0, -1]].any()
  assert prepared.spacing == pytest.approx((*own[plane], own[axis]))
  assert prepared.grid.shape == np.moveaxis(prepared.label, 0, -1).shape
  volume = prepared.restore(prepared.label)
  np.testing.assert_array_equal(volume.data, canonical)


@pytest.mark.parametrize(
  'affine', [site_files.RAS, site_files.LPS, site_files.SAR]
)
@pytest.mark.parametrize('shape', [(9, 12), (9, 12, 11)])
def test_a_restored_label_is_saved_as_the_file_was(
  tmp_path: pathlib.Path, affine: np.ndarray, shape: tuple[int, ...]
) -> None:
  for name in 'pq':
    label = site_files.write_nifti(tmp_path, name, 7, affine=affine)[1]
  turned = affine is site_files.SAR
  spacing = (1.0, 1.0, 3.0)[: len(shape)]
  if turned:  # the stored axes are z, y, x: (8, 10, 5) is x 5, y 10, z 8
    shape = (7, *shape[1:])
  site = site_files.load_site(
    site_files.nifti_fields(tmp_path, spacing=spacing), shape=shape
  )
  prepared = site.prepared(site.test[0])
  volume = prepared.restore(prepared.label)
  path = tmp_path / 'out' / 'p.nii.gz'
  volumes.save_volume(path, volume.data, like=volume)
  saved = nib.load(path)
  np.testing.assert_array_equal(np.asanyarray(saved.dataobj), label)
  np.testing.assert_allclose(saved.affine, affine)


def test_a_volume_of_a_3d_stream(root: pathlib.Path) -> None:
  site = site_files.load_site(
    site_files.nifti_fields(root, spacing=[1, 1, 3]), shape=(8, 12, 4)
  )
  assert site.num_train() == 2
  batch = site.load_train([1, 0])
  assert batch['image'].shape == (2, 8, 12, 4, 1)
  label = _stored(root, 'labels', 'q')[::-1, ::-1]
  # y: one row is added on either side; z: 5 -> 4 drops slice 5//2 - 4//2 - 1.
  np.testing.assert_array_equal(batch['label'][0, :, 1:11], label[..., :4])
  prepared = site.prepared(site.train[1])
  assert not prepared.mask[0, :, [0, 11]].any()
  assert prepared.mask[0, :, 1:11].all()
  assert prepared.spacing == pytest.approx((1, 1, 3))
  assert prepared.image.shape == (1, 8, 12, 4, 1)
  wanted = label.copy()
  wanted[..., 4] = 0
  np.testing.assert_array_equal(prepared.restore(prepared.label).data, wanted)


def test_without_spacing_the_whole_image_just_fits(
  tmp_path: pathlib.Path,
) -> None:
  """16 x 20 mm in 8 x 5 is 20/5 = 4 mm; in 3-D 6 mm, from 30 mm in 5."""
  affine = np.diag([2.0, 1.0, 3.0, 1.0])
  for n, name in enumerate('pq'):
    site_files.write_nifti(tmp_path, name, n, shape=(8, 20, 10), affine=affine)
  fields = site_files.nifti_fields(tmp_path)
  flat = site_files.load_site(fields, shape=(8, 5))
  prepared = flat.prepared(flat.test[0])
  assert prepared.spacing == pytest.approx((4, 4, 3))
  # 4 of the 8 rows of 4 mm lie on the 16 mm of x, all columns on those of y.
  np.testing.assert_array_equal(
    prepared.mask.all((0, 2)), [0, 0, 1, 1, 1, 1, 0, 0]
  )
  assert prepared.mask[:, 2:6].all()
  solid = site_files.load_site(fields, shape=(8, 5, 5))
  prepared = solid.prepared(solid.test[0])
  assert prepared.spacing == pytest.approx((6, 6, 6))


@pytest.mark.parametrize('affine', [site_files.RAS, site_files.LPS])
def test_resampled_images_and_labels_keep_their_place(
  tmp_path: pathlib.Path, affine: np.ndarray
) -> None:
  """A box of bright, labelled voxels at x 2-5, y 3-4 mm lands in one pixel."""
  image = np.zeros((8, 10, 5), np.int16)
  image[2:4, 6:8, 3] = 100
  canonical = image if affine is site_files.RAS else image[::-1, ::-1]
  for name in 'pq':
    site_files.save_nifti(
      tmp_path / 'images' / f'{name}.nii', canonical, affine
    )
    site_files.save_nifti(
      tmp_path / 'labels' / f'{name}.nii',
      2 * (canonical > 0).astype(np.uint8),
      affine,
    )
  site = site_files.load_site(
    site_files.nifti_fields(tmp_path, spacing=[2, 2], percentiles=[0, 100]),
    shape=(4, 5),
  )
  prepared = site.prepared(site.test[0])
  assert np.argwhere(prepared.label).tolist() == [[3, 1, 3]]
  at = np.unravel_index(prepared.image.argmax(), prepared.image.shape)
  assert at == (3, 1, 3, 0)
  # Blurred first: a nearest or plainly linear pixel would be 1.
  assert 0.4 < prepared.image.max() < 0.9
  volume = prepared.restore(prepared.label)
  np.testing.assert_array_equal(volume.data, 2 * (image > 0))


def test_a_mask_does_not_scale_intensities(tmp_path: pathlib.Path) -> None:
  """Whoever segments a new image has no mask for it."""
  for n in range(3):
    site_files.write_nifti(tmp_path, f'p{n}', n)
  masked, plain = (
    site_files.load_site(site_files.nifti_fields(tmp_path, **fields))
    for fields in ({'masks': 'masks'}, {})
  )
  a, b = (site.prepared(site.train[0]) for site in (masked, plain))
  assert not a.mask.all() and b.mask.all()
  np.testing.assert_array_equal(a.image, b.image)


def test_held_out_images_are_chosen_as_those_to_train_on(
  tmp_path: pathlib.Path,
) -> None:
  for n in range(4):
    _, label, _ = site_files.write_nifti(tmp_path, f'p{n}', n)
    label[..., 1] = 0
    site_files.save_nifti(tmp_path / 'labels' / f'p{n}.nii.gz', label)
  for chosen, count in (('all', 5), ('labelled', 4)):
    site = site_files.load_site(
      site_files.nifti_fields(tmp_path, train_slices=chosen)
    )
    assert site.num_train() == count * len(site.train)
    held_out = site.load_held_out()
    assert held_out.shape == (count * len(site.test), *site_files.SHAPE[:2], 1)
    kept = [n for n in range(5) if chosen == 'all' or n != 1]
    whole = [site.prepared(case).image[kept] for case in site.test]
    np.testing.assert_array_equal(held_out, np.concatenate(whole))


def test_a_png_keeps_rows_columns_and_colours(pngs: pathlib.Path) -> None:
  site = site_files.load_site(
    site_files.png_fields(pngs, masks='masks'), shape=(6, 9), classes=(1,)
  )
  assert (site.channels, site.num_train()) == (3, 3)
  for n, case in enumerate(site.train):
    batch = site.load_train([n])
    stored = {
      'image': rasters.load_raster(case.image, channels=3),
      'label': rasters.load_raster(case.label, 'label'),
      'mask': rasters.load_raster(case.mask, 'mask'),
    }
    np.testing.assert_allclose(
      batch['image'][0], stored['image'] / np.float32(255), atol=1e-6
    )
    np.testing.assert_array_equal(batch['label'][0], stored['label'] == 255)
    mask = site.prepared(case).mask
    np.testing.assert_array_equal(mask[0], stored['mask'])
  prepared = site.prepared(case)
  assert prepared.spacing == (1, 1, 1)
  volume = prepared.restore(prepared.label)
  values = prepared.to_file_values(volume.data[..., 0])
  np.testing.assert_array_equal(values, stored['label'])
  assert values.dtype == np.uint8


def test_a_png_in_a_larger_grid_of_its_own_pixels(pngs: pathlib.Path) -> None:
  fields = site_files.png_fields(pngs, spacing=[1, 1])
  site = site_files.load_site(fields, shape=(8, 12), classes=(1,))
  prepared = site.prepared(site.train[0])
  inside = np.zeros((1, 8, 12), bool)
  inside[:, 1:7, 1:10] = True  # 2 rows: 1 before; 3 columns: 1 before
  np.testing.assert_array_equal(prepared.mask, inside)
  raw = rasters.load_raster(site.train[0].image, channels=3)
  np.testing.assert_allclose(
    prepared.image[0, 1:7, 1:10], raw / np.float32(255), atol=1e-6
  )
  assert not prepared.image[~inside].any()


def test_a_constant_colour_stays_itself_when_it_gets_coarser(
  tmp_path: pathlib.Path,
) -> None:
  """Nothing bleeds between channels, rows or columns."""
  image = np.zeros((24, 36, 3), np.uint8)
  image[:12, :, 0], image[:, :18, 1], image[:, :, 2] = 255, 102, 51
  label = np.where(image[..., 0] > 0, 255, 0).astype(np.uint8)
  for name in 'pq':
    _save_png(tmp_path, 'images', name, image)
    _save_png(tmp_path, 'labels', name, label)
  site = site_files.load_site(
    site_files.png_fields(tmp_path), shape=(8, 12), classes=(1,)
  )
  batch = site.load_train([0])
  rows = np.indices((8, 12))
  np.testing.assert_array_equal(batch['label'][0], rows[0] < 4)
  away = (np.abs(rows[0] - 3.5) > 1) & (np.abs(rows[1] - 5.5) > 1)
  wanted = np.stack(
    [rows[0] < 4, 0.4 * (rows[1] < 6), np.full((8, 12), 0.2)], -1
  )
  np.testing.assert_allclose(batch['image'][0][away], wanted[away], atol=5e-3)


def test_sixteen_bits_grey(tmp_path: pathlib.Path) -> None:
  image = np.arange(54, dtype=np.uint16).reshape(6, 9) * 1234
  for name in 'pq':
    _save_png(tmp_path, 'images', name, image)
    _save_png(tmp_path, 'labels', name, image)
  pairs = [(n * 1234, 1 + n % 2) for n in range(1, 54)]
  fields = site_files.png_fields(tmp_path, channels=1, label_values=pairs)
  site = site_files.load_site(fields, shape=(6, 9))
  prepared = site.prepared(site.train[0])
  np.testing.assert_array_equal(
    prepared.to_file_values(prepared.label).ravel(),
    [0, *([1234, 2468] * 27)[:53]],
  )
  np.testing.assert_allclose(
    site.load_train([0])['image'][0, ..., 0], image / 65535, atol=1e-6
  )
  fields['percentiles'] = [10, 50]
  site = site_files.load_site(fields, shape=(6, 9))
  # Of 1, ..., 53 (times 1234), above the minimum 0: 6.2 and 27.
  np.testing.assert_allclose(
    site.load_train([0])['image'][0, ..., 0].ravel(),
    np.clip((np.arange(54) - 6.2) / (27 - 6.2), 0, 1),
    atol=1e-6,
  )


def test_outliers_are_clipped_before_the_image_is_blurred(
  tmp_path: pathlib.Path,
) -> None:
  """A voxel at 10 weighs as one at 2, where 2 is the upper percentile."""
  image = np.zeros((9, 12, 1), np.float32)
  for name, top in (('p', 2), ('q', 10)):
    image[::3, ::3], image[1::3, 1::3] = 1, 2
    image[4, 7] = top
    site_files.save_nifti(tmp_path / 'images' / f'{name}.nii', image)
    site_files.save_nifti(tmp_path / 'labels' / f'{name}.nii', image * 0)
  site = site_files.load_site(
    site_files.nifti_fields(tmp_path, percentiles=[0, 90]), shape=(3, 4)
  )
  p, q = (site.prepared(c) for c in (*site.train, *site.test))
  np.testing.assert_array_equal(p.image, q.image)
  assert 0 < p.image.max() < 1


def test_percentiles_that_coincide_give_way_to_the_extremes(
  tmp_path: pathlib.Path,
) -> None:
  image = np.zeros((6, 9, 2), np.float32)
  image[2:4, 3, 1] = 5
  image[0, 0, 0] = -5
  for name in 'pq':
    for kind, data in (('images', image), ('labels', image * 0)):
      site_files.save_nifti(tmp_path / kind / f'{name}.nii.gz', data)
  site = site_files.load_site(
    site_files.nifti_fields(tmp_path, percentiles=[5, 20]), shape=(6, 9)
  )
  prepared = site.prepared(site.train[0])
  np.testing.assert_array_equal(
    np.moveaxis(prepared.image[..., 0], 0, -1), (image + 5) / 10
  )


def test_merged_values_and_the_way_back(tmp_path: pathlib.Path) -> None:
  """0 is cup, 128 and 130 are disc, 255 is background."""
  label = np.random.default_rng(0).choice([0, 128, 130, 255], (6, 9))
  for name in 'pq':
    image = site_files.write_png(tmp_path, name, 0, shape=(6, 9))[0]
    _save_png(tmp_path, 'labels', name, label.astype(np.uint8))
  pairs = [[255, 0], [130, 1], [128, 1], [0, 2]]
  site = site_files.load_site(
    site_files.png_fields(tmp_path, channels=1, label_values=pairs),
    shape=(8, 9),
  )
  prepared = site.prepared(site.train[0])
  np.testing.assert_allclose(
    prepared.image[0, 1:7, :, 0], image / np.float32(255), atol=1e-6
  )
  to_class = {0: 2, 128: 1, 130: 1, 255: 0}
  wanted = np.vectorize(to_class.get)(label)
  np.testing.assert_array_equal(prepared.label[0, 1:7], wanted)
  assert not prepared.label[0, [0, 7]].any()  # padding is background, not cup
  back = prepared.to_file_values(prepared.restore(prepared.label).data)
  np.testing.assert_array_equal(
    back[..., 0], np.where(label == 128, 130, label)
  )


def test_palette_labels_are_indices(pngs: pathlib.Path) -> None:
  label = np.random.default_rng(1).integers(0, 3, (6, 9)).astype(np.uint8)
  for n in range(4):
    picture = rasters.Image.fromarray(label)
    picture.putpalette([0, 0, 0, 255, 255, 255, 9, 9, 9])
    picture.save(pngs / 'labels' / f'c{n}.png')
  fields = site_files.png_fields(pngs, label_values=None)
  batch = site_files.load_site(fields, shape=(6, 9)).load_train([0])
  np.testing.assert_array_equal(batch['label'][0], label)


def test_only_labelled_slices(root: pathlib.Path) -> None:
  for name, empty in (('p', [0, 3]), ('q', [4])):
    path = root / 'labels' / f'{name}.nii.gz'
    label = _stored(root, 'labels', name).copy()
    label[..., empty] = 0
    site_files.save_nifti(path, label, nib.load(path).affine)
  fields = site_files.nifti_fields(root, train_slices='labelled')
  site = site_files.load_site(fields)
  assert site.num_train() == 7
  p = _stored(root, 'labels', 'p')
  for index, n in enumerate((1, 2, 4)):
    label = site.load_train([index])['label'][0]
    np.testing.assert_array_equal(label, p[..., n])
  assert site.load_train([6])['label'].any()
  assert (
    site_files.load_site(fields | {'train_slices': 'all'}).num_train() == 10
  )


def test_every_file_is_read_once(
  root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  read: list[str] = []
  load = volumes.load_volume

  def counted(path: pathlib.Path, kind: str = 'image', **fields) -> Any:
    read.append(f'{kind} {path.name}')
    return load(path, kind, **fields)

  monkeypatch.setattr(volumes, 'load_volume', counted)
  site = site_files.load_site(site_files.nifti_fields(root, masks='masks'))
  assert len(read) == len(set(read)) == 9
  batch = site.load_train([0])
  batch['label'][:] = 9
  assert site.load_train([0])['label'].max() <= 2
  assert site.prepared(site.test[0]) is site.prepared(site.test[0])
  assert len(read) == 9


# Which files.


def test_one_folder_with_suffixes(tmp_path: pathlib.Path) -> None:
  places = ('Case{}', 'Case{}_segmentation', 'Case{}_region')
  for n in range(3):
    image, label, _ = site_files.write_nifti(
      tmp_path, f'0{n}', n, places=places
    )
  (tmp_path / '._Case00.nii.gz').write_bytes(b'not a volume')
  (tmp_path / 'readme.txt').write_text('-')
  site = site_files.load_site(
    site_files.nifti_fields(
      tmp_path,
      images='.',
      labels='',
      masks='.',
      label_suffix='_segmentation',
      mask_suffix='_region',
    )
  )
  names = [c.name for c in (*site.train, *site.test)]
  assert sorted(names) == ['Case00', 'Case01', 'Case02']
  case = next(c for c in (*site.train, *site.test) if c.name == 'Case02')
  assert case.label.name == 'Case02_segmentation.nii.gz'
  assert case.mask.name == 'Case02_region.nii.gz'
  prepared = site.prepared(case)
  np.testing.assert_array_equal(np.moveaxis(prepared.label, 0, -1), label)
  np.testing.assert_array_equal(np.moveaxis(prepared.mask, 0, -1), image > 40)


def test_the_longest_suffix_names_the_kind(tmp_path: pathlib.Path) -> None:
  """Labels that are called as the case, images with a suffix."""
  for name in 'pq':
    site_files.write_nifti(
      tmp_path, name, 0, places=('{}_t2', '{}', 'other/{}')
    )
  site = site_files.load_site(
    site_files.nifti_fields(tmp_path, images='', labels='.', image_suffix='_t2')
  )
  assert {c.name: (c.image.name, c.label.name) for c in site.train} | {
    c.name: (c.image.name, c.label.name) for c in site.test
  } == {n: (f'{n}_t2.nii.gz', f'{n}.nii.gz') for n in 'pq'}


def test_chosen_cases(root: pathlib.Path) -> None:
  for cases_field, wanted in (
    (['q', 'p'], ['p', 'q']),
    (['[pr]'], ['p', 'r']),
    (['*', 'p'], ['p', 'q', 'r']),
  ):
    site = site_files.load_site(
      site_files.nifti_fields(root, cases=cases_field, split='')
    )
    found = sorted(c.name for c in (*site.train, *site.test))
    assert found == wanted


# Which split.


def _write_children(root: pathlib.Path, num: int) -> dict[str, Any]:
  for n in range(num):
    for side in 'LR':
      site_files.write_png(root, f'Image_{n:02}{side}', n)
  return site_files.png_fields(root, group_pattern=r'Image_(\d+)')


def _names(found: tuple[cases.Case, ...]) -> list[str]:
  return [case.name for case in found]


def test_both_eyes_stay_on_one_side(tmp_path: pathlib.Path) -> None:
  fields = _write_children(tmp_path, 9)
  for seed in range(5):
    site = site_files.load_site(
      fields | {'split_seed': seed}, shape=(6, 9), classes=(1,)
    )
    assert (len(site.train), len(site.test)) == (14, 4)  # 2 of 9 children
    train, test = ({n[:-1] for n in _names(s)} for s in (site.train, site.test))
    assert not train & test


def test_a_drawn_split_is_the_seed_s_and_the_site_s(
  tmp_path: pathlib.Path,
) -> None:
  fields = _write_children(tmp_path, 9)

  def test_cases(name: str, **more: Any) -> list[str]:
    found = sites.load_sites(
      {name: fields | more}, {}, shape=(6, 9), classes=(1,)
    )
    return _names(found[0].test)

  assert test_cases('a') == test_cases('a')
  draws = [test_cases('a'), test_cases('b'), test_cases('a', split_seed=1)]
  assert len({tuple(d) for d in draws}) == 3
  order = rng.host(1, 'split/a').permutation(9)
  wanted = sorted(f'Image_{n:02}{s}' for n in order[:2] for s in 'LR')
  assert draws[2] == wanted


@pytest.mark.parametrize(
  ('fraction', 'num_test'), [(0.01, 1), (0.5, 2), (0.625, 3), (1.0, 3)]
)
def test_at_least_one_case_on_either_side(
  pngs: pathlib.Path, fraction: float, num_test: int
) -> None:
  site = site_files.load_site(
    site_files.png_fields(pngs, test_fraction=fraction),
    shape=(6, 9),
    classes=(1,),
  )
  assert (len(site.train), len(site.test)) == (4 - num_test, num_test)


def test_an_unseen_site_is_scored_on_all_its_cases(
  root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  other = tmp_path / 'other'
  for n, name in enumerate('ps'):
    site_files.write_nifti(other, name, n, shape=(6, 9, 1))
  stream, unseen = sites.load_sites(
    {'b': site_files.nifti_fields(root)},
    {'a': site_files.nifti_fields(other)},
    shape=PLANE,
    classes=(1, 2),
  )
  assert (stream.name, unseen.name) == ('b', 'a')
  assert (_names(unseen.train), _names(unseen.test)) == ([], ['p', 's'])
  (other / 'split.csv').write_text('split,case,note\ntrain,p,-\ntrain,s,-\n')
  site_files.refuses(
    site_files.nifti_fields(root),
    'split.csv',
    'test cases: found none',
    unseen={'b': site_files.nifti_fields(other)},
  )


# What is refused.


@pytest.mark.parametrize(
  ('fields', 'part'),
  [
    ({'rot': 'x'}, "sites.a: field: found ['rot'], allowed"),
    ({'name': 'x'}, "field: found ['name']"),
    ({'root': ''}, "sites.a.root: found '', allowed a text"),
    ({'format': None}, 'sites.a.format: found None, allowed a text'),
    ({'format': 'dicom'}, "found 'dicom', allowed one of ('nifti', 'png')"),
    ({'images': 3}, 'sites.a.images: found 3, allowed a text'),
    ({'cases': 40}, 'sites.a.cases: found 40, allowed names or patterns'),
    ({'cases': 'p'}, "sites.a.cases: found 'p', allowed names or patterns"),
    ({'cases': ['p', 'z*']}, "sites.a.cases: found 'z*' without an image"),
    ({'channels': 2}, 'sites.a.channels: found 2, allowed one of (1, 3)'),
    ({'channels': 3}, "sites.a.channels: found 3, allowed 1; 3 is for 'png'"),
    ({'slice_axis': 3}, 'slice_axis: found 3, allowed one of (0, 1, 2)'),
    ({'slice_axis': 1.0}, 'slice_axis: found 1.0'),
    ({'train_slices': 'some'}, "found 'some', allowed one of ('all', 'lab"),
    ({'spacing': [1, 0]}, 'spacing: found [1, 0], allowed two (2-D)'),
    ({'spacing': '11'}, "spacing: found '11', allowed two"),
    ({'spacing': 2}, 'spacing: found 2, allowed two'),
    ({'spacing': [1, 1, 1]}, 'allowed 2 numbers as the shape (8, 10) has'),
    ({'percentiles': [99, 1]}, 'percentiles: found [99, 1], allowed two'),
    ({'percentiles': [1, 101]}, 'percentiles: found [1, 101]'),
    ({'label_values': [1, 2]}, 'label_values: found [1, 2], allowed pairs'),
    ({'label_values': [[1.5, 1]]}, 'label_values: found [[1.5, 1]]'),
    ({'label_values': [[-1, 1]]}, 'label_values: found [[-1, 1]]'),
    ({'label_values': [[1, 1], [1, 2]]}, 'every value of the file once'),
    ({'label_values': [[0, 1]]}, 'a value for class 0'),
    (
      {'label_values': [[1, 3], [2, 1]]},
      'found class [3], allowed 0 and [1, 2',
    ),
    ({'test_fraction': 0}, 'test_fraction: found 0, allowed a number above 0'),
    ({'test_fraction': True}, 'test_fraction: found True'),
    ({'test_fraction': 0.3}, 'split.csv, allowed one of them'),
    ({'test_fraction': 0.3, 'split': 's.csv'}, 'allowed none beside "split"'),
    ({'split_seed': -1}, 'split_seed: found -1, allowed a whole number'),
    ({'group_pattern': '('}, "group_pattern: found '(', allowed a regular"),
    ({'group_pattern': '[pq]'}, "'[pq]' without a group in case 'r'"),
    ({'group_pattern': 'p|(.)'}, 'without a group in case '),
    ({'mask_suffix': '_m'}, "found '_m', allowed one beside the field"),
    ({'labels': 'images'}, 'allowed different folders or suffixes'),
    ({'images': 'pictures'}, 'pictures: images: found no folder'),
    ({'labels': 'truth'}, 'truth: labels: found no folder'),
    ({'masks': 'fov'}, 'fov: masks: found no folder'),
    ({'image_suffix': '_t2'}, "found none that end with '_t2'"),
    ({'format': 'png'}, "images: found none that end with '' and ('.png',)"),
    ({'label_suffix': '_seg'}, 'labels/p_seg: label: found no file'),
    ({'split': 'no.csv'}, 'no.csv: file: found FileNotFoundError'),
  ],
)
def test_fields(root: pathlib.Path, fields: dict[str, Any], part: str) -> None:
  site_files.refuses(site_files.nifti_fields(root) | fields, part)


def test_no_folder(tmp_path: pathlib.Path) -> None:
  site_files.refuses(
    site_files.nifti_fields(tmp_path / 'no'),
    f'sites.a.root: found {tmp_path / "no"}, allowed an existing folder',
  )


@pytest.mark.parametrize(
  ('shape', 'classes', 'part'),
  [
    ((8,), (1,), 'shape: found (8,), allowed two (2-D) or three (3-D)'),
    ((8, 8, 8, 1), (1,), 'shape: found (8, 8, 8, 1)'),
    ((8, 0), (1,), 'shape: found (8, 0)'),
    ((8, 8.5), (1,), 'shape: found (8, 8.5)'),
    ((8, 8), (), 'classes: found (), allowed different whole numbers'),
    ((8, 8), (0, 1), 'classes: found (0, 1)'),
    ((8, 8), (1, 1), 'classes: found (1, 1)'),
    ((8, 8), (256,), 'classes: found (256,)'),
  ],
)
def test_shape_and_classes(
  root: pathlib.Path, shape: Any, classes: Any, part: str
) -> None:
  site_files.refuses(
    site_files.nifti_fields(root), part, shape=shape, classes=classes
  )


def test_sites_that_do_not_fit_together(
  root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  fields = site_files.nifti_fields(root)
  site_files.refuses(
    fields, "found ['a'] trained and unseen", unseen={'a': fields}
  )
  site_files.refuses(
    fields,
    'q.nii.gz: split: found among the test cases of u and the train cases of a',
    unseen={'u': fields | {'split': '', 'cases': ['q']}},
  )
  other = tmp_path / 'other'
  for n in range(2):
    site_files.write_png(other, f'c{n}', n)
  rgb = site_files.png_fields(other)
  site_files.refuses(fields, 'b.channels: found 3, allowed 1 as site a', b=rgb)
  site_files.refuses(
    fields,
    "b.format: found 'png' in a stream of shape (8, 10, 5) (mixed 2-D and 3-D)",
    shape=SHAPE,
    b=rgb,
  )
  with pytest.raises(ValueError, match='found no stream'):
    sites.load_sites({}, {'a': fields}, shape=PLANE, classes=(1,))


def test_flat_fields_and_files_in_a_3d_stream(root: pathlib.Path) -> None:
  fields = site_files.nifti_fields(root)
  site_files.refuses(
    fields | {'slice_axis': 0}, 'slice_axis: found 0 in a stream', shape=SHAPE
  )
  site_files.refuses(
    fields | {'spacing': [1, 1]}, 'allowed 3 numbers', shape=SHAPE
  )
  site_files.write_nifti(root, 'r', 2, shape=(8, 1, 5))
  site_files.refuses(
    fields,
    'images/r.nii.gz: shape: found (8, 1, 5), a single slice in a 3-D stream',
    'mixed 2-D and 3-D',
    shape=SHAPE,
  )


def test_fields_of_a_png(pngs: pathlib.Path) -> None:
  fields = site_files.png_fields(pngs)
  site_files.refuses(
    fields | {'slice_axis': 0}, "slice_axis: found 0, allowed 2 for 'png'"
  )
  site_files.refuses(
    fields | {'channels': 1}, '.png: image: found RGB, allowed grey'
  )
  site_files.refuses(
    fields, 'label_values: found class [1], allowed 0 and [2]', classes=(2,)
  )
  for n in range(4):
    site_files.write_png(pngs, f'c{n}', n, shape=(6, 9))
  site_files.refuses(
    fields, '.png: image: found grey, allowed RGB', classes=(1,)
  )


@pytest.mark.parametrize('kind', ['labels', 'masks'])
def test_missing_files(root: pathlib.Path, kind: str) -> None:
  (root / kind / 'q.nii.gz').unlink()
  site_files.refuses(
    site_files.nifti_fields(root, masks='masks'),
    f'{root / kind / "q"}: {kind[:-1]}: found no file',
    'case q of site a',
  )


def test_two_files_for_a_case(root: pathlib.Path) -> None:
  site_files.save_nifti(root / 'labels' / 'p.nii', _stored(root, 'labels', 'p'))
  site_files.refuses(
    site_files.nifti_fields(root), 'found p.nii beside it', 'case p'
  )


def test_values_that_are_not_declared(root: pathlib.Path) -> None:
  fields = site_files.nifti_fields(root)
  site_files.refuses(
    fields,
    'labels/p.nii.gz: label: found [2], allowed [0, 1] (field "classes")',
    classes=(1,),
  )
  site_files.refuses(
    fields | {'label_values': [[2, 1]]},
    'labels/p.nii.gz: label: found [1], allowed [0, 2] (field "label_values")',
  )
  # Also where only the test case has it.
  label = _stored(root, 'labels', 'r').copy()
  label[1, 2, 3] = 7
  site_files.save_nifti(root / 'labels' / 'r.nii.gz', label)
  site_files.refuses(fields, 'labels/r.nii.gz: label: found [7]')


@pytest.mark.parametrize('kind', ['labels', 'masks'])
def test_files_on_another_grid_than_their_image(
  root: pathlib.Path, kind: str
) -> None:
  fields = site_files.nifti_fields(root, masks='masks')
  path = root / kind / 'p.nii.gz'
  data = _stored(root, kind, 'p')
  moved = site_files.RAS.copy()
  moved[1, 3] += 0.5
  site_files.save_nifti(path, data, moved)
  site_files.refuses(fields, f'{kind}/p.nii.gz: affine: found', 'images/p.nii')
  site_files.save_nifti(path, data[:, :-1])
  site_files.refuses(
    fields, f'{kind}/p.nii.gz: shape: found (8, 9, 5), allowed (8, 10, 5)'
  )


def test_a_png_label_of_another_size(pngs: pathlib.Path) -> None:
  label = rasters.load_raster(pngs / 'labels' / 'c1.png', 'label')
  _save_png(pngs, 'labels', 'c1', label.T.copy())
  site_files.refuses(
    site_files.png_fields(pngs),
    'labels/c1.png: shape: found (9, 6, 1), allowed (6, 9, 1)',
    classes=(1,),
  )


@pytest.mark.parametrize('kind', ['images', 'labels', 'masks'])
def test_damaged_files(
  root: pathlib.Path, tmp_path: pathlib.Path, kind: str
) -> None:
  path = root / kind / 'r.nii.gz'
  path.write_bytes(path.read_bytes()[:-40])
  site_files.refuses(
    site_files.nifti_fields(root, masks='masks'), f'{kind}/r.nii.gz: '
  )
  other = tmp_path / 'other'
  for n in range(2):
    site_files.write_png(other, f'c{n}', n)
  path = other / kind / 'c1.png'
  path.write_bytes(path.read_bytes()[:-20])
  site_files.refuses(
    site_files.png_fields(other, masks='masks'),
    f'{kind}/c1.png: file: found no readable PNG',
    classes=(1,),
  )


def test_no_labelled_slice(root: pathlib.Path) -> None:
  for name in 'pq':
    path = root / 'labels' / f'{name}.nii.gz'
    empty = np.zeros(SHAPE, np.uint8)
    site_files.save_nifti(path, empty, nib.load(path).affine)
  fields = site_files.nifti_fields(root, train_slices='labelled')
  for shape in (PLANE, SHAPE):
    site_files.refuses(
      fields,
      "sites.a.train_slices: found 'labelled' and no labelled slice",
      shape=shape,
    )
  assert site_files.load_site(fields | {'train_slices': 'all'}).num_train()


@pytest.mark.parametrize(
  ('text', 'part'),
  [
    ('', 'rows: found none'),
    ('case,fold\np,1\n', "columns: found ['case', 'fold'], allowed those with"),
    ('case,split\np\n', 'row 1: found 1 values, allowed 2'),
    ('case,split\np,train\nq,val\n', "row 2: found 'q', 'val', allowed train"),
    ('case,split\np,train\np,test\n', "row 2: found 'p', 'test'"),
    ('case,split\np,train\nr,test\n', "case: found no row for ['q']"),
    ('case,split\np,train\nq,train\nr,train\n', 'test cases: found none'),
    ('case,split\np,test\nq,test\nr,test\n', 'train cases: found none'),
  ],
)
def test_split_files(root: pathlib.Path, text: str, part: str) -> None:
  (root / 'split.csv').write_text(text)
  site_files.refuses(
    site_files.nifti_fields(root), f'{root / "split.csv"}: ', part
  )


def test_a_split_file_that_parts_a_group(tmp_path: pathlib.Path) -> None:
  fields = _write_children(tmp_path, 2)
  (tmp_path / 'split.csv').write_text(
    'case,split\nImage_00L,train\nImage_00R,train\n'
    'Image_01L,test\nImage_01R,train\n'
  )
  site_files.refuses(
    fields, "split: found group '01' in train and test", classes=(1,)
  )
  site_files.load_site(
    fields | {'group_pattern': None}, shape=(6, 9), classes=(1,)
  )


def test_one_group_cannot_be_drawn_from(tmp_path: pathlib.Path) -> None:
  fields = _write_children(tmp_path, 1)
  site_files.refuses(
    fields, "found ['00'] as the only group, allowed two or more", classes=(1,)
  )
