"""Scores of a network that moves everything by one voxel."""

from flax import linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from samcl import problem, transform
from tests import task_files

STEP = np.array([1.0, 0.0, 0.0])


class _Constant(nn.Module):
  """Says the same displacement everywhere."""

  step: tuple[float, ...]

  @nn.compact
  def __call__(self, x):
    return jnp.broadcast_to(jnp.array(self.step), (*x.shape[:-1], 3))


@pytest.fixture
def task(tmp_path):
  """A pair whose moving image has everything one voxel further along x."""
  rng = np.random.default_rng(0)
  whole = rng.integers(1, 200, (9, 10, 6)).astype(np.int16)
  label = np.zeros((9, 10, 6), np.uint8)
  label[4:6, 2:7, 1:5] = 1
  for name, cut in (('fixed', slice(1, 9)), ('moving', slice(0, 8))):
    for place, data in (('images', whole), ('labels', label)):
      path = tmp_path / place / f'{name}.nii.gz'
      task_files.save(path, data[cut], task_files.RAS)
  points = np.array([[1.0, 2, 3], [4, 5.5, 1]])
  task_files.write_points(
    tmp_path / 'landmarks' / 'points.csv',
    np.concatenate([points, points + STEP], axis=1).tolist(),
  )
  (tmp_path / 'pairs.csv').write_text(
    'fixed,moving,split,landmarks\n'
    'fixed,moving,val,points.csv\nmoving,fixed,train,\n'
  )
  return task_files.load_task(tmp_path, labels=(1,), pairing='listed')


def _registration(task, step):
  return problem.RegistrationProblem(
    [task],
    network=_Constant(tuple(step)),
    scores=('dice', 'tre', 'folding_fraction'),
    transform=transform.Transform(output='displacement'),
  )


class _Mirror(nn.Module):
  """Turns the first four voxels along x over, and leaves the others."""

  @nn.compact
  def __call__(self, x):
    place = jnp.arange(x.shape[1], dtype=x.dtype)
    along = jnp.where(place < 4, 3 - 2 * place, 0).reshape(1, -1, 1, 1, 1)
    return jnp.pad(along, [(0, 0)] * 4 + [(0, 2)]) + jnp.zeros(
      (*x.shape[:-1], 3)
    )


@pytest.fixture
def rows(task):
  def evaluate(step):
    found = _registration(task, step).evaluate({}, 0)
    return {row.metric: row for row in found}

  return evaluate


def test_a_moving_image_is_pulled_to_the_fixed_one(task):
  batch = task.load('val', [0])
  warped = _registration(task, STEP).register({}, batch)['warped']
  inside = (0, slice(0, 7))
  pair = np.ravel(warped[inside]), np.ravel(batch['fixed'][inside])
  assert np.corrcoef(*pair)[0, 1] > 0.999


def test_a_displacement_leads_from_the_fixed_to_the_moving_image(rows):
  found = rows(STEP)
  assert found['dice'].value == 1
  assert found['tre'].value == pytest.approx(0, abs=1e-5)
  assert found['folding_fraction'].value == 0
  assert found['dice'].label == '1' and found['tre'].unit == 'mm'


def test_none_and_the_opposite_one_are_as_far_off_as_can_be_counted(rows):
  """One of two planes overlaps, and none is left two voxels away."""
  assert rows(0 * STEP)['dice'].value == 0.5
  assert rows(0 * STEP)['tre'].value == pytest.approx(1)
  assert rows(-STEP)['dice'].value == 0
  assert rows(-STEP)['tre'].value == pytest.approx(2)


def test_distances_are_in_millimetres_along_each_axis(rows):
  """Voxels of 1, 2 and 1.5 mm; two voxels off along y."""
  assert rows((1.0, 2.0, 0.0))['tre'].value == pytest.approx(4)


@pytest.mark.parametrize(
  ('fixed', 'share'), [(slice(0, 3), 1), (slice(5, 8), 0)]
)
def test_folds_count_where_the_fixed_image_is(tmp_path, fixed, share):
  """And nowhere but there; the moving image is all over."""
  image = np.random.default_rng(0).integers(1, 200, (8, 10, 6)).astype(np.int16)
  mask = np.zeros((2, 8, 10, 6), np.uint8)
  mask[0, fixed], mask[1] = 1, 1
  for name, inside in zip(('fixed', 'moving'), mask, strict=True):
    for place, data in (
      ('images', image),
      ('labels', inside),
      ('masks', inside),
    ):
      path = tmp_path / place / f'{name}.nii.gz'
      task_files.save(path, data, task_files.RAS)
  (tmp_path / 'pairs.csv').write_text(
    'fixed,moving,split\nfixed,moving,val\nmoving,fixed,train\n'
  )
  task = task_files.load_task(tmp_path, labels=(1,), pairing='listed')
  found = problem.RegistrationProblem(
    [task],
    network=_Mirror(),
    scores=('folding_fraction',),
    transform=transform.Transform(output='displacement'),
  ).evaluate({}, 0)
  assert [row.value for row in found] == [share]
