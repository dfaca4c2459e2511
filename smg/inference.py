"""What the segmenter says of images, however many."""

from collections.abc import Callable

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from common import train_state as ts


def logits(
  network: nn.Module, params: ts.Params, images: jax.Array
) -> jax.Array:
  """(b, *s, 1 + classes) of images (b, *s, c) in [0, 1]."""
  return blank_to_background(network.apply({'params': params}, images), images)


def blank_to_background(logits: jax.Array, images: jax.Array) -> jax.Array:
  """Background where an image (b, *s, c) has one value throughout.

  So are the slices with which files are padded where nothing was acquired; a
  network learns from none of them, and what it says of them means nothing.

  Args:
    logits: (b, *s, 1 + classes).
    images: that they answer.
  """
  axes = tuple(range(1, images.ndim))
  blank = jnp.ptp(images, axis=axes, keepdims=True) == 0
  nothing = jnp.zeros_like(logits).at[..., 1:].set(-jnp.inf)
  return jnp.where(blank, nothing, logits)


def in_chunks(
  function: Callable[[np.ndarray], jax.Array], images: np.ndarray, size: int
) -> np.ndarray:
  """`function` of (n, ...) images, `size` at a time; the last chunk is filled.

  Every chunk has the same size, so that one program serves all of them.
  """
  images = np.asarray(images)
  filling = ((0, -len(images) % size),) + ((0, 0),) * (images.ndim - 1)
  padded = np.pad(images, filling, mode='edge')
  found = [
    np.asarray(function(padded[i : i + size]))
    for i in range(0, len(padded), size)
  ]
  return np.concatenate(found)[: len(images)]
