"""The registration loss of SAMCL: what a predicted velocity costs.

Section 2 of Wang et al., arXiv 2406.17575. The batch is the flat dictionary of
registration pairs; see `make_objective`.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from common import losses, spatial
from common import train_state as ts
from samcl import transform as transform_lib

Batch = Mapping[str, jax.Array]
SampleFn = Callable[[jax.Array], jax.Array]


def landmark_distance(
  sample: SampleFn,
  shape: Sequence[int],
  fixed_landmarks: jax.Array,
  moving_landmarks: jax.Array,
  weight: jax.Array,
  *,
  refinement: int = 1,
) -> jax.Array:
  """Root mean square distance of displaced fixed to moving landmarks.

  The root is taken over the landmarks of a sample, the mean over the samples
  that have any; 0 if none has. The gradient at zero distance is 0.

  Args:
    sample: (b, k, d) points to the displacement there, both in voxels.
    shape: of the grid of the displacement.
    fixed_landmarks: (b, k, d), voxels of the grid refined `refinement` times.
    moving_landmarks: (b, k, d), same.
    weight: (b, k), 1 for a landmark, 0 for padding.
    refinement: m; the displacement at the refined index q is `m u` at
      `q (S - 1) / (m S - 1)`, which is resizing with aligned corners (the
      released code: 2). The result is in refined voxels.
  """
  sizes = jnp.asarray(shape, fixed_landmarks.dtype)
  scale = ((sizes - 1) / (refinement * sizes - 1))[None, None]
  moved = fixed_landmarks + refinement * sample(fixed_landmarks * scale)
  return _root_mean_square(moved - moving_landmarks, weight)


def _root_mean_square(distance: jax.Array, weight: jax.Array) -> jax.Array:
  weight = weight.astype(distance.dtype)
  squared = jnp.sum(distance**2, axis=-1)
  count = jnp.sum(weight, axis=-1)
  mean = jnp.sum(weight * squared, axis=-1) / jnp.maximum(count, 1)
  positive = mean > 0
  root = jnp.where(positive, jnp.sqrt(jnp.where(positive, mean, 1)), 0)
  num_samples = jnp.sum(count > 0).astype(root.dtype)
  return jnp.sum(root) / jnp.maximum(num_samples, 1)


def make_objective(
  transform: transform_lib.Transform = transform_lib.SYMMETRIC,
  *,
  num_classes: int,
  ncc_window: int = 3,
  image_sigma: float = 0.0,
  label_sigma: float = 1.0,
  landmark_refinement: int = 1,
  ncc_weight: float = 1.0,
  dice_weight: float = 1.0,
  landmark_weight: float = 1.0,
  membrane_weight: float = 1.0,
  bending_weight: float = 1.0,
) -> ts.ObjectiveFn:
  """What a velocity costs: similarity, overlap, landmarks, smoothness.

  The velocity is (b, *s, d). The batch has `fixed`, `moving`, `fixed_mask`,
  `moving_mask`, `fixed_label`, `moving_label`, all (b, *s); `fixed_landmarks`,
  `moving_landmarks` (b, k, d) and `landmark_weight` (b, k). Without labels
  (zeros in both) the Dice term is 0, without landmarks the landmark term.

  Args:
    transform: how the velocity deforms.
    num_classes: labels 0 .. num_classes - 1 can occur in any batch.
    ncc_window: edge length of the correlation window, voxels.
    image_sigma: smoothing of the images that are compared, voxels; the network
      sees them sharp. Where voxels are coarse, a warp by half a voxel raises
      the correlation because it blurs; of blurred images it hardly does.
    label_sigma: smoothing of the one-hot labels, voxels.
    landmark_refinement: see `landmark_distance`.
    ncc_weight: of the local correlation of the unmasked images in the mask.
    dice_weight: of the Dice loss, averaged over the classes up to the largest
      label in the batch.
    landmark_weight: of the landmark distance.
    membrane_weight: of the membrane energy of the prediction.
    bending_weight: of the bending energy of the prediction.
  """

  def objective(
    velocity: jax.Array, batch: Batch
  ) -> tuple[jax.Array, ts.Metrics]:
    deformation = transform.deform(velocity, batch)
    fixed, moving = (
      _compared(
        batch, name, num_classes, image_sigma, label_sigma, velocity.dtype
      )
      for name in ('fixed', 'moving')
    )
    if not transform.one_sided:
      fixed = spatial.warp(fixed, deformation.half_inverse)
    moving = spatial.warp(moving, deformation.half)
    ncc = losses.local_ncc(
      fixed[..., 0], moving[..., 0], deformation.mask, window=ncc_window
    )
    distance = landmark_distance(
      _sampler(deformation.half, transform.one_sided),
      velocity.shape[1:-1],
      batch['fixed_landmarks'].astype(velocity.dtype),
      batch['moving_landmarks'],
      batch['landmark_weight'],
      refinement=landmark_refinement,
    )
    terms = {
      'ncc': ncc_weight * ncc,
      'dice': dice_weight * _dice(fixed[..., 1:], moving[..., 1:], batch),
      'landmark': landmark_weight * distance,
      'membrane': membrane_weight * losses.membrane_energy(velocity),
      'bending': bending_weight * losses.bending_energy(velocity),
    }
    total = sum(terms.values())
    metrics = {f'loss/{name}': value for name, value in terms.items()}
    return total, {'loss/total': total, **metrics}

  return objective


def distance(velocity: jax.Array, wanted: jax.Array) -> jax.Array:
  """Mean squared distance of two velocities, voxels²."""
  return jnp.mean(jnp.sum((velocity - wanted) ** 2, axis=-1))


def _sampler(half: jax.Array, one_sided: bool) -> SampleFn:
  """The whole displacement at a few points; the border's beyond the volume."""

  def sample(points: jax.Array) -> jax.Array:
    if one_sided:
      return spatial.sample_at(half, points, outside='border')
    return spatial.sample_composed(half, half, points, outside='border')

  return sample


def network_inputs(batch: Batch) -> jax.Array:
  """Masked fixed and moving image, (b, *s, 2)."""
  pairs = [
    batch[name] * batch[f'{name}_mask'].astype(batch[name].dtype)
    for name in ('fixed', 'moving')
  ]
  return jnp.stack(pairs, axis=-1)


def _compared(
  batch: Batch,
  name: str,
  num_classes: int,
  image_sigma: float,
  label_sigma: float,
  dtype: jnp.dtype,
) -> jax.Array:
  """Image and one-hot labels, both smoothed, (b, *s, 1 + num_classes)."""
  image = batch[name][..., None].astype(dtype)
  maps = losses.one_hot(batch[f'{name}_label'], num_classes, dtype)
  smooth = losses.gaussian_smooth
  return jnp.concatenate(
    [smooth(image, image_sigma), smooth(maps, label_sigma)], axis=-1
  )


def _dice(fixed: jax.Array, moving: jax.Array, batch: Batch) -> jax.Array:
  largest = jnp.maximum(
    jnp.max(batch['fixed_label']), jnp.max(batch['moving_label'])
  ).astype(fixed.dtype)
  value = losses.soft_dice(fixed, moving, largest + 1)
  return jnp.where(largest > 0, value, jnp.zeros((), value.dtype))
