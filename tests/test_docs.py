"""The pages about one's own data do what they say."""

import pathlib
import re
import runpy

import numpy as np
import pytest

from samcl import setup as samcl_setup
from smg import setup as smg_setup
from tests import workdirs

PAGE = pathlib.Path(__file__).resolve().parent.parent / 'docs' / 'own_data.md'
SHAPE = (24, 20, 16)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def _config(title: str, folder: pathlib.Path, monkeypatch):
  """What the configuration below a heading gives, where DATA lies."""
  section = PAGE.read_text('utf-8').partition(f'## {title}')[2]
  code = re.search(r'```python\n(.*?)```', section, re.DOTALL).group(1)
  assert len([line for line in code.splitlines() if line.strip()]) <= 10
  (folder / 'config.py').write_text(code)
  monkeypatch.chdir(folder)
  config = runpy.run_path(str(folder / 'config.py'))['get_config']()
  return config.lock()


def _write(folder: pathlib.Path, name: str, seed: int) -> None:
  image = workdirs.blobs(SHAPE, seed)
  label = (image > 150).astype(np.uint8) + (image > 250)
  workdirs.save(folder / 'images' / f'{name}.nii.gz', image, AFFINE)
  workdirs.save(folder / 'labels' / f'{name}.nii.gz', label, AFFINE)


def test_sites_to_segment(tmp_path, monkeypatch):
  for number, site in enumerate(('leeds', 'porto', 'turin')):
    for case in range(3):
      _write(tmp_path / 'DATA' / site, f'p{case}', 10 * number + case)
  config = _config('Sites to segment', tmp_path, monkeypatch)
  problem = smg_setup.create_problem(config)
  assert problem.stream == ('leeds', 'porto') and problem.unseen == ('turin',)
  assert problem.num_train(0) == 2 * SHAPE[2]
  batch = problem.load_train([(0, 0), (1, 3)])
  assert batch['image'].shape == (2, 128, 128, 1)


def test_pairs_to_register(tmp_path, monkeypatch):
  for task in ('knee', 'hip'):
    for seed, case in enumerate('abcd'):
      _write(tmp_path / 'DATA' / task, case, seed)
    (tmp_path / 'DATA' / task / 'pairs.csv').write_text(
      'fixed,moving,split\na,b,train\nb,a,train\nc,d,val\n'
    )
  config = _config('Pairs to register', tmp_path, monkeypatch)
  problem = samcl_setup.create_problem(config)
  assert problem.stream == ('knee', 'hip')
  batch = problem.load_train([(1, 0)])
  assert batch['fixed'].shape == (1, 64, 64, 64)
  assert set(np.unique(batch['fixed_label'])) >= {0, 1}


@pytest.mark.parametrize('page', sorted(PAGE.parent.glob('*.md')), ids=str)
def test_files_that_are_named_exist(page):
  root = PAGE.parent.parent
  found = re.findall(r'`((?:smg|samcl|common)/\w+\.py)`', page.read_text())
  for name in found:
    assert (root / name).is_file()
