"""2-D cross-correlation with gradients that are fast on CPU as well.

XLA finds the gradient of the kernel as one more convolution whose window is the
image, and with a stride both gradients as dilated convolutions, which matrix
products mostly outrun several times. The correlation of x with a kernel and
both its gradients are the three sides of one trilinear form,

    <y_bar, correlate(x, kernel)> = <image_gradient(y_bar, kernel), x>
                                  = <kernel_gradient(x, y_bar), kernel>,

so the gradients of each are the two others; as primitives that know so they can
be differentiated to any order, forward and backward.
"""

from collections.abc import Callable
import functools
import itertools

import jax
from jax.extend import core
from jax.interpreters import ad, batching, mlir
import jax.numpy as jnp

from common import fusion

# Channels from which matrix products find the kernel's gradient faster than a
# convolution whose window is the image, as measured.
_MANY_CHANNELS = 32


def correlate(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
  """Zero padding (k - 1) / 2: (n, y, z, c), (k, k, c, f) -> (n, y', z', f)."""
  k = kernel.shape[0]
  known = stride == 1 or (stride == 2 and not any(n % 2 for n in x.shape[1:3]))
  if k > 1 and known and jax.default_backend() == 'cpu':
    return _correlation.bind(x, kernel, size=k, stride=stride)
  return _correlate(x, kernel, size=k, stride=stride)


def _correlate(
  x: jax.Array, kernel: jax.Array, *, size: int, stride: int
) -> jax.Array:
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    [(size // 2, size // 2)] * 2,
    dimension_numbers=('NYZC', 'YZIO', 'NYZC'),
  )


def _of_image(
  y_bar: jax.Array, kernel: jax.Array, *, size: int, stride: int
) -> jax.Array:
  """Gradient of the image; with a stride it is one matrix product."""
  if stride == 1:
    kernel = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    return _correlate(y_bar, kernel, size=size, stride=1)
  shifted = _shifted_back(y_bar, size)
  found = shifted.reshape(-1, shifted.shape[-1]) @ _to_blocks(kernel)
  return _from_blocks(found.reshape(*y_bar.shape[:3], -1))


def _of_kernel(
  x: jax.Array, y_bar: jax.Array, *, size: int, stride: int
) -> jax.Array:
  """Gradient of the kernel, as it is fastest."""
  channels, features = x.shape[-1], y_bar.shape[-1]
  if stride == 1 and channels < _MANY_CHANNELS and features % 8 == 0:
    return _of_window(x, y_bar, size)
  if stride == 1:
    return _of_rows(x, y_bar, size)
  blocks = _in_blocks(x)
  shifted = _shifted_back(y_bar, size)
  products = shifted.reshape(-1, shifted.shape[-1]).T @ blocks.reshape(
    -1, blocks.shape[-1]
  )
  return _transpose(_to_blocks, size, x, y_bar)(products)


def _of_window(x: jax.Array, y_bar: jax.Array, size: int) -> jax.Array:
  """Gradient of the kernel as XLA finds it.

  XLA transposes both operands here. Without the fence it would fuse that into
  whatever computes them, which would then write in the transposed order.
  """
  x, y_bar = fusion.fence(x), fusion.fence(y_bar)
  correlate_x = functools.partial(_correlate, x, size=size, stride=1)
  return _transpose(correlate_x, size, x, y_bar)(y_bar)


def _transpose(
  linear: Callable[[jax.Array], jax.Array],
  size: int,
  x: jax.Array,
  y_bar: jax.Array,
) -> Callable[[jax.Array], jax.Array]:
  """The transpose of a linear function of the kernel from x to y_bar."""
  shape = size, size, x.shape[-1], y_bar.shape[-1]
  transpose = jax.linear_transpose(linear, jax.ShapeDtypeStruct(shape, x.dtype))
  return lambda bar: transpose(bar)[0]


def _of_rows(x: jax.Array, y_bar: jax.Array, size: int) -> jax.Array:
  """Gradient of the kernel, a matrix product for each of its rows.

  sum_p x(p + i) y_bar(p) for every tap i: what `x` is shifted by along the
  first axis, `y_bar` is shifted back along the second, all taps side by side.
  """
  half, (_, sides, width, channels) = size // 2, x.shape
  x = jnp.pad(x, ((0, 0), (half, half), (0, 0), (0, 0)))
  padded = jnp.pad(y_bar, ((0, 0), (0, 0), (half, half), (0, 0)))
  taps = jnp.concatenate(
    [padded[:, :, i : i + width] for i in reversed(range(size))], axis=-1
  ).reshape(-1, size * y_bar.shape[-1])
  rows = [
    x[:, i : i + sides].reshape(-1, channels).T @ taps for i in range(size)
  ]
  kernel_bar = jnp.stack(rows).reshape(size, channels, size, -1)
  return jnp.swapaxes(kernel_bar, 1, 2)


# A correlation with stride 2 is one without on blocks of 2 x 2 pixels, laid
# side by side in channels. Its taps are those of the kernel and a row and a
# column of zeros, so that they fill blocks.


def _in_blocks(x: jax.Array) -> jax.Array:
  """(n, 2 y, 2 z, c) -> (n, y, z, 4 c)."""
  n, y, z, c = x.shape
  rows = x.reshape(n, y // 2, 2, z // 2, 2 * c)
  return jnp.concatenate([rows[:, :, 0], rows[:, :, 1]], axis=-1)


def _from_blocks(x: jax.Array) -> jax.Array:
  n, y, z, c = x.shape
  return jnp.stack(jnp.split(x, 2, axis=-1), axis=2).reshape(
    n, 2 * y, 2 * z, c // 4
  )


def _offset(size: int) -> int:
  """Zeros before the first tap, so that it begins a block."""
  return size // 2 % 2


def _shifted_back(y_bar: jax.Array, size: int) -> jax.Array:
  """What every block of taps has touched, side by side in channels."""
  first = -(size // 2 + _offset(size)) // 2
  shifts = range(first, first + (size + 1) // 2)
  zero = jnp.zeros((), y_bar.dtype)
  return jnp.concatenate(
    [
      jax.lax.pad(y_bar, zero, [(0, 0, 0), (a, -a, 0), (b, -b, 0), (0, 0, 0)])
      for a, b in itertools.product(shifts, repeat=2)
    ],
    axis=-1,
  )


def _to_blocks(kernel: jax.Array) -> jax.Array:
  """(k, k, c, f) -> (blocks f, 4 c)."""
  size, _, channels, features = kernel.shape
  widths = (_offset(size), 1 - _offset(size))
  kernel = jnp.pad(kernel, (widths, widths, (0, 0), (0, 0)))
  num = (size + 1) // 2
  kernel = kernel.reshape(num, 2, num, 2, channels, features)
  return kernel.transpose(0, 2, 5, 1, 3, 4).reshape(-1, 4 * channels)


def _bilinear(
  name: str,
  function: Callable[..., jax.Array],
  to_first: Callable[..., jax.Array],
  to_second: Callable[..., jax.Array],
) -> core.Primitive:
  """A primitive that is linear in each of its two arguments.

  `to_first(cotangent, second)` and `to_second(cotangent, first)` are its
  transposes.
  """
  primitive = core.Primitive(name)

  def shape(*args, **sizes):
    result = jax.eval_shape(functools.partial(function, **sizes), *args)
    return jax.core.ShapedArray(result.shape, result.dtype)

  primitive.def_impl(jax.jit(function, static_argnames=('size', 'stride')))
  primitive.def_abstract_eval(shape)
  mlir.register_lowering(
    primitive, mlir.lower_fun(function, multiple_results=False)
  )
  ad.defbilinear(
    primitive,
    lambda bar, _, second, **sizes: to_first(bar, second, **sizes),
    lambda bar, first, _, **sizes: to_second(bar, first, **sizes),
  )

  def batched(args, axes, **sizes):
    mapped = jax.vmap(functools.partial(function, **sizes), in_axes=axes)
    return mapped(*args), 0

  batching.primitive_batchers[primitive] = batched
  return primitive


_correlation = _bilinear(
  'correlation',
  _correlate,
  lambda bar, kernel, **sizes: _image_gradient.bind(bar, kernel, **sizes),
  lambda bar, x, **sizes: _kernel_gradient.bind(x, bar, **sizes),
)
_image_gradient = _bilinear(
  'correlation_image_gradient',
  _of_image,
  lambda bar, kernel, **sizes: _correlation.bind(bar, kernel, **sizes),
  lambda bar, y_bar, **sizes: _kernel_gradient.bind(bar, y_bar, **sizes),
)
_kernel_gradient = _bilinear(
  'correlation_kernel_gradient',
  _of_kernel,
  lambda bar, y_bar, **sizes: _image_gradient.bind(y_bar, bar, **sizes),
  lambda bar, x, **sizes: _correlation.bind(x, bar, **sizes),
)
