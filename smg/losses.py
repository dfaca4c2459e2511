"""What a segmenter minimises: soft Dice and cross-entropy."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from common import losses
from common import train_state as ts


def make_loss(
  apply_fn: Callable[[ts.Params, jax.Array], jax.Array],
  *,
  classes: Sequence[int],
  dice_weight: float = 1.0,
  cross_entropy_weight: float = 1.0,
) -> ts.LossFn:
  """Dice over the classes but the background, plus cross-entropy of all.

  Both are means over the voxels inside the mask, pooled over the batch (Isensee
  et al., Nature Methods 2021, section "loss function").

  Args:
    apply_fn: (params, images (b, *s, c)) -> logits (b, *s, 1 + classes).
    classes: values of labels beside 0, in the order of the logits.
    dice_weight, cross_entropy_weight: of the terms.

  The batch has image (b, *s, c) in [0, 1], label (b, *s) integers and mask
  (b, *s), 1 where a voxel counts.
  """

  def loss(params, batch, key):
    del key
    logits = apply_fn(params, batch['image'])
    mask = batch['mask'].astype(logits.dtype)
    target = _one_hot(batch['label'], (0, *classes))
    log_p = jax.nn.log_softmax(logits, axis=-1)
    surprise = -jnp.sum(target * log_p, axis=-1)
    terms = {
      'loss/dice': losses.soft_dice(
        jnp.exp(log_p)[..., 1:], target[..., 1:], len(classes), mask
      ),
      'loss/cross_entropy': jnp.sum(mask * surprise)
      / jnp.maximum(jnp.sum(mask), 1),
    }
    total = (
      dice_weight * terms['loss/dice']
      + cross_entropy_weight * terms['loss/cross_entropy']
    )
    return total, terms | {'loss/total': total}

  return loss


def _one_hot(label: jax.Array, values: Sequence[int]) -> jax.Array:
  """(b, *s) -> (b, *s, len(values)); other values give all zeros."""
  values = jnp.array(values, label.dtype).reshape((1,) * label.ndim + (-1,))
  return (label[..., None] == values).astype(jnp.float32)
