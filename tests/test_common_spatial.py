import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import spatial, stencil

SHAPE = (5, 7, 6)


def _random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
  draw = np.random.default_rng(seed).normal(size=shape)
  return (scale * draw).astype(np.float32)


def test_no_displacement_is_the_identity():
  volume = _random(2, *SHAPE, 3)
  zero = np.zeros((2, *SHAPE, 3), np.float32)
  np.testing.assert_array_equal(spatial.warp(volume, zero), volume)


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_a_whole_step_pulls_from_the_next_voxel(axis):
  volume = _random(1, *SHAPE, 2)
  field = np.zeros((1, *SHAPE, 3), np.float32)
  field[..., axis] = 1
  warped = np.asarray(spatial.warp(volume, field))
  expected = np.roll(volume, -1, axis=axis + 1)
  index = [slice(None)] * 5
  index[axis + 1] = -1
  expected[tuple(index)] = 0
  np.testing.assert_array_equal(warped, expected)
  index[axis + 1] = slice(None)
  nearest = spatial.warp(volume, field, order=0, outside='border')
  np.testing.assert_array_equal(
    np.take(np.asarray(nearest), -1, axis=axis + 1),
    np.take(volume, -1, axis=axis + 1),
  )


def test_interpolation_is_exact_on_a_linear_image():
  grid = np.asarray(spatial.identity_grid(SHAPE))
  slopes = np.array([0.5, -2.0, 3.0], np.float32)
  volume = (grid @ slopes)[None, ..., None]
  field = np.random.default_rng(0).uniform(-0.9, 0.9, (1, *SHAPE, 3))
  field = field.astype(np.float32)
  warped = np.asarray(spatial.warp(volume, field))[0, ..., 0]
  expected = (grid + field[0]) @ slopes
  inner = (slice(1, -1),) * 3
  np.testing.assert_allclose(warped[inner], expected[inner], atol=1e-4)
  points = np.array([[[1.25, 3.5, 2.0], [0.0, 5.9, 4.5]]], np.float32)
  found = spatial.sample_at(volume, points)[0, :, 0]
  np.testing.assert_allclose(found, points[0] @ slopes, atol=1e-4)


def _planes(x: np.ndarray) -> np.ndarray:
  return np.moveaxis(x, -1, 0)


@pytest.mark.parametrize('shape', [(5, 7), SHAPE])
def test_the_stencil_is_the_gather(shape):
  rank = len(shape)
  volume = _random(2, *shape, 3)
  field = np.random.default_rng(1).uniform(-1, 1, (2, *shape, rank))
  field = field.astype(np.float32)
  cot = _random(2, *shape, 3, seed=2)
  dots = (_random(2, *shape, 3, seed=3), _random(2, *shape, rank, seed=4))
  planes = _planes(volume), _planes(field)
  out, pull = jax.vjp(spatial.warp, volume, field)
  _, pushed = jax.jvp(spatial.warp, (volume, field), dots)
  found = [
    stencil.warp_near(*planes),
    stencil.warp_near_jvp(*planes, *map(_planes, dots)),
    *stencil.warp_near_vjp(*planes, _planes(cot)),
  ]
  for a, b in zip(found, (out, pushed, *pull(cot)), strict=True):
    np.testing.assert_allclose(np.moveaxis(a, 0, -1), b, atol=2e-5)


@pytest.mark.parametrize('scale', [0.4, 6.0])
def test_squarings_are_warps_within_one_voxel_and_beyond(scale):
  velocity = scale * _random(2, *SHAPE, 3, seed=5)
  tangent, cot = (_random(2, *SHAPE, 3, seed=seed) for seed in (6, 7))

  def plain(velocity):
    displacement = velocity / 4
    for _ in range(2):
      displacement += spatial.warp(displacement, displacement)
    return displacement

  results = []
  for exponential in (lambda v: spatial.exponentiate(v, 2), plain):
    out, pull = jax.vjp(exponential, velocity)
    results.append(
      (out, *pull(cot), jax.jvp(exponential, (velocity,), (tangent,))[1])
    )
  for a, b in zip(*results, strict=True):
    np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max())


@pytest.mark.parametrize('shape', [(8, 5, 4), (7, 5, 4), (6, 7)])
def test_many_channels_are_warped_as_few_are(x64, shape):
  rng = np.random.default_rng(3)
  volume = jnp.asarray(rng.normal(size=(2, *shape, 9)))
  field = jnp.asarray(rng.normal(size=(2, *shape, len(shape))))
  along = jnp.cos(volume), jnp.sin(field)

  def together(volume, field):
    return spatial.warp(volume, field)

  def apart(volume, field):
    return jnp.concatenate(
      [together(volume[..., i : i + 3], field) for i in range(0, 9, 3)], -1
    )

  def derivatives(form):
    forward = jax.jvp(form, (volume, field), along)
    return forward, jax.vjp(form, volume, field)[1](forward[0] ** 2)

  for a, b in zip(
    jax.tree.leaves(derivatives(together)),
    jax.tree.leaves(derivatives(apart)),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('outside', ['zeros', 'border'])
def test_composition_at_points_is_that_of_the_whole_fields(outside):
  first, second = (_random(2, *SHAPE, 3, seed=seed) for seed in (0, 1))
  points = np.random.default_rng(2).uniform(-1, 7, (2, 9, 3))
  points = points.astype(np.float32)
  whole = spatial.compose(first, second)
  np.testing.assert_allclose(
    spatial.sample_composed(first, second, points, outside=outside),
    spatial.sample_at(whole, points, outside=outside),
    atol=1e-5,
  )


@pytest.mark.parametrize('scale', [0.02, 1.5])
def test_exponential_of_minus_v_is_the_inverse(scale):
  """On both sides of the switch from stencil to gather."""
  shape = (12, 14, 13)
  grid = np.asarray(spatial.identity_grid(shape)) / np.array(shape)
  wave = np.sin(np.pi * grid) ** 2
  bump = np.prod(wave, axis=-1, keepdims=True)
  velocity = scale * bump * np.array([1.0, -2.0, 1.5])
  velocity = velocity[None].astype(np.float32)
  there = spatial.exponentiate(velocity)
  back = spatial.exponentiate(-velocity)
  assert np.abs(there).max() > 0.9 * scale
  error = np.abs(spatial.compose(there, back)).max()
  assert error < 0.1 * scale


def test_exponential_of_a_constant_is_the_constant():
  velocity = np.broadcast_to(
    np.array([0.5, -1.0, 0.25], np.float32), (1, 9, 11, 10, 3)
  )
  found = np.asarray(spatial.exponentiate(velocity))[0, 4, 5, 5]
  np.testing.assert_allclose(found, [0.5, -1.0, 0.25], rtol=1e-6)


def test_gradients_are_finite_at_no_motion():
  grads = jax.grad(lambda v: jnp.sum(spatial.exponentiate(v) ** 2))(
    np.zeros((1, *SHAPE, 3), np.float32)
  )
  assert np.isfinite(grads).all()


def test_jacobian_of_a_linear_map_is_its_determinant():
  matrix = np.array([[1.2, 0.3, -0.1], [0.05, 0.8, 0.4], [-0.2, 0.1, 1.1]])
  grid = np.asarray(spatial.identity_grid(SHAPE))
  field = grid @ (matrix - np.eye(3)).T
  found = spatial.jacobian_determinant(field[None].astype(np.float32))
  assert found.shape == (1, 3, 5, 4)
  np.testing.assert_allclose(found, np.linalg.det(matrix), rtol=1e-4)


def test_inside_has_the_bounds_of_the_released_code():
  field = np.zeros((1, 4, 5, 3), np.float32)[..., :2]
  inside = np.asarray(spatial.inside(field))[0]
  assert not inside[0].any()
  assert not inside[:, 0].any()
  assert inside[1:, 1:].all()


def test_unknown_modes_are_refused():
  volume, field = _random(1, *SHAPE, 1), np.zeros((1, *SHAPE, 3), np.float32)
  with pytest.raises(ValueError, match='allowed: 0, 1'):
    spatial.warp(volume, field, order=3)
  with pytest.raises(ValueError, match="'zeros', 'border'"):
    spatial.warp(volume, field, outside='wrap')
