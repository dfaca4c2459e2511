"""What a segmenter minimises: soft Dice and cross-entropy."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from common import losses
from common import train_state as ts

_TEMPERATURE = 2.0


def make_objective(
  *,
  classes: Sequence[int],
  dice_weight: float = 1.0,
  cross_entropy_weight: float = 1.0,
) -> ts.ObjectiveFn:
  """Dice over the classes but the background, plus cross-entropy of all.

  Both are means over all voxels of the batch (Isensee et al., Nature Methods
  2021, section "loss function").

  Args:
    classes: values of labels beside 0, in the order of the logits.
    dice_weight, cross_entropy_weight: of the terms.

  It takes logits (b, *s, 1 + classes) and a batch with label (b, *s) integers.
  """

  def objective(logits, batch):
    target = _one_hot(batch['label'], (0, *classes))
    log_p = jax.nn.log_softmax(logits, axis=-1)
    terms = {
      'loss/dice': losses.soft_dice(
        jnp.exp(log_p)[..., 1:], target[..., 1:], len(classes)
      ),
      'loss/cross_entropy': -jnp.mean(jnp.sum(target * log_p, axis=-1)),
    }
    total = (
      dice_weight * terms['loss/dice']
      + cross_entropy_weight * terms['loss/cross_entropy']
    )
    return total, terms | {'loss/total': total}

  return objective


def distance(logits: jax.Array, wanted: jax.Array) -> jax.Array:
  """Divergence of softened class probabilities, mean over all voxels.

  T^2 KL(wanted || found) with probabilities softened by T = 2 (Hinton et al.,
  "Distilling the knowledge in a neural network", 2015).
  """
  log_found, log_wanted = (
    jax.nn.log_softmax(x / _TEMPERATURE, axis=-1) for x in (logits, wanted)
  )
  divergence = jnp.sum(jnp.exp(log_wanted) * (log_wanted - log_found), axis=-1)
  return _TEMPERATURE**2 * jnp.mean(divergence)


def _one_hot(label: jax.Array, values: Sequence[int]) -> jax.Array:
  """(b, *s) -> (b, *s, len(values)); other values give all zeros."""
  values = jnp.array(values, label.dtype).reshape((1,) * label.ndim + (-1,))
  return (label[..., None] == values).astype(jnp.float32)
