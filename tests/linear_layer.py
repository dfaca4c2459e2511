"""One linear layer and its squared error, for rules that look at kernels."""

import jax.numpy as jnp
import numpy as np

INPUTS, OUTPUTS = 5, 3


def loss(params, batch, key):
  """A linear layer, with an offset that is no kernel."""
  del key
  found = batch['x'] @ params['kernel'] + params['bias'][None]
  value = jnp.mean((found - batch['y']) ** 2)
  return value, {'loss/total': value}


def batch(seed: int, num: int = 2, inputs=None):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(num, INPUTS)) if inputs is None else inputs
  y = rng.normal(size=(num, OUTPUTS))
  return {'x': jnp.asarray(x, jnp.float32), 'y': jnp.asarray(y, jnp.float32)}


def params():
  rng = np.random.default_rng(9)
  return {
    'kernel': jnp.asarray(rng.normal(size=(INPUTS, OUTPUTS)), jnp.float32),
    'bias': jnp.zeros(OUTPUTS),
  }
