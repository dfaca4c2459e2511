"""Learn2Reg data sets in the layouts of the challenge and of the authors."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from samcl import cases, learn2reg, tasks
from tests import task_files


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
    task_files.write_case(
      root, stem, seed, places=('imagesTr', 'labelsTr', 'masksTr')
    )
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
  task = task_files.load_task(
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
  assert task.train[0].fixed.intensity.upper_percentile == 99
  assert task.load('val', [0])['fixed_mask'].any()


def _write_listed_lungs(root: pathlib.Path) -> list[str]:
  """Two people at two breath states, one pair each to train and to validate."""
  stems = [f'Lung_{i:04d}_{t:04d}' for i in (1, 2) for t in (0, 1)]
  _write_challenge(
    root,
    'Lung',
    stems,
    training_paired_images=_listed((stems[1], stems[0])),
    registration_val=_listed((stems[3], stems[2])),
  )
  (root / 'keypointsTr').mkdir()
  return stems


def test_challenge_layout_with_listed_pairs_and_key_points(
  tmp_path: pathlib.Path,
) -> None:
  stems = _write_listed_lungs(tmp_path)
  for stem, point in zip(stems[:2], ('1.5,2,3', '0,8.25,5'), strict=True):
    path = tmp_path / 'keypointsTr' / f'{stem}.csv'
    path.write_text(f'{point}\n{point}\n')
  # The key points of the validation pair are held back: scored by Dice.
  task = task_files.load_task(tmp_path, format='learn2reg')
  assert _names(task.train) == [f'{stems[1]}__{stems[0]}']
  batch = task.load('train', [0])
  np.testing.assert_allclose(batch['fixed_landmarks'][0, 1], (0, 8.25, 5))
  np.testing.assert_allclose(batch['moving_landmarks'][0, 1], (1.5, 2, 3))
  assert task.load('val', [0])['landmark_weight'].sum() == 0
  task_files.refuses(
    tmp_path, f'{stems[3]}.csv', format='learn2reg', metric='tre'
  )


def test_presets_give_way_to_the_config(tmp_path: pathlib.Path) -> None:
  for split, ids in (('train', (1, 2)), ('valid', (3, 4))):
    for i in ids:
      task_files.write_case(
        tmp_path / 'AbdomenCTCT' / split, f'AbdomenCTCT_{i:04d}_0000', i
      )
  fields = {'format': 'learn2reg', 'dataset': 'AbdomenCTCT'}
  task = task_files.load_task(
    tmp_path, **fields
  )  # the folder above is found too
  assert task.train[0].fixed.intensity.clip == (-200, 300)
  assert task.train[0].fixed.mask is None
  task = task_files.load_task(
    tmp_path, **fields, upper_percentile=90, mask='file'
  )
  assert task.train[0].fixed.intensity == cases.Intensity(None, 90)
  assert task.train[0].fixed.mask is not None
  capped = task_files.load_task(tmp_path, **fields, pairing='all', max_pairs=3)
  assert len(capped.train) == 3
  assert task_files.load_task(
    tmp_path, **fields, pairing='all', max_pairs=3
  ).train == (capped.train)


def test_learn2reg_folders_that_cannot_be_used(tmp_path: pathlib.Path) -> None:
  fields: dict[str, Any] = {'format': 'learn2reg', 'labels': [1, 2]}
  task_files.refuses(tmp_path, 'layout', **fields)
  (tmp_path / 'train').mkdir()
  task_files.refuses(tmp_path, 'cases: found none', **fields, pairing='ordered')
  task_files.write_case(tmp_path / 'train', 'X_0001_0000', 0)
  task_files.write_case(tmp_path / 'valid', 'X_0002_0000', 1)
  task_files.refuses(tmp_path, 'pairing: found None', **fields)
  task_files.refuses(
    tmp_path, 'train pairs: found none', **fields, pairing='subject'
  )


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
  task_files.refuses(tmp_path, part, format='learn2reg', labels=[1])


def test_key_points_of_different_number(tmp_path: pathlib.Path) -> None:
  stems = _write_listed_lungs(tmp_path)
  first = tmp_path / 'keypointsTr' / f'{stems[0]}.csv'
  second = tmp_path / 'keypointsTr' / f'{stems[1]}.csv'
  first.write_text('1,2,3\n')
  task_files.refuses(tmp_path, second.name, format='learn2reg')
  second.write_text('1,2,3\n1,2,3\n')
  task_files.refuses(
    tmp_path, first.name, 'points: found 1', format='learn2reg'
  )
  second.write_text('1,2\n')
  task_files.refuses(tmp_path, second.name, 'row 1', format='learn2reg')
