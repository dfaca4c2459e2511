"""The product's network, loss and batches in the terms of the parity arrays."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from common import problem
from common import train_state as ts
from samcl import lku_net, losses, reference_weights, transform
from tests import parity_arrays


def batch(arrays: dict[str, np.ndarray], items=slice(None)) -> dict[str, Any]:
  """Samples as the loss wants them; landmarks stay on the twofold grid."""
  out = {}
  names = {'imgs': '', 'masks': '_mask', 'segs': '_label'}
  for name, ending in names.items():
    for i, side in enumerate(('fixed', 'moving')):
      x = arrays[name][items, i]
      out[f'{side}{ending}'] = x.astype(np.float64) if ending == '' else x
  points = arrays['keypoints'][items].astype(np.float64)
  out['fixed_landmarks'], out['moving_landmarks'] = points[:, 0], points[:, 1]
  rows = np.arange(points.shape[2])[None]
  real = rows < arrays['n_keypoints'][items, None]
  lung = np.char.startswith(arrays['domain'][items], 'NLST')[:, None]
  out['landmark_weight'] = (real & lung).astype(np.float64)
  return out


def network(config: dict[str, Any]) -> lku_net.LKUNet:
  return lku_net.LKUNet(
    num_levels=config['n_levels'],
    num_channels=config['n_channels_init'],
    large_kernel=config['large_kernel'],
  )


def params(vector: np.ndarray, config: dict[str, Any]) -> Any:
  vector = jnp.asarray(vector, jnp.float64)
  return reference_weights.from_flat(np.asarray(vector), config['param_layout'])


def flat(tree: Any, config: dict[str, Any]) -> np.ndarray:
  return reference_weights.to_flat(tree, config['param_layout'])


def stored_params(arrays: dict[str, np.ndarray]) -> np.ndarray:
  """The flat vector of the arrays `param.<name>`."""
  layout = parity_arrays.config(arrays)['param_layout']
  return np.concatenate(
    [arrays[f'param.{name}'].astype(np.float64).ravel() for name, *_ in layout]
  )


def loss(
  arrays: dict[str, np.ndarray],
  config: dict[str, Any],
  settings: dict[str, Any] | None = None,
  **weights: float,
) -> ts.LossFn:
  """The loss with the settings of the reference.

  Args:
    arrays: a file of the parity set.
    config: what it says of the reference.
    settings: other ones of the transform.
    weights: of terms that are not to count 1.
  """
  net = network(config)
  objective = losses.make_objective(
    transform.Transform(
      **{'num_squarings': config.get('int_steps', 7)} | (settings or {})
    ),
    num_classes=int(arrays['segs'].max()) + 1,
    ncc_window=config.get('ncc_win', 3),
    label_sigma=float(config.get('dice_kernel_sigma', 1)),
    landmark_refinement=2,
    **weights,
  )
  return problem.make_loss(
    lambda p, b: net.apply({'params': p}, losses.network_inputs(b)), objective
  )


def close(found: Any, expected: np.ndarray) -> None:
  """Relative to the largest entry: 1e-9, or 1e-6 for arrays kept in float32.

  Integer and boolean arrays must be equal.
  """
  found, expected = np.asarray(found), np.asarray(expected)
  assert found.shape == expected.shape, (found.shape, expected.shape)
  if expected.dtype.kind in 'biu':
    np.testing.assert_array_equal(found, expected)
    return
  tolerance = 1e-6 if expected.dtype == np.float32 else 1e-9
  scale = np.abs(expected).max(initial=0) or 1.0
  np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)
