import jax
import jax.numpy as jnp
import numpy as np

from common import losses as common_losses
from common import problem
from samcl import losses

SHAPE = (8, 7, 9)


def _batch(num: int = 2, label: bool = True) -> dict[str, np.ndarray]:
  rng = np.random.default_rng(0)
  batch = {
    'landmark_weight': np.array([[1, 1, 0], [0, 0, 0]], np.float32)[:num]
  }
  for side in ('fixed', 'moving'):
    batch |= {
      side: rng.random((num, *SHAPE), np.float32),
      f'{side}_mask': np.ones((num, *SHAPE), np.uint8),
      f'{side}_label': label
      * rng.integers(0, 3, (num, *SHAPE)).astype(np.uint8),
      f'{side}_landmarks': rng.uniform(1, 5, (num, 3, 3)).astype(np.float32),
    }
  return batch


def _constant(params, batch):
  """The same velocity everywhere."""
  shape = (*batch['fixed'].shape, 3)
  return jnp.broadcast_to(params.reshape(1, 1, 1, 1, 3), shape)


def _loss(**kwargs):
  return problem.make_loss(_constant, losses.make_objective(**kwargs))


LOSS = jax.jit(_loss(num_classes=4))
GRADIENT = jax.jit(jax.value_and_grad(_loss(num_classes=4), has_aux=True))


def test_terms_add_up_and_gradients_are_finite_at_rest():
  (total, metrics), grads = GRADIENT(jnp.zeros(3), _batch(), None)
  terms = [v for k, v in metrics.items() if k != 'loss/total']
  np.testing.assert_allclose(total, sum(terms), rtol=1e-6)
  assert len(terms) == 5
  assert np.isfinite(grads).all()
  assert metrics['loss/membrane'] == 0


def test_landmark_term_by_hand():
  batch = _batch()
  v = np.array([0.25, -0.5, 0.125])
  _, metrics = LOSS(jnp.asarray(v, jnp.float32), batch, None)
  # A constant velocity moves inner points by exp(v) o exp(v) = 2 v.
  gap = batch['fixed_landmarks'] + 2 * v - batch['moving_landmarks']
  squares = (gap[0, :2] ** 2).sum(-1)
  np.testing.assert_allclose(
    metrics['loss/landmark'], np.sqrt(squares.mean()), rtol=1e-4
  )


def test_compared_images_can_be_smoothed():
  """By as much as if they came smoothed; half a voxel then gains little."""
  gains = {}
  for sigma in (0.0, 1.0):
    loss = jax.jit(_loss(num_classes=4, image_sigma=sigma))
    batch = _batch()
    at_rest, shifted = (
      loss(jnp.full(3, shift), batch, None)[1]['loss/ncc']
      for shift in (0.0, 0.25)
    )
    gains[sigma] = at_rest - shifted
    for side in ('fixed', 'moving'):
      smooth = common_losses.gaussian_smooth(batch[side][..., None], sigma)
      batch[side] = smooth[..., 0]
    np.testing.assert_allclose(
      LOSS(jnp.zeros(3), batch, None)[1]['loss/ncc'], at_rest, rtol=1e-5
    )
  assert gains[1.0] < 0.5 * gains[0.0]


def test_matched_landmarks_have_no_distance_and_no_gradient():
  batch = _batch()
  batch['moving_landmarks'] = batch['fixed_landmarks']
  loss = _loss(
    num_classes=4,
    ncc_weight=0.0,
    dice_weight=0.0,
    membrane_weight=0.0,
    bending_weight=0.0,
  )
  gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
  (value, _), grads = gradient(jnp.zeros(3), batch, None)
  assert value == 0
  np.testing.assert_array_equal(grads, 0)


def test_without_labels_and_landmarks_their_terms_vanish():
  batch = _batch(label=False)
  batch['landmark_weight'][:] = 0
  _, metrics = LOSS(jnp.array([0.3, 0.1, -0.2]), batch, None)
  assert metrics['loss/dice'] == 0
  assert metrics['loss/landmark'] == 0


def test_an_empty_mask_has_no_similarity_and_no_nan():
  batch = _batch()
  batch['fixed_mask'][:] = 0
  (_, metrics), grads = GRADIENT(jnp.zeros(3), batch, None)
  assert metrics['loss/ncc'] == 0
  assert np.isfinite(grads).all()


def test_the_network_sees_masked_images_and_the_similarity_does_not():
  batch = _batch()
  batch['fixed_mask'][:, :4] = 0
  inputs = losses.network_inputs(batch)
  assert (np.asarray(inputs)[:, :4, ..., 0] == 0).all()
  np.testing.assert_array_equal(inputs[..., 1], batch['moving'])
  _, metrics = LOSS(jnp.zeros(3), batch, None)
  changed = dict(batch, fixed=batch['fixed'] * batch['fixed_mask'])
  _, other = LOSS(jnp.zeros(3), changed, None)
  assert metrics['loss/ncc'] != other['loss/ncc']


def test_similarity_of_linearly_related_images_is_perfect():
  image = np.random.default_rng(0).random((1, *SHAPE), np.float32)
  inner = np.zeros((1, *SHAPE), np.uint8)
  inner[:, 2:-2, 2:-2, 2:-2] = 1
  same = common_losses.local_ncc(image, 3 - 2 * image, inner, window=3)
  assert float(same) < 1e-3
  other = np.random.default_rng(1).random((1, *SHAPE), np.float32)
  assert common_losses.local_ncc(image, other, inner, window=3) > 0.8
  flat = np.ones_like(image)
  assert common_losses.local_ncc(image, flat, inner, window=3) == 1


def test_distance_of_velocities_is_in_squared_voxels():
  """(1, 2, 2) everywhere: 9."""
  velocity = np.broadcast_to(np.array([1.0, 2.0, 2.0]), (2, *SHAPE, 3))
  found = losses.distance(velocity, np.zeros_like(velocity))
  np.testing.assert_allclose(found, 9, rtol=1e-6)
