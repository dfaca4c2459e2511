"""The diffusion process: schedule, training loss and samplers.

    x_t = alpha(t) x_0 + sigma(t) eps,  alpha^2 + sigma^2 = 1,  t in [0, 1]

A network is seen as `apply_fn(params, x, t, site)` with t and site (b,). Ho et
al., "Denoising diffusion probabilistic models", NeurIPS 2020 (DDPM); Nichol &
Dhariwal, "Improved denoising diffusion probabilistic models", ICML 2021;
Salimans & Ho, "Progressive distillation for fast sampling of diffusion
models", ICLR 2022; Song et al., "Denoising diffusion implicit models", ICLR
2021 (DDIM); Ho & Salimans, "Classifier-free diffusion guidance", 2022.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common import train_state as ts

ApplyFn = Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]
# (x, t) -> prediction, of given parameters and sites.
Predict = Callable[[jax.Array, jax.Array], jax.Array]
PREDICTIONS = ('v', 'eps')

_OFFSET = 0.008  # s of Nichol & Dhariwal, equation 17
_LEAST_ALPHA = 1e-3


def alpha_sigma(t: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Cosine schedule, alpha = cos phi(t) and sigma = sin phi(t).

      phi = pi / 2 (t + s) / (1 + s)        (Nichol & Dhariwal, equation 17)

  Two deviations keep both ends regular: alpha is not divided by alpha(0), so
  that sigma(0) = 0.012, and phi is stretched to end where alpha = 0.001.
  """
  first = math.pi / 2 * _OFFSET / (1 + _OFFSET)
  phi = first + t * (math.acos(_LEAST_ALPHA) - first)
  return jnp.cos(phi), jnp.sin(phi)


def to_x0_eps(
  prediction: str, x: jax.Array, y: jax.Array, t: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """What the network's output y at x_t says of x_0 and eps.

  v = alpha eps - sigma x_0             (Salimans & Ho, appendix D)
  x_0 = alpha x - sigma v, eps = sigma x + alpha v
  """
  alpha, sigma = _schedule(t, x)
  if prediction == 'eps':
    return (x - sigma * y) / alpha, y
  return alpha * x - sigma * y, sigma * x + alpha * y


def from_x0_eps(
  prediction: str, x0: jax.Array, eps: jax.Array, t: jax.Array
) -> jax.Array:
  """What the network is to predict, the inverse of `to_x0_eps`."""
  if prediction == 'eps':
    return eps
  alpha, sigma = _schedule(t, x0)
  return alpha * eps - sigma * x0


def diffuse(x0: jax.Array, eps: jax.Array, t: jax.Array) -> jax.Array:
  """x_t of (b, ...) samples at times (b,)."""
  alpha, sigma = _schedule(t, x0)
  return alpha * x0 + sigma * eps


def make_loss(
  apply_fn: ApplyFn,
  *,
  null_site: int,
  prediction: str = 'v',
  drop_prompt: float = 0.1,
) -> ts.LossFn:
  """Mean squared error of the prediction, averaged over everything.

  Batches hold 'x', (b, *s, c) in [-1, 1], and 'site', (b,) integers. Times are
  stratified over the batch, in random order.

  Args:
    apply_fn: the network.
    null_site: the site that stands for none.
    prediction: 'v' or 'eps'.
    drop_prompt: probability with which a sample's site is replaced by
      `null_site` (Ho & Salimans, algorithm 1); 0 where the trunk is frozen,
      which cannot learn from such samples.
  """
  _check_prediction(prediction)

  def loss(params, batch: ts.Batch, key: jax.Array):
    x0, site = batch['x'], batch['site']
    of_time, of_noise, of_drop = jax.random.split(key, 3)
    t = stratified_times(of_time, x0.shape[0])
    eps = jax.random.normal(of_noise, x0.shape, x0.dtype)
    dropped = jax.random.bernoulli(of_drop, drop_prompt, site.shape)
    site = jnp.where(dropped, null_site, site)
    y = apply_fn(params, diffuse(x0, eps, t), t, site)
    total = jnp.mean((y - from_x0_eps(prediction, x0, eps, t)) ** 2)
    return total, {'loss/total': total}

  return loss


def stratified_times(key: jax.Array, num: int) -> jax.Array:
  """(num,) times, one in each of `num` equal intervals, shuffled.

  Each is uniform on [0, 1]; their mean varies less (Kingma et al., "Variational
  diffusion models", NeurIPS 2021, appendix I.1, with a draw per interval).
  """
  of_order, of_place = jax.random.split(key)
  order = jax.random.permutation(of_order, num)
  return (order + jax.random.uniform(of_place, (num,))) / num


@dataclasses.dataclass(frozen=True)
class Sampler:
  """Samples on any falling times (Song et al., equations 12 and 16).

      x_s = alpha_s x_0 + sqrt(sigma_s^2 - tau^2) eps + tau z
      tau = eta (sigma_s / sigma_t) sqrt(1 - alpha_t^2 / alpha_s^2)

  The last step returns x_0 itself. It is one scan, compiled once for each
  shape, number of samples, of steps and chunk, and for guidance 1 and other
  than 1; equal samplers share what is compiled.

  Attributes:
    apply_fn: the network.
    null_site: the site that stands for none.
    prediction: what the network predicts, 'v' or 'eps'.
    eta: 0 is DDIM (section 4.1), deterministic given the starting noise; 1 is
      the ancestral sampling of Ho et al., equation 7, whose noise has the lower
      of their two variances, that of the posterior (section 3.2).
    clip: brings every predicted x_0 into [-1, 1].
  """

  apply_fn: ApplyFn
  null_site: int
  prediction: str = 'v'
  eta: float = 0.0
  clip: bool = True

  def __post_init__(self) -> None:
    _check_prediction(self.prediction)

  def __call__(
    self,
    params: Any,
    key: jax.Array,
    sites: jax.Array,
    shape: Sequence[int],
    *,
    num_steps: int = 50,
    guidance: float = 1.0,
    chunk: int | None = None,
    times: jax.Array | None = None,
  ) -> jax.Array:
    """One sample for each of (n,) sites, (n, *shape).

    Sample i depends on its site, on `key` and on i, not on n.

    Args:
      params: of the network.
      key: sample i draws from `fold_in(key, i)`.
      sites: (n,) integers.
      shape: of one sample, channels last.
      num_steps: evaluations of the network for each sample.
      guidance: w in null + w (conditional - null); 1 is conditional only and
        costs one evaluation a step, any other costs two.
      chunk: samples in memory at once; None for all.
      times: (num_steps,) falling within (0, 1], for even ones that start at 1.
    """
    if times is None:
      times = np.linspace(1, 0, num_steps, endpoint=False, dtype=np.float32)
    weight = None if guidance == 1 else np.float32(guidance)
    chunk = chunk or len(sites)
    return self._run(
      params, key, sites, times, weight, shape=tuple(shape), chunk=chunk
    )

  @functools.partial(jax.jit, static_argnames=('self', 'shape', 'chunk'))
  def _run(
    self,
    params: Any,
    key: jax.Array,
    sites: jax.Array,
    times: jax.Array,
    weight: jax.Array | None,
    *,
    shape: tuple[int, ...],
    chunk: int,
  ) -> jax.Array:
    """Chunks one after another, the last one filled up."""
    num = sites.shape[0]
    num_chunks = -(-num // chunk)
    sites = jnp.pad(sites, (0, num_chunks * chunk - num), mode='edge')
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(
      jnp.arange(num_chunks * chunk)
    )

    def one_chunk(args):
      predict = functools.partial(self._predict, params, weight, args[1])
      return self._scan(predict, args[0], shape, times)

    items = keys.reshape(num_chunks, chunk), sites.reshape(num_chunks, chunk)
    return jax.lax.map(one_chunk, items).reshape(-1, *shape)[:num]

  def _scan(
    self,
    predict: Predict,
    keys: jax.Array,
    shape: tuple[int, ...],
    times: jax.Array,
  ) -> jax.Array:
    alphas, sigmas = alpha_sigma(times)
    # After the last time come the data themselves.
    ends = jnp.append(alphas[1:], 1), jnp.append(sigmas[1:], 0)

    def body(x, args):
      number, time, *end = args
      x0, eps = self._x0_eps(predict, x, time)
      noise = _noise(keys, number, shape) if self.eta else None
      return self._step(x0, eps, noise, alpha_sigma(time), end), None

    numbers = jnp.arange(1, times.shape[0] + 1)
    start = _noise(keys, 0, shape)
    return jax.lax.scan(body, start, (numbers, times, *ends))[0]

  def _predict(
    self,
    params: Any,
    weight: jax.Array | None,
    sites: jax.Array,
    x: jax.Array,
    t: jax.Array,
  ) -> jax.Array:
    """null + w (conditional - null)   (Ho & Salimans, equation 6, w + 1)."""
    if weight is None:
      return self.apply_fn(params, x, t, sites)
    null = jnp.full_like(sites, self.null_site)
    twice = (jnp.concatenate(pair) for pair in ((x, x), (t, t), (sites, null)))
    conditional, null = jnp.split(self.apply_fn(params, *twice), 2)
    return null + weight * (conditional - null)

  def _x0_eps(
    self, predict: Predict, x: jax.Array, time: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    t = jnp.broadcast_to(time, x.shape[:1])
    x0, eps = to_x0_eps(self.prediction, x, predict(x, t), t)
    if not self.clip:
      return x0, eps
    alpha, sigma = alpha_sigma(time)
    x0 = jnp.clip(x0, -1, 1)
    return x0, (x - alpha * x0) / sigma

  def _step(
    self,
    x0: jax.Array,
    eps: jax.Array,
    noise: jax.Array | None,
    now: tuple[jax.Array, jax.Array],
    end: tuple[jax.Array, jax.Array],
  ) -> jax.Array:
    """From (alpha_t, sigma_t) = `now` to (alpha_s, sigma_s) = `end`."""
    alpha, sigma = end
    if noise is None:
      return alpha * x0 + sigma * eps
    ratio = jnp.maximum(1 - (now[0] / alpha) ** 2, 0)
    tau = self.eta * sigma / now[1] * jnp.sqrt(ratio)
    along = jnp.sqrt(jnp.maximum(sigma**2 - tau**2, 0))
    return alpha * x0 + along * eps + tau * noise


def _noise(
  keys: jax.Array, number: int | jax.Array, shape: tuple[int, ...]
) -> jax.Array:
  """The noise of step `number` for samples of (b,) keys, (b, *shape)."""

  def draw(key: jax.Array) -> jax.Array:
    return jax.random.normal(jax.random.fold_in(key, number), shape)

  return jax.vmap(draw)(keys)


def ema(old: Any, new: Any, decay: float, step: int | jax.Array) -> Any:
  """old + (1 - d) (new - old), d = min(decay, (1 + step) / (10 + step)).

  The warm-up lets go of the initial weights (as TensorFlow's
  `ExponentialMovingAverage` with `num_updates`). What is equal in both stays
  so exactly: start a stage with a frozen trunk from parameters that are a copy
  of their average, and the average of the trunk stays frozen as well.
  """
  rate = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
  return jax.tree.map(lambda a, b: a + rate * (b - a), old, new)


def _schedule(t: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """alpha and sigma of (b,) times, to be multiplied with (b, ...)."""
  t = t.reshape((-1,) + (1,) * (x.ndim - 1))
  return alpha_sigma(t)


def _check_prediction(prediction: str) -> None:
  if prediction not in PREDICTIONS:
    raise ValueError(
      f'prediction: found {prediction!r}, allowed: {", ".join(PREDICTIONS)}'
    )
