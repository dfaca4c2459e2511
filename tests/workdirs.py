"""Working directories of networks that never saw data, and files for them."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import nibabel as nib
import numpy as np

from common import checkpoint
from configs import samcl_tiny, smg_tiny
from samcl import lku_net, transform
from smg import unet

# What a scanner may make of a volume whose axes are right, anterior, superior.
FLIPS = [np.array(signs) for signs in np.ndindex(2, 2, 2)]
ORDERS = [
  (0, 1, 2),
  (0, 2, 1),
  (1, 0, 2),
  (1, 2, 0),
  (2, 0, 1),
  (2, 1, 0),
]


def write_registration(folder: pathlib.Path, **fields: Any) -> pathlib.Path:
  """A run of samcl.train whose network moves things by a voxel or so."""
  config = samcl_tiny.get_config()
  config.update_from_flattened_dict(fields)
  _, model = transform.split(config.model)
  network = lku_net.create(**model)
  x = jnp.zeros((1, *config.data.shape, 2))
  params = _draw(network, x)
  params['flow_kernel'] *= 3
  return _write(folder, config, params)


def write_segmentation(folder: pathlib.Path, **fields: Any) -> pathlib.Path:
  """A run of smg.train whose network knows nothing and says something."""
  config = smg_tiny.get_config()
  config.update_from_flattened_dict(fields)
  network = unet.UNet(
    num_classes=1 + len(config.data.classes), **config.model.to_dict()
  )
  x = jnp.zeros((1, *config.data.shape, 1))
  params = _draw(network, x)
  return _write(folder, config, params)


def _draw(network, x) -> Any:
  """Parameters like fresh ones, without compiling how those are drawn."""
  shapes = jax.eval_shape(network.init, jax.random.key(0), x)['params']
  rng = np.random.default_rng(3)

  def draw(path, leaf):
    if 'scale' in str(path[-1]):
      return np.ones(leaf.shape, np.float32)
    width = np.prod(leaf.shape[:-1]) ** -0.5 if len(leaf.shape) > 1 else 0.1
    return rng.normal(scale=width, size=leaf.shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def _write(folder: pathlib.Path, config, params) -> pathlib.Path:
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'config.json').write_text(config.to_json())
  checkpoint.Checkpoints(folder / 'checkpoints').save(
    3, {'params': params, 'step': jnp.int32(3)}, {}
  )
  return folder


def blobs(shape: tuple[int, int, int], seed: int) -> np.ndarray:
  """A smooth image with a bright body in the dark, float32."""
  rng = np.random.default_rng(seed)
  x, y, z = np.meshgrid(
    *(np.linspace(-1, 1, side) for side in shape), indexing='ij'
  )
  image = np.zeros(shape)
  for _ in range(12):
    centre, width = rng.uniform(-0.6, 0.6, 3), rng.uniform(0.15, 0.5)
    square = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
    image += rng.uniform(0.3, 1) * np.exp(-square / width**2)
  return (200 * image).astype(np.float32)


def save(
  path: pathlib.Path, data: np.ndarray, affine: np.ndarray
) -> pathlib.Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  nib.save(nib.Nifti1Image(data, affine), path)
  return path


def reorder(
  data: np.ndarray,
  affine: np.ndarray,
  order: tuple[int, ...],
  flips: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """The same volume in space with its array axes in another order."""
  step = np.eye(4)[:, [*order, 3]]
  data = data.transpose(order)
  for axis in np.flatnonzero(flips):
    turn = np.eye(4)
    turn[axis, axis], turn[axis, 3] = -1, data.shape[axis] - 1
    data, step = np.flip(data, axis), step @ turn
  return np.ascontiguousarray(data), affine @ step


def oblique(degrees: float) -> np.ndarray:
  """A turn about two axes, (4, 4)."""
  angle = np.deg2rad(degrees)
  c, s = np.cos(angle), np.sin(angle)
  turn = np.eye(4)
  turn[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.array(
    [[c, -s, 0], [s, c, 0], [0, 0, 1]]
  )
  return turn
