"""Sharpness-aware minimisation: the gradient at the worst point nearby.

Foret et al., ICLR 2021; adaptive form: Kwon et al., ICML 2021.
"""

import jax
import jax.numpy as jnp

from common import execution, tree
from common import train_state as ts


def perturbation(
  params: ts.Params, grads: ts.Params, *, rho: float, adaptive: bool
) -> ts.Params:
  """The step of length `rho` that raises the linearised loss most.

      standard:  e = rho g / ||g||
      adaptive:  e = rho w^2 g / || |w| g ||

  The norm is over all parameters together. Zero where the norm is zero, as it
  is for every network at a stationary point.
  """
  if not adaptive:
    scaled, direction = grads, grads
  else:
    scaled = jax.tree.map(jnp.multiply, params, grads)
    direction = jax.tree.map(jnp.multiply, params, scaled)
  length = tree.norm(scaled)
  # The released code's 1e-12 is part of the numbers it publishes.
  scale = rho / (length + 1e-12)
  return jax.tree.map(lambda d: scale * d, direction)


def sharpness_aware(
  grad_fn: ts.GradFn, *, rho: float, adaptive: bool = False
) -> ts.GradFn:
  """Wraps a gradient so that it is taken at params + e; rho = 0 is identity.

  Metrics are those at params, with the rise of the loss as 'loss/sharpness'.

  Raises:
    ValueError: rho is below 0.
  """
  if rho < 0:
    raise ValueError(f'sam.rho: found {rho}, must be at least 0')
  if rho == 0:
    return grad_fn

  @execution.piece
  def climb(params, grads):
    e = perturbation(params, grads, rho=rho, adaptive=adaptive)
    return tree.add(params, e)

  def gradient(params, batch, key):
    grads, metrics = grad_fn(params, batch, key)
    peak = climb(params, grads)
    del grads  # as large as the parameters, and not needed beside the next
    grads, perturbed = grad_fn(peak, batch, key)
    rise = perturbed['loss/total'] - metrics['loss/total']
    return grads, metrics | {'loss/sharpness': rise}

  return gradient
