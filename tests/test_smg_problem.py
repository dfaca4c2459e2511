"""What a segmentation is scored on, with a network that reads classes off."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from common import metrics
from common import problem as problem_lib
from smg import problem, sites
from tests import site_files

SHAPE, SLICES = (8, 10), 5


def _apply(variables, images):
  """Logits that are greatest at the class 2 * intensity."""
  del variables
  levels = [-((2 * images[..., 0] - k) ** 2) for k in range(3)]
  return jnp.stack(levels, axis=-1)


READER = SimpleNamespace(apply=_apply)


def _labels(seed: int, shape=(*SHAPE, SLICES)) -> np.ndarray:
  return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def _write(root, name: str, seen: np.ndarray, label: np.ndarray) -> None:
  """A volume in which the network sees `seen`."""
  image = seen.astype(np.int16)
  image.flat[0] = -1  # so that 0 is within the percentiles
  site_files.save_nifti(root / 'images' / f'{name}.nii.gz', image)
  site_files.save_nifti(root / 'labels' / f'{name}.nii.gz', label)


def _nifti_problem(root, shape=SHAPE, **kwargs) -> problem.SegmentationProblem:
  spacing = (1.0, 1.0, 3.0)[: len(shape)]
  fields = site_files.nifti_fields(
    root, percentiles=(0.0, 100.0), spacing=spacing
  )
  for name in ('p', 'q'):
    _write(root / 'stream', name, _labels(0), _labels(0))
  stream = fields | {'root': root / 'stream'}
  return _problem(stream, fields, shape, (1, 2), **kwargs)


def _problem(
  stream, unseen, shape, classes, network=READER, **kwargs
) -> problem.SegmentationProblem:
  """One site to train on; the one that counts here, number 1, is unseen."""
  loaded = sites.load_sites(
    {'stream': stream}, {'unseen': unseen}, shape=shape, classes=classes
  )
  return problem.SegmentationProblem(
    loaded, num_unseen=1, network=network, **kwargs
  )


def _values(rows, metric: str) -> list[float]:
  return [row.value for row in rows if row.metric == metric]


@pytest.mark.parametrize('shape', [SHAPE, (*SHAPE, SLICES)])
def test_slices_are_scored_as_the_volume_of_the_file(tmp_path, shape):
  label, seen = _labels(0), _labels(1)
  seen.flat[0] = 0
  _write(tmp_path, 'x', seen, label)
  found = _nifti_problem(tmp_path, shape)
  rows = found.evaluate({}, 1)
  expected = metrics.surface_scores_per_label(
    label, seen, (1, 2), spacing=(1.0, 1.0, 3.0), tolerance=3.0
  ) | {'dice': metrics.dice_per_label(label, seen, (1, 2))}
  assert {row.case for row in rows} == {'x'}
  for name in problem.METRICS:
    np.testing.assert_allclose(_values(rows, name), expected[name])
  assert {row.metric: row.unit for row in rows} == {
    'dice': '1',
    'assd': 'mm',
    'hd95': 'mm',
    'surface_dice': '1',
  }


def test_scores_of_a_site_are_those_of_its_cases(tmp_path):
  for number in range(3):
    label = _labels(number)
    label.flat[0] = 0
    wrong = np.choose(label, (0, 2, 1))
    _write(tmp_path, f'x{number}', label if number else wrong, label)
  rows = _nifti_problem(tmp_path, scores=('dice',)).evaluate({}, 1)
  assert problem_lib.score(rows, 'dice') == pytest.approx(2 / 3)


def _png_problem(root) -> problem.SegmentationProblem:
  fields = site_files.png_fields(root, channels=1, masks='masks')
  for name in ('p', 'q'):
    site_files.write_png(root / 'stream', name, 0, shape=SHAPE)
  stream = fields | {'root': root / 'stream'}
  return _problem(stream, fields, SHAPE, (1,), scores=('dice', 'assd'))


def test_what_is_outside_the_mask_is_not_scored(tmp_path):
  left = np.zeros(SHAPE, bool)
  left[:, :5] = True
  inside = np.zeros(SHAPE, bool)
  inside[2:5, 1:4] = True
  found, drawn = (
    inside | (~left & (_labels(seed, SHAPE) > 0)) for seed in (3, 4)
  )
  for name, data in (
    ('images', 127 * found.astype(np.uint8)),  # 2 * 127 / 255 is class 1
    ('labels', 255 * drawn.astype(np.uint8)),
    ('masks', 255 * left.astype(np.uint8)),
  ):
    site_files.save_png(tmp_path / name / 'x.png', data)
  dice, assd = _png_problem(tmp_path).evaluate({}, 1)
  assert dice.value == 1
  assert assd.value == 0 and assd.unit == 'px'


@pytest.mark.parametrize('num', [1, 7, 8, 9, 17])
def test_chunks_change_nothing(tmp_path, num):
  _write(tmp_path, 'x', _labels(0), _labels(0))
  found = _nifti_problem(tmp_path)
  wanted = _labels(num, (num, *SHAPE))
  images = (wanted / 2).astype(np.float32)[..., None]
  np.testing.assert_array_equal(found.segment({}, images), wanted)


def test_a_slice_that_shows_nothing_is_background(tmp_path):
  _write(tmp_path, 'x', _labels(0), _labels(0))
  network = SimpleNamespace(
    apply=lambda variables, x: jnp.concatenate([x - 1, x, x + 1], axis=-1)
  )
  found = _nifti_problem(tmp_path, network=network)
  images = np.full((3, *SHAPE, 1), 0.3, np.float32)
  images[1, 2, 3] = 0.4
  classes = found.segment({}, images)
  assert [np.unique(one).tolist() for one in classes] == [[0], [2], [0]]
