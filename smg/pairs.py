"""Image-label pairs as tensors for the diffusion model, and back.

x = [image channels, label bits] in [-1, 1]: a sample is an image together with
its label, so no real label has to be stored (analog bits: Chen et al., ICLR
2023).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


class Codec:
  """Between batches (image in [0, 1], label) and tensors x (b, *s, c + bits).

  Args:
    classes: of labels beside 0, ascending.
    with_labels: False leaves the bits out: x is the image alone.
  """

  def __init__(self, classes: Sequence[int], *, with_labels: bool = True):
    self._values = np.array([0, *classes], np.uint8)
    num_bits = int(np.ceil(np.log2(len(self._values)))) if with_labels else 0
    codes = np.arange(len(self._values))[:, None] >> np.arange(num_bits)
    self._codes = (2.0 * (codes % 2) - 1).astype(np.float32)

  @property
  def num_bits(self) -> int:
    """Channels that the label takes."""
    return self._codes.shape[1]

  def encode(self, image: jax.Array, label: jax.Array) -> jax.Array:
    """image (b, *s, c) and label (b, *s) -> x."""
    index = jnp.searchsorted(jnp.asarray(self._values), label)
    bits = jnp.asarray(self._codes)[index]
    return jnp.concatenate([2 * image - 1, bits.astype(image.dtype)], axis=-1)

  def decode(self, x: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """x -> image in [0, 1] and label, the class of the nearest code."""
    num_channels = x.shape[-1] - self.num_bits
    image = (x[..., :num_channels] + 1) / 2
    # What is not finite stays so, for the gate to see.
    image = jnp.where(jnp.isfinite(image), jnp.clip(image, 0, 1), image)
    if not self.num_bits:
      return image, None
    # |b - code|^2 = const - 2 <b, code>
    nearness = x[..., num_channels:] @ jnp.asarray(self._codes).T
    label = jnp.asarray(self._values)[jnp.argmax(nearness, axis=-1)]
    return image, label
