"""Pairs and prepared batches against the authors' implementation.

The raw arrays are written in the authors' folder layout and read by the same
reader that the binaries use. The labels of the synthetic volumes are declared,
everything else follows from the name of the data set.
"""

import pathlib
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from samcl import tasks
from tests import parity_arrays

_ARRAYS = parity_arrays.load('p_preprocessing')
_CONFIG = parity_arrays.config(_ARRAYS)
_SHAPE = tuple(_CONFIG['target_shape'])
# Array prefix -> folder, how the array's id becomes the file's, and the labels.
_SETS = {
  'oasis': ('OASIS', '0000'),
  'ctct': ('AbdomenCTCT', '0000'),
  'nlst': ('NLST', None),
  'mrct_mr': ('AbdomenMRCT', '0000'),
  'mrct_ct': ('AbdomenMRCT', '0001'),
}
_KINDS = {
  'img': 'images',
  'lab': 'labels',
  'mask': 'masks',
  'kp': 'keypoints',
}


def _locate(name: str) -> tuple[str, str, str] | None:
  """Data set, kind and file stem of a raw array `<set>_<kind>_<id>[_time]`."""
  for prefix, (dataset, modality) in _SETS.items():
    for kind, folder in _KINDS.items():
      start = f'{prefix}_{kind}_'
      if name.startswith(start):
        number, *time = name.removeprefix(start).split('_')
        modality = modality or f'{int(time[0]):04d}'
        return dataset, folder, f'{dataset}_{int(number):04d}_{modality}'
  return None


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
  for name, array in _ARRAYS.items():
    located = _locate(name)
    if located is None:
      continue
    dataset, kind, stem = located
    for split in ('train', 'valid', 'test'):
      folder = tmp_path / dataset / split / kind
      folder.mkdir(parents=True, exist_ok=True)
      # A name of its own in every split: no pair is trained and validated on.
      renamed = stem if split == 'train' else stem.replace(dataset, split)
      if kind == 'keypoints':
        np.savetxt(folder / f'{renamed}.csv', array, delimiter=',')
      else:
        image = nib.Nifti1Image(array, np.eye(4))
        nib.save(image, folder / f'{renamed}.nii.gz')
  return tmp_path


def _task(root: pathlib.Path, dataset: str, **fields: Any) -> tasks.Task:
  labels = np.unique(
    [v for n, a in _ARRAYS.items() if '_lab_' in n for v in np.unique(a)]
  )
  if dataset != 'NLST':
    fields['labels'] = [int(v) for v in labels if v]
  fields |= {'name': dataset, 'format': 'learn2reg', 'root': root / dataset}
  return tasks.load_tasks([fields], shape=_SHAPE)[0]


def _names(pairs: tuple[tasks.Pair, ...]) -> list[list[str]]:
  return [[pair.fixed.name, pair.moving.name] for pair in pairs]


@pytest.mark.parametrize(
  ('array', 'dataset'),
  [
    ('oasis', 'OASIS'),
    ('ctct', 'AbdomenCTCT'),
    ('nlst', 'NLST'),
    ('mrct', 'AbdomenMRCT'),
  ],
)
def test_pairs_and_batch(root: pathlib.Path, array: str, dataset: str) -> None:
  task = _task(root, dataset)
  assert _names(task.train) == _ARRAYS[f'pairs_{array}'].tolist()
  batch = task.load('train', _ARRAYS[f'{array}_items'])
  for name, wanted, tolerance in (
    ('', 'imgs', 1e-6),
    ('_label', 'segs', 0),
    ('_mask', 'masks', 0),
  ):
    for i, side in enumerate(('fixed', 'moving')):
      np.testing.assert_allclose(
        batch[side + name],
        _ARRAYS[f'{array}_batch_{wanted}'][:, i],
        rtol=tolerance,
        atol=tolerance,
      )


def test_key_points_come_from_the_twofold_grid(root: pathlib.Path) -> None:
  """Fine voxel q is voxel q (S - 1) / (2 S - 1), as the loss samples it."""
  task = _task(root, 'NLST')
  batch = task.load('train', _ARRAYS['nlst_items'])
  size = np.array(_SHAPE)
  wanted = _ARRAYS['nlst_batch_keypoints'] * (size - 1) / (2 * size - 1)
  for i, side in enumerate(('fixed', 'moving')):
    np.testing.assert_allclose(
      batch[f'{side}_landmarks'], wanted[:, i], rtol=1e-6
    )
  assert batch['landmark_weight'].all()


@pytest.mark.parametrize(
  ('dataset', 'array', 'split'),
  [
    ('OASIS', 'oasis_test', 'test'),
    ('OASIS', 'oasis_test', 'valid'),
    ('AbdomenMRCT', 'mrct_paired', 'test'),
    ('AbdomenMRCT', 'mrct', 'valid'),
  ],
)
def test_evaluation_pairs(
  root: pathlib.Path, dataset: str, array: str, split: str
) -> None:
  task = _task(root, dataset, val_split=split)
  wanted = _ARRAYS[f'pairs_{array}'].tolist()
  wanted = [[n.replace(dataset, split) for n in pair] for pair in wanted]
  assert _names(task.val) == wanted


def test_capped_pairs(root: pathlib.Path) -> None:
  wanted = _ARRAYS['pairs_oasis_capped']
  task = _task(root, 'OASIS', max_pairs=len(wanted))
  assert _names(task.train) == wanted.tolist()


def test_a_target_larger_than_the_volume_is_padded(root: pathlib.Path) -> None:
  """The authors' centre crop takes wrong slices there (negative start)."""
  name = next(n for n in _ARRAYS if n.startswith('ctct_img_'))
  raw = _ARRAYS[name]
  shape = (raw.shape[0] + 3, raw.shape[1] - 2, raw.shape[2] + 1)
  fields = {
    'name': 'ct',
    'format': 'learn2reg',
    'root': root / 'AbdomenCTCT',
    'labels': list(range(1, 14)),
  }
  task = tasks.load_tasks([fields], shape=shape)[0]
  case = next(p.fixed for p in task.train if p.fixed.name == _locate(name)[2])
  image = task.prepared(case).image
  low, high = _CONFIG['ct_range_abdomen']
  y = raw.shape[1] // 2 - shape[1] // 2
  inside = np.clip(raw, low, high)[:, y : y + shape[1], :]
  wanted = (inside - inside.min()) / (inside.max() - inside.min())
  np.testing.assert_allclose(image[1:-2, :, : raw.shape[2]], wanted, atol=1e-5)
  assert not image[0].any()
  assert not image[-2:].any()
  assert not image[:, :, -1].any()
