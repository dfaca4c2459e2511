"""The binaries on the smallest stream: files, pictures, resume, refusals."""

import json
import pathlib
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from common import metrics
from smg import sites
from tests import binaries

SMALL = (
  '--config.train.num_steps=(3,)',
  '--config.train.checkpoint_every=2',
  '--config.diffusion.num_steps=(3,)',
  '--config.diffusion.network.num_levels=1',
  '--config.model.num_levels=1',
  '--config.data.num_train=2',
  '--config.data.num_test=1',
  "--config.scores=('dice','assd')",
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> pathlib.Path:
  return tmp_path_factory.mktemp('smg')


def _start(folder, workdir, *more, binary='train') -> subprocess.Popen:
  return binaries.start(
    f'smg.{binary}', 'smg_tiny', folder, workdir, *SMALL, *more
  )


@pytest.fixture(scope='module')
def whole(folder) -> pathlib.Path:
  out, _ = binaries.finish(_start(folder, folder / 'whole'))
  assert out.splitlines()[-1].startswith('done: segmentation smg seed 0: dice/')
  return folder / 'whole'


def test_a_run_leaves_its_files_and_pictures(whole):
  names = {path.name for path in (whole / 'figures').glob('*.png')}
  assert {
    'matrix_dice.png',
    'gallery_stage1.png',
    'gallery_stage2.png',
    'segmentations_stage1.png',
    'segmentations_stage2.png',
    'training.png',
  } <= names
  results = json.loads((whole / 'results.json').read_text())
  assert results['stream'] == ['site_a', 'site_b']
  assert results['unseen'] == ['site_e']
  assert results['definition'] == metrics.DEFINITION
  matrix = np.array(results['metrics']['dice']['matrix'], float)
  assert matrix.shape == (2, 3)
  assert (whole / 'report.html').stat().st_size > 1e5


def test_what_alignment_claims_is_logged(whole):
  text = (whole / 'metrics.jsonl').read_text()
  lines = [json.loads(line) for line in text.splitlines()]
  splits = [line['split'] for line in lines]
  assert splits.count('replay/0') == 1 and 'generator' in splits
  second = [x for x in lines if x['stage'] == 2 and x['split'] == 'train']
  assert all(-1 <= x['cosine/orientational'] <= 1 for x in second)
  assert all('cosine/arbitrary' in x for x in second)
  first = [x for x in lines if x['stage'] == 1 and x['split'] == 'train']
  assert not any('cosine/orientational' in x for x in first)


def test_a_run_killed_while_its_generator_learns_ends_the_same(folder, whole):
  workdir = folder / 'killed'
  process = _start(folder, workdir)
  for _ in range(6000):
    if (workdir / 'checkpoints' / 'step_4').exists() or process.poll():
      break
    time.sleep(0.02)
  process.kill()
  process.communicate()
  assert process.returncode == -signal.SIGKILL
  binaries.finish(_start(folder, workdir))
  for name in ('per_case.csv', 'metrics.jsonl'):
    assert (whole / name).read_bytes() == (workdir / name).read_bytes()


def test_no_training_image_is_in_the_workdir(folder, whole):
  """Neither an array that was trained on nor a row or a column of one.

  Pictures show test cases.
  """
  fields = {'format': 'nifti', 'spacing': (6.0, 6.0)}
  stations = sites.load_sites(
    {n: fields | {'root': folder / 'data' / n} for n in ('site_a', 'site_b')},
    {},
    shape=(16, 16),
    classes=(1, 2),
  )
  held = b''.join(
    path.read_bytes()
    for path in whole.rglob('*')
    if path.is_file() and path.suffix not in ('.png', '.html')
  )
  arrays = _arrays_of_checkpoint(whole)
  assert len(arrays) > 1e5
  for site in stations:
    images = site.load_train(range(site.num_train()))['image']
    for image in images[..., 0]:
      for part in (image, image[7], 2 * image[7] - 1, image[:, 7].copy()):
        assert part.tobytes() not in held
        assert part.tobytes() not in arrays


def _arrays_of_checkpoint(workdir: pathlib.Path) -> bytes:
  """Every array of the newest checkpoint, uncompressed."""
  import orbax.checkpoint as ocp

  newest = max(
    (workdir / 'checkpoints').glob('step_*'),
    key=lambda path: int(path.name.removeprefix('step_')),
  )
  state = ocp.StandardCheckpointer().restore(newest / 'state')
  return b''.join(np.asarray(x).tobytes() for x in state.values())


def test_evaluate_repeats_the_last_row(folder, whole):
  out, _ = binaries.finish(_start(folder, whole, binary='evaluate'))
  results = json.loads((whole / 'results.json').read_text())
  expected = results['metrics']['dice']['matrix'][-1][2]
  line = next(x for x in out.splitlines() if x.startswith('site_e'))
  assert float(line.split()[1]) == pytest.approx(expected, abs=1e-4)


def test_a_finished_run_keeps_its_record(folder, whole):
  before = (whole / 'results.json').read_bytes()
  (whole / 'report.html').unlink()
  out, _ = binaries.finish(_start(folder, whole))
  assert out.splitlines()[-1].startswith('done: segmentation smg seed 0: dice/')
  assert (whole / 'results.json').read_bytes() == before
  assert (whole / 'report.html').stat().st_size > 1e5


def test_evaluate_on_a_single_site(folder, whole):
  """Whatever the generator is told for other stages does not matter."""
  out, _ = binaries.finish(
    _start(
      folder,
      whole,
      "--config.stream=('site_e',)",
      '--config.unseen=()',
      '--config.diffusion.num_steps=(3,3)',
      binary='evaluate',
    )
  )
  assert [line.split()[0] for line in out.splitlines()][1:] == ['site_e']


def test_audit_of_a_finished_run(folder, whole):
  out, _ = binaries.finish(_start(folder, whole, binary='audit'))
  found = json.loads((whole / 'privacy.json').read_text())
  assert list(found) == ['site_a', 'site_b']
  assert all(0 <= site['share_closer'] <= 1 for site in found.values())
  assert len(out.splitlines()) == 2
  assert (whole / 'figures' / 'privacy.png').stat().st_size > 5000


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ("--config.stream=('site_b','site_a')", 'a run of another config'),
    ('--config.method=smg_er', "found 'smg_er', allowed: smg"),
  ],
)
def test_what_cannot_be_audited(folder, whole, flag, message):
  process = _start(folder, whole, flag, binary='audit')
  _, err = process.communicate(timeout=300)
  assert process.returncode == 2 and message in err, err


def test_a_run_that_has_not_ended_is_not_audited(folder, whole):
  workdir = folder / 'begun'
  shutil.copytree(whole, workdir)
  shutil.rmtree(workdir / 'checkpoints' / 'step_12')
  process = _start(folder, workdir, binary='audit')
  _, err = process.communicate(timeout=300)
  assert process.returncode == 2
  assert (
    'found one of step 10, allowed that of a finished run, of step 12' in err
  )


@pytest.mark.parametrize('method', ['samcl', 'smg_er'])
def test_other_methods_learn_sites(folder, method):
  out, _ = binaries.finish(
    _start(folder, folder / method, f'--config.method={method}')
  )
  assert f'done: segmentation {method} seed 0' in out


def test_one_site_says_that_there_is_no_past(folder):
  _, err = binaries.finish(
    _start(
      folder,
      folder / 'one',
      "--config.stream=('site_a',)",
    )
  )
  assert 'past ones come back from stage 2 on' in err


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ("--config.unseen=('site_a',)", 'allowed each once of site_a, site_b'),
    (
      '--config.data.shape=(17, 16)',
      'data.shape: found (17, 16), allowed: mul',
    ),
    ('--config.data.classes=(1,)', 'label: found [2], allowed [0, 1]'),
    ('--config.diffusion.trunk=icy', "diffusion.trunk: found 'icy'"),
    ('--config.alignment.alpha=-1.0', 'alignment.alpha: found -1.0'),
    ('--config.alignment.pseudo_domains=x', "pseudo_domains: found 'x'"),
    ('--config.appearance.noise=-1.0', 'appearance.noise: found -1.0'),
    ('--config.memory.num_kept=0', 'memory.num_kept: found 0, must be >= 1'),
    (
      '--config.diffusion.network.num_heads=3',
      'num_heads: found 3, allowed: d',
    ),
    ('--config.diffusion.network.patch=0', 'patch: found 0, must be >= 1'),
    ('--config.diffusion.drop_prompt=10.0', 'drop_prompt: found 10.0, must be'),
  ],
)
def test_bad_input_is_named_and_nothing_is_written(
  folder, whole, flag, message
):
  workdir = folder / 'refused'
  process = _start(folder, workdir, flag)
  _, err = process.communicate(timeout=300)
  assert process.returncode == 2, err
  assert message in err and len(err.splitlines()) == 1
  assert not workdir.exists()
