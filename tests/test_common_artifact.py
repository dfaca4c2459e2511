"""Networks in one file, called without the code that they came from."""

import json
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from common import artifact, errors
from samcl import registrar
from smg import segmenter
from tests import binaries, workdirs

# What a machine does that has jax and nothing of this project.
_ELSEWHERE = """
import sys, zipfile
import numpy as np
from jax import export

archive = zipfile.ZipFile(sys.argv[1])
function = export.deserialize(bytearray(archive.read('function.bin')))
inputs = np.load(sys.argv[2])
found = function.call(*[inputs[name] for name in inputs.files])
np.savez(sys.argv[3], *(found if isinstance(found, (list, tuple)) else [found]))
assert not {'common', 'samcl', 'smg', 'flax'} & set(sys.modules)
"""


def _call_elsewhere(path: pathlib.Path, *inputs: np.ndarray):
  folder = path.parent
  np.savez(folder / 'in.npz', *inputs)
  names = [str(folder / name) for name in ('in.npz', 'out.npz')]
  done = subprocess.run(
    [sys.executable, '-I', '-c', _ELSEWHERE, str(path), *names],
    capture_output=True,
    encoding='utf-8',
    cwd=folder,
    timeout=240,
  )
  assert done.returncode == 0, done.stderr
  found = np.load(folder / 'out.npz')
  return [found[name] for name in found.files]


def test_a_segmentation_network(tmp_path):
  workdir = workdirs.write_segmentation(tmp_path / 'run')
  path = tmp_path / 'model.zip'
  done = binaries.run('smg.export', str(workdir), f'--out={path}')
  assert done.returncode == 0, done.stderr
  network = segmenter.Segmenter.load(workdir)
  for num in (3, 11):
    images = np.random.default_rng(num).uniform(size=(num, 16, 16, 1))
    images = images.astype(np.float32)
    (found,) = _call_elsewhere(path, images)
    np.testing.assert_allclose(found, network.predict(images), atol=1e-5)
  about = json.loads(zipfile.ZipFile(path).read('about.json'))
  assert about['classes'] == [1, 2] and about['shape'] == [16, 16]
  assert about['sites']['site_a']['spacing'] == [6.0, 6.0]


def test_a_registration_network(tmp_path):
  network = registrar.Registrar.load(
    workdirs.write_registration(tmp_path / 'run')
  )
  network.export(tmp_path / 'model.zip')
  shape = (1, 16, 16, 16)
  rng = np.random.default_rng(0)
  fixed, moving = rng.uniform(size=(2, *shape)).astype(np.float32)
  mask = np.ones(shape, np.float32)
  there, back = _call_elsewhere(
    tmp_path / 'model.zip', fixed, moving, mask, mask
  )
  batch = {'fixed': fixed, 'moving': moving}
  batch |= {'fixed_mask': mask, 'moving_mask': mask}
  velocity = network._predict(network._params, batch)
  wanted = network._both_ways(velocity, batch)
  np.testing.assert_allclose(there, wanted[0], atol=1e-4)
  np.testing.assert_allclose(back, wanted[1], atol=1e-4)
  assert np.abs(there).max() > 0.01
  about = artifact.load(tmp_path / 'model.zip').about
  assert about['tasks']['abdomen_ct']['clip'] == [-200.0, 300.0]


def test_what_is_refused(tmp_path):
  (tmp_path / 'a.zip').write_text('no archive')
  with pytest.raises(errors.InputError, match=r'a\.zip: file: found no expor'):
    artifact.load(tmp_path / 'a.zip')
  with pytest.raises(errors.InputError, match=r"found '\.bin', allowed"):
    artifact.save(tmp_path / 'a.bin', lambda x: x, [], {})
