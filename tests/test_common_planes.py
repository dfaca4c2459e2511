import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import planes

# Channels and features of which some are found by matrix products.
SIZES = [(3, 8), (3, 5), (32, 8), (33, 2)]


def _native(x, kernel, stride=1):
  half = kernel.shape[0] // 2
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    [(half, half)] * 2,
    dimension_numbers=('NYZC', 'YZIO', 'NYZC'),
  )


def _case(channels, features, size):
  rng = np.random.default_rng(size)
  x = jnp.asarray(rng.normal(size=(2, 6, 4, channels)))
  kernel = rng.normal(size=(size, size, channels, features))
  return x, jnp.asarray(kernel) / (channels * size**2) ** 0.5


def _energy(form):
  return lambda x, kernel: jnp.sum(jnp.sin(form(x, kernel)))


@pytest.mark.parametrize('channels, features', SIZES)
@pytest.mark.parametrize('size', [1, 3, 5, 7])
@pytest.mark.parametrize('stride', [1, 2])
def test_derivatives_of_any_order_are_those_of_the_native_form(
  x64, channels, features, size, stride
):
  args = _case(channels, features, size)
  along = jax.tree.map(jnp.cos, args)

  def derivatives(form):
    gradient = jax.grad(_energy(form), argnums=(0, 1))
    value, second = jax.jvp(gradient, args, along)
    third = jax.grad(
      lambda *a: sum(
        jnp.vdot(g, d) for g, d in zip(gradient(*a), along, strict=True)
      ),
      argnums=(0, 1),
    )(*args)
    return form(*args), value, second, third

  found, expected = (
    derivatives(functools.partial(form, stride=stride))
    for form in (planes.correlate, _native)
  )
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for a, b in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('channels, features', SIZES)
def test_many_images_with_a_kernel_each(x64, channels, features):
  x, kernel = _case(channels, features, 3)
  many = jnp.stack([x, 2 * x]), jnp.stack([kernel, kernel[::-1]])
  found = jax.vmap(jax.grad(_energy(planes.correlate), argnums=1))(*many)
  for i in range(2):
    expected = jax.grad(_energy(_native), argnums=1)(*(m[i] for m in many))
    np.testing.assert_allclose(found[i], expected, rtol=1e-10, atol=1e-10)


def test_a_stride_keeps_every_second_value(x64):
  x, kernel = _case(32, 5, 3)
  np.testing.assert_allclose(
    planes.correlate(x, kernel, 2),
    planes.correlate(x, kernel)[:, ::2, ::2],
    rtol=1e-12,
    atol=1e-12,
  )


def test_a_stride_on_an_odd_number_of_pixels(x64):
  x, kernel = _case(32, 5, 3)
  for form in (planes.correlate, _native):
    assert form(x[:, :5], kernel, 2).shape == (2, 3, 2, 5)
  found, expected = (
    jax.grad(_energy(functools.partial(form, stride=2)), argnums=(0, 1))(
      x[:, :5], kernel
    )
    for form in (planes.correlate, _native)
  )
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
