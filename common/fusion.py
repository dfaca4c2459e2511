"""What XLA's CPU compiler has to be told about where to stop fusing.

It writes short loops around whole expressions, which suits elementwise code and
not the stencils, gathers and chains of warps of registration. Both functions
change nothing in the result.
"""

import jax
import jax.numpy as jnp


def fence(x: jax.Array, axis: int = -1) -> jax.Array:
  """`x`, computed once: nothing is fused across a matrix product.

  Without it what the neighbours of a voxel share is computed anew for each of
  them, and so on through a chain of warps; the CPU compiler ignores
  `optimization_barrier`. Integers, and x on other backends, pass as they are.

  Args:
    x: any shape; `axis`, the first or the last, is short (channels).
    axis: 0 or -1.
  """
  is_float = jnp.issubdtype(x.dtype, jnp.floating)
  if jax.default_backend() != 'cpu' or not is_float:
    return x
  eye = jnp.eye(x.shape[axis], dtype=x.dtype)
  if axis == -1:
    return x @ eye
  return (eye @ x.reshape(len(x), -1)).reshape(x.shape)


def spread(x: jax.Array, channels: int) -> jax.Array:
  """(..., 1) to (..., channels).

  Written as a product with ones, because so is its transpose: XLA sums over
  the last axis on CPU some twenty times slower than it multiplies matrices.
  """
  return x @ jnp.ones((1, channels), x.dtype)
