"""Resampling, losses and energies against arrays a to g and o_keypoints."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import losses as common_losses
from common import spatial
from samcl import losses
from tests import parity_arrays, parity_network

RANKS = ('3d', '2d')
last, first = parity_arrays.channels_last, parity_arrays.channels_first
close = parity_network.close


def _double(array: np.ndarray) -> jax.Array:
  """Channels last, double precision."""
  return jnp.asarray(last(array), jnp.float64)


@pytest.mark.parametrize('rank', RANKS)
def test_warp(x64, rank):
  arrays = parity_arrays.load('a_warp')
  src, flow, cot = (
    _double(arrays[f'{k}_{rank}']) for k in ('src', 'flow', 'cot')
  )
  out, pull = jax.vjp(spatial.warp, src, flow)
  grad_src, grad_flow = pull(cot)
  close(first(out), arrays[f'out_linear_zeros_{rank}'])
  close(first(grad_src), arrays[f'grad_src_linear_zeros_{rank}'])
  close(first(grad_flow), arrays[f'grad_flow_linear_zeros_{rank}'])
  for outside in ('zeros', 'border'):
    nearest = spatial.warp(src, flow, order=0, outside=outside)
    close(first(nearest), arrays[f'out_nearest_{outside}_{rank}'])


@pytest.mark.parametrize('rank', RANKS)
def test_overlap_mask(x64, rank):
  arrays = parity_arrays.load('b_overlap_mask')
  found = spatial.inside(_double(arrays[f'flow_{rank}']))
  close(found[:, None].astype(np.uint8), arrays[f'mask_{rank}'])


@pytest.mark.parametrize('rank', RANKS)
def test_exponential(x64, rank):
  arrays = parity_arrays.load('c_scaling_squaring')
  velocity = _double(arrays[f'vel_{rank}'])
  out, pull = jax.vjp(jax.jit(spatial.exponentiate), velocity)
  close(first(out), arrays[f'disp_{rank}'])
  close(first(spatial.exponentiate(-velocity)), arrays[f'inv_disp_{rank}'])
  (grad,) = pull(_double(arrays[f'cot_{rank}']))
  close(first(grad), arrays[f'grad_vel_{rank}'])


@pytest.mark.parametrize('rank', RANKS)
def test_composition(x64, rank):
  arrays = parity_arrays.load('d_compose')
  a, b = (_double(arrays[f'flow_{k}_{rank}']) for k in 'ab')
  close(first(spatial.compose(a, b)), arrays[f'compose_a_b_{rank}'])
  close(first(spatial.compose(a, a)), arrays[f'compose_a_a_{rank}'])


@pytest.mark.parametrize('rank', RANKS)
@pytest.mark.parametrize('window', [3, 9])
@pytest.mark.parametrize('masked', ['nomask', 'mask'])
def test_local_correlation(x64, rank, window, masked):
  arrays = parity_arrays.load('e_ncc')
  a, b = (jnp.asarray(arrays[f'{k}_{rank}'][:, 0], jnp.float64) for k in 'IJ')
  mask = arrays[f'mask_{rank}'][:, 0] if masked == 'mask' else None

  @jax.jit
  def loss(a, b):
    return common_losses.local_ncc(a, b, mask, window=window)

  value, grads = jax.value_and_grad(loss, argnums=(0, 1))(a, b)
  name = f'win{window}_{masked}_{rank}'
  close(value, arrays[f'loss_{name}'])
  for image, grad in zip('IJ', grads, strict=True):
    close(grad[:, None], arrays[f'grad{image}_{name}'])


@pytest.mark.parametrize('rank', RANKS)
def test_dice_on_smoothed_labels(x64, rank):
  arrays = parity_arrays.load('f_dice')
  prob = arrays[f'prob_{rank}']
  num_classes = prob.shape[2]
  for i in range(2):
    maps = common_losses.one_hot(
      arrays[f'seg_{rank}'][:, i], num_classes, jnp.float64
    )
    close(first(common_losses.gaussian_smooth(maps)), prob[:, i])
  p, q = (_double(prob[:, i]) for i in range(2))
  dice = jax.value_and_grad(common_losses.soft_dice, argnums=(0, 1))
  value, (grad_p, grad_q) = dice(p, q, float(num_classes))
  close(value, arrays[f'loss_{rank}'])
  close(first(grad_p), arrays[f'grad_pred_{rank}'])
  close(first(grad_q), arrays[f'grad_true_{rank}'])
  mask = arrays[f'mask_{rank}'][:, 0]
  masked = common_losses.soft_dice(p, q, num_classes, mask)
  close(masked, arrays[f'loss_masked_{rank}'])


@pytest.mark.parametrize('sigma', [1, 2])
def test_gaussian_taps(sigma):
  expected = parity_arrays.load('f_dice')[f'gauss_kernel_sigma{sigma}']
  close(common_losses.gaussian_taps(float(sigma)), expected)


@pytest.mark.parametrize('rank', RANKS)
@pytest.mark.parametrize('name', ['bending', 'membrane'])
def test_energies(x64, rank, name):
  arrays = parity_arrays.load('g_regularisers')
  energy = getattr(common_losses, f'{name}_energy')
  value, grad = jax.value_and_grad(energy)(_double(arrays[f'flow_{rank}']))
  close(value, arrays[f'{name}_{rank}'])
  close(first(grad), arrays[f'grad_{name}_{rank}'])


@pytest.mark.parametrize('rank', RANKS)
def test_jacobian_is_the_true_one(x64, rank):
  """The authors' 3-D expression has the wrong sign on two products."""
  arrays = parity_arrays.load('g_regularisers')
  flow = last(arrays[f'flow_{rank}']).astype(np.float64)
  ours = spatial.jacobian_determinant(flow)
  close(ours, arrays[f'jacdet_true_{rank}'])
  theirs = np.asarray(ours)
  if rank == '3d':
    inner = tuple(slice(1, -1) for _ in range(3))
    d = [
      np.gradient(flow, axis=axis)[(slice(None), *inner)] for axis in (1, 2, 3)
    ]
    a, b, c = d
    theirs = (
      theirs
      + 2 * (1 + a[..., 0]) * b[..., 2] * c[..., 1]
      + 2 * a[..., 1] * b[..., 0] * (1 + c[..., 2])
    )
  close(theirs, arrays[f'jacdet_reference_{rank}'])


def test_key_points(x64):
  """Theirs live on a grid of twice the size, ours on any: refinement=2."""
  arrays = parity_arrays.load('o_keypoints')
  disp = _double(arrays['disp'])
  fixed, moving = (
    arrays[f'{k}_keypoints'].astype(np.float64) for k in ('fixed', 'moving')
  )
  for sample, expected in enumerate(arrays['tre']):
    one = slice(sample, sample + 1)
    weight = np.ones(fixed[one].shape[:2])
    sample_at = functools.partial(
      spatial.sample_at, disp[one], outside='border'
    )
    value = losses.landmark_distance(
      sample_at,
      disp.shape[1:-1],
      fixed[one],
      moving[one],
      weight,
      refinement=2,
    )
    close(value, expected)
