import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import losses

SHAPE = (5, 7, 6)


def _random(*shape: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).normal(size=shape)


def _slow_ncc(a, b, mask, window):
  """Voxel by voxel, with zeros beyond the border in both images."""
  half, count = window // 2, window ** (a.ndim - 1)
  widths = [(0, 0)] + [(half, half)] * (a.ndim - 1)
  a, b = np.pad(a, widths), np.pad(b, widths)
  values = np.zeros(mask.shape)
  for index in np.ndindex(mask.shape):
    sample, *corner = index
    box = (sample, *(slice(i, i + window) for i in corner))
    x, y = a[box].ravel(), b[box].ravel()
    cross = x @ y - x.sum() * y.sum() / count
    spread = (x @ x - x.sum() ** 2 / count) * (y @ y - y.sum() ** 2 / count)
    values[index] = cross**2 / (spread + 1e-5)
  return 1 - (values * mask).sum() / mask.sum()


@pytest.mark.parametrize('shape', [(6, 4), (4, 3, 5)])
@pytest.mark.parametrize('window', [1, 3, 5])
def test_correlation_is_that_of_a_loop_over_voxels(x64, shape, window):
  a, b = (_random(2, *shape, seed=seed) for seed in (0, 1))
  mask = (_random(2, *shape, seed=2) > 0).astype(np.uint8)
  for weight in (mask, np.ones_like(mask)):
    expected = _slow_ncc(a, b, weight, window)
    found = losses.local_ncc(a, b, weight, window=window)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
  whole = losses.local_ncc(a, b, window=window)
  np.testing.assert_allclose(whole, expected, rtol=1e-10)


def test_correlation_of_a_constant_image():
  a = _random(1, *SHAPE).astype(np.float32)
  inner = np.zeros((1, *SHAPE), np.uint8)
  inner[:, 1:-1, 1:-1, 1:-1] = 1
  flat = np.full_like(a, 0.5)
  value, grads = jax.jit(jax.value_and_grad(losses.local_ncc, argnums=(0, 1)))(
    a, flat, inner
  )
  np.testing.assert_allclose(value, 1, atol=1e-5)
  assert all(np.isfinite(g).all() for g in grads)


def test_correlation_where_no_voxel_counts():
  a, b = (_random(1, *SHAPE, seed=seed) for seed in (0, 1))
  value, grads = jax.value_and_grad(losses.local_ncc, argnums=(0, 1))(
    jnp.asarray(a), jnp.asarray(b), np.zeros((1, *SHAPE), np.uint8)
  )
  assert value == 0
  for grad in grads:
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize('window', [0, 2, -3])
def test_windows_have_a_middle(window):
  with pytest.raises(ValueError, match=f'window is {window}'):
    losses.local_ncc(jnp.zeros((1, 5, 5)), jnp.zeros((1, 5, 5)), window=window)


def test_one_hot():
  label = np.array([[0, 2, 1], [5, 0, 2]], np.uint8)[None]
  found = losses.one_hot(label, 3)
  expected = [
    [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
    [[0, 0, 0], [1, 0, 0], [0, 0, 1]],
  ]
  np.testing.assert_array_equal(found, np.array(expected)[None])


@pytest.mark.parametrize('sigma', [0.5, 1.0, 1.5])
def test_smoothing_a_point_spreads_the_taps(x64, sigma):
  taps = losses.gaussian_taps(sigma)
  radius = len(taps) // 2
  assert radius == int(3 * sigma)
  np.testing.assert_allclose(taps.sum(), 1)
  ratio = taps[radius + 1] / taps[radius]
  np.testing.assert_allclose(ratio, np.exp(-0.5 / sigma**2))
  point = np.zeros((1, 9, 11, 10, 2))
  point[0, 4, 5, 6, 1] = 1
  found = losses.gaussian_smooth(point, sigma)
  # Between the borders nothing is lost, except along z when sigma is large.
  expected = np.zeros_like(point)
  for corner in itertools.product(range(len(taps)), repeat=3):
    voxel = tuple(
      i - radius + c for i, c in zip(corner, (4, 5, 6), strict=True)
    )
    if all(0 <= v < n for v, n in zip(voxel, (9, 11, 10), strict=True)):
      expected[(0, *voxel, 1)] = np.prod(taps[list(corner)])
  np.testing.assert_allclose(found, expected, atol=1e-12)


def test_dice_by_hand(x64):
  p = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.25, 0.75]]])
  q = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.0, 1.0]]])
  # Sums over both samples: 2 * 1 / (1.3125 + 1.25), 2 * 1.75 / (1.8125 + 2.25).
  first, second = 2.0 / (2.5625 + 1e-5), 3.5 / (4.0625 + 1e-5)
  np.testing.assert_allclose(
    losses.soft_dice(p, q, 2), 1 - (first + second) / 2, rtol=1e-12
  )
  # A class that is nowhere counts as 0.
  np.testing.assert_allclose(
    losses.soft_dice(p, q, 3), 1 - (first + second) / 3, rtol=1e-12
  )
  # Only the first position: 2 * 1 / (1 + 1.25) and 2 * 0.5 / (1 + 0.25).
  first, second = 2.0 / (2.25 + 1e-5), 1.0 / (1.25 + 1e-5)
  mask = np.array([[1, 0], [1, 0]], np.uint8)
  np.testing.assert_allclose(
    losses.soft_dice(p, q, 2, mask), 1 - (first + second) / 2, rtol=1e-12
  )


def test_dice_of_nothing_is_finite():
  empty = jnp.zeros((1, 4, 3, 2))
  value, grads = jax.value_and_grad(losses.soft_dice, argnums=(0, 1))(
    empty, empty, 2
  )
  assert value == 1
  assert all(np.isfinite(g).all() for g in grads)


def test_energies_of_known_fields(x64):
  """Central differences are exact on quadratics."""
  grid = np.stack(np.indices(SHAPE), axis=-1).astype(np.float64)
  matrix = _random(3, 3, seed=1)
  linear = (grid @ matrix.T)[None]
  np.testing.assert_allclose(
    losses.membrane_energy(linear), (matrix**2).sum() / 3, rtol=1e-10
  )
  np.testing.assert_allclose(losses.bending_energy(linear), 0, atol=1e-20)
  hessians = _random(3, 3, 3, seed=2)
  hessians += hessians.transpose(0, 2, 1)
  quadratic = np.einsum('xyzi,dij,xyzj->xyzd', grid, hessians, grid)[None] / 2
  np.testing.assert_allclose(
    losses.bending_energy(quadratic), (hessians**2).sum() / 3, rtol=1e-10
  )


def _terms():
  mask = (_random(2, *SHAPE, seed=5) > 0).astype(np.uint8)
  scalar = [_random(2, *SHAPE, seed=seed) for seed in (0, 1)]
  maps = [np.abs(_random(2, *SHAPE, 4, seed=seed)) for seed in (2, 3)]
  field = [_random(2, *SHAPE, 3, seed=4)]
  return {
    'ncc': (lambda a, b: losses.local_ncc(a, b, mask), scalar),
    'dice': (lambda p, q: losses.soft_dice(p, q, 4), maps),
    'smooth': (lambda x: (losses.gaussian_smooth(x) ** 3).sum(), maps[:1]),
    'membrane': (losses.membrane_energy, field),
    'bending': (losses.bending_energy, field),
  }


@pytest.mark.parametrize('name', list(_terms()))
def test_derivatives(x64, name):
  """Reverse, forward and finite differences agree in a random direction."""
  term, primals = _terms()[name]
  term = jax.jit(term)
  primals = tuple(map(jnp.asarray, primals))
  tangents = tuple(
    jnp.asarray(_random(*x.shape, seed=7 + i)) for i, x in enumerate(primals)
  )
  grads = jax.grad(term, argnums=tuple(range(len(primals))))(*primals)
  reverse = sum(jnp.vdot(g, t) for g, t in zip(grads, tangents, strict=True))
  _, forward = jax.jvp(term, primals, tangents)
  np.testing.assert_allclose(forward, reverse, rtol=1e-9)
  step = 1e-5
  above, below = (
    term(*(x + s * t for x, t in zip(primals, tangents, strict=True)))
    for s in (step, -step)
  )
  np.testing.assert_allclose((above - below) / (2 * step), forward, rtol=1e-5)


@pytest.mark.parametrize('order', [(1, 2, 0), (0, 2, 1)])
def test_terms_turn_with_the_axes(x64, order):
  """Turned arguments give the same value and a turned gradient."""
  mask = (_random(2, *SHAPE, seed=5) > 0).astype(np.uint8)
  a, b = (jnp.asarray(_random(2, *SHAPE, seed=seed)) for seed in (0, 1))
  turn = (0, *(axis + 1 for axis in order))
  ncc = jax.jit(jax.value_and_grad(losses.local_ncc))
  value, grad = ncc(a, b, mask)
  turned = ncc(*(x.transpose(turn) for x in (a, b)), mask.transpose(turn))
  np.testing.assert_allclose(turned[0], value, rtol=1e-10)
  np.testing.assert_allclose(turned[1], grad.transpose(turn), atol=1e-12)
  field = jnp.asarray(_random(2, *SHAPE, 3, seed=4))
  for energy in (losses.membrane_energy, losses.bending_energy):
    energy = jax.jit(jax.value_and_grad(energy))
    value, grad = energy(field)
    turned = energy(field.transpose(*turn, 4))
    np.testing.assert_allclose(turned[0], value, rtol=1e-10)
    np.testing.assert_allclose(turned[1], grad.transpose(*turn, 4), atol=1e-12)
