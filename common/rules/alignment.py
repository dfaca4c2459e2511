"""Parallel gradient alignment: gradients of two batches asked to agree.

SMG-Learning, arXiv 2406.18037. For batches A and B the objective is

    J(A, B) = L(A) + L(B) - alpha <g_A, g_B>,

and since L(B; theta - alpha g_A) = L(B) - alpha <g_A, g_B> + O(alpha^2), the
same end is reached by judging B after a virtual step on A: the meta-objective.
"""

from collections.abc import Callable
import dataclasses
import functools

import jax
import jax.numpy as jnp

from common import train_state as ts
from common import tree
from common.rules import agreement

# (params, A, B, key) -> gradient of J and metrics.
PairGradFn = Callable[
  [ts.Params, ts.Batch, ts.Batch, jax.Array], tuple[ts.Params, ts.Metrics]
]

ORDERS = ('forward', 'random', 'symmetric')


@dataclasses.dataclass(frozen=True)
class Strength:
  """How far and by which estimator two batches are aligned.

  Attributes:
    estimator: a name in `ESTIMATORS`.
    alpha: length of the virtual step in units of the gradient, or in units of
      the parameters with `fixed_length`; 0 is descent on both batches.
    fixed_length: the virtual step is alpha g / ||g||, none where g is 0.
    normalize: 'exact' aligns the cosine instead of the inner product, which is
      unbounded: without it the exact objective is known to diverge.
  """

  estimator: str = 'first_order'
  alpha: float = 0.1
  fixed_length: bool = False
  normalize: bool = False


def make_aligned(
  grad_fn: ts.GradFn, strength: Strength, *, order: str = 'forward'
) -> PairGradFn:
  """The gradient of J(A, B) by one of the estimators.

      exact        g_A + g_B - alpha (H_A g_B + H_B g_A)
      meta         g_A + (I - alpha H_A) g_B(theta - alpha g_A)
      first_order  g_A + g_B(theta - alpha g_A)

  Args:
    grad_fn: of the loss of one batch.
    strength: of the alignment.
    order: 'forward' steps on A and judges on B. One order of the first-order
      estimator has -alpha H_B g_A, half of the gradient of the inner product;
      'random' draws the order, so it has half of either on average (both
      batches then have one shape); 'symmetric' takes both orders: for
      first_order g_A(theta - alpha g_B) + g_B(theta - alpha g_A), which is
      `exact` up to alpha^2, for meta their mean. `exact` has no order.

  Metrics are those of A, and those of B as 'other/...'.

  Raises:
    ValueError: an unknown estimator or order, alpha below 0, or a fixed length
      or normalisation that the estimator does not have.
  """
  _check(strength, order)
  if strength.alpha == 0:
    return functools.partial(_both, grad_fn)
  aligned = ESTIMATORS[strength.estimator](grad_fn, strength, order)
  return _in_random_order(aligned) if order == 'random' else aligned


def parallel(
  orientational: PairGradFn, arbitrary: PairGradFn, weights: tuple[float, float]
) -> Callable[..., tuple[ts.Params, ts.Metrics]]:
  """Weighted sum of two alignments at the same parameters.

  The result maps (params, (A, B), (A', B'), key) to a gradient; metrics of the
  arbitrary alignment are named 'arbitrary/...'.
  """
  mix = jax.jit(
    lambda a, b: jax.tree.map(
      lambda x, y: weights[0] * x + weights[1] * y, a, b
    )
  )

  def gradient(params, ordered, free, key):
    first, metrics = orientational(params, *ordered, jax.random.fold_in(key, 0))
    second, more = arbitrary(params, *free, jax.random.fold_in(key, 1))
    more = {f'arbitrary/{name}': value for name, value in more.items()}
    return mix(first, second), metrics | more

  return gradient


def _first_order(
  grad_fn: ts.GradFn, strength: Strength, order: str
) -> PairGradFn:
  ahead = _make_ahead(strength)

  def forward(params, a, b, key):
    key_a, key_b = agreement.keys(key)
    g_a, of_a = grad_fn(params, a, key_a)
    g_b, of_b = grad_fn(ahead(params, g_a), b, key_b)
    return _add(g_a, g_b), _metrics(of_a, of_b)

  def symmetric(params, a, b, key):
    key_a, key_b = agreement.keys(key)
    (g_a, of_a), (g_b, of_b) = agreement.gradients(grad_fn, params, a, b, key)
    after_b, _ = grad_fn(ahead(params, g_b), a, key_a)
    after_a, _ = grad_fn(ahead(params, g_a), b, key_b)
    return _add(after_b, after_a), _metrics(of_a, of_b)

  return symmetric if order == 'symmetric' else forward


def _meta(grad_fn: ts.GradFn, strength: Strength, order: str) -> PairGradFn:
  ahead = _make_ahead(strength)

  @jax.jit
  def pull_back(params, g, u):
    """u (d ahead / d g): the virtual step, transposed."""
    return jax.vjp(lambda g: ahead(params, g), g)[1](u)[0]

  def ordered(params, a, b, key_a, key_b):
    g_a, of_a = grad_fn(params, a, key_a)
    u, of_b = grad_fn(ahead(params, g_a), b, key_b)
    w = pull_back(params, g_a, u)
    _, curved = _hessian_product(grad_fn, params, a, key_a, w)
    return _add(_add(g_a, u), curved), _metrics(of_a, of_b)

  def forward(params, a, b, key):
    return ordered(params, a, b, *agreement.keys(key))

  def symmetric(params, a, b, key):
    key_a, key_b = agreement.keys(key)
    first, metrics = ordered(params, a, b, key_a, key_b)
    second, _ = ordered(params, b, a, key_b, key_a)
    return jax.tree.map(lambda x, y: (x + y) / 2, first, second), metrics

  return symmetric if order == 'symmetric' else forward


def _exact(grad_fn: ts.GradFn, strength: Strength, order: str) -> PairGradFn:
  del order
  tangents = jax.jit(functools.partial(_tangents, normalize=strength.normalize))

  @jax.jit
  def combine(g_a, g_b, *curved):
    total = _add(g_a, g_b)
    step = _add(*curved)
    return jax.tree.map(lambda g, h: g - strength.alpha * h, total, step)

  def gradient(params, a, b, key):
    key_a, key_b = agreement.keys(key)
    (g_a, of_a), (g_b, of_b) = agreement.gradients(grad_fn, params, a, b, key)
    for_a, for_b = tangents(g_a, g_b)
    _, of_h_a = _hessian_product(grad_fn, params, a, key_a, for_a)
    _, of_h_b = _hessian_product(grad_fn, params, b, key_b, for_b)
    return combine(g_a, g_b, of_h_a, of_h_b), _metrics(of_a, of_b)

  return gradient


ESTIMATORS = {'exact': _exact, 'meta': _meta, 'first_order': _first_order}


def _tangents(
  g_a: ts.Params, g_b: ts.Params, *, normalize: bool
) -> tuple[ts.Params, ts.Params]:
  """What the Hessians of A and of B are multiplied with.

  For <a, b>: b and a. For the cosine c, with unit vectors a', b':
  (b' - c a') / ||a|| and (a' - c b') / ||b||; 0 where a gradient is 0.
  """
  if not normalize:
    return g_b, g_a

  def agreement(a, b):
    lengths = tree.norm(a) * tree.norm(b)
    positive = lengths > 0
    return jnp.where(
      positive, tree.dot(a, b) / jnp.where(positive, lengths, 1), 0
    )

  return jax.grad(agreement, argnums=(0, 1))(g_a, g_b)


def _make_ahead(
  strength: Strength,
) -> Callable[[ts.Params, ts.Params], ts.Params]:
  """(params, g) -> params - alpha g, or - alpha g / ||g||."""

  @jax.jit
  def ahead(params, g):
    scale = strength.alpha
    if strength.fixed_length:
      length = tree.norm(g)
      positive = length > 0
      scale = jnp.where(positive, scale / jnp.where(positive, length, 1), 0)
    return jax.tree.map(lambda p, x: p - scale * x, params, g)

  return ahead


def _hessian_product(
  grad_fn: ts.GradFn,
  params: ts.Params,
  batch: ts.Batch,
  key: jax.Array,
  vector: ts.Params,
) -> tuple[ts.Params, ts.Params]:
  """(g, H vector) by forward over reverse."""
  return jax.jvp(lambda p: grad_fn(p, batch, key)[0], (params,), (vector,))


def _both(
  grad_fn: ts.GradFn,
  params: ts.Params,
  a: ts.Batch,
  b: ts.Batch,
  key: jax.Array,
) -> tuple[ts.Params, ts.Metrics]:
  """Descent on both batches."""
  (g_a, of_a), (g_b, of_b) = agreement.gradients(grad_fn, params, a, b, key)
  return _add(g_a, g_b), _metrics(of_a, of_b)


def _in_random_order(aligned: PairGradFn) -> PairGradFn:
  @jax.jit
  def shuffle(a, b, key):
    swap = jax.random.bernoulli(key)
    return (
      jax.tree.map(lambda x, y: jnp.where(swap, y, x), a, b),
      jax.tree.map(lambda x, y: jnp.where(swap, x, y), a, b),
    )

  def gradient(params, a, b, key):
    coin, key = jax.random.split(key)
    return aligned(params, *shuffle(a, b, coin), key)

  return gradient


_add = jax.jit(tree.add)


def _metrics(of_a: ts.Metrics, of_b: ts.Metrics) -> ts.Metrics:
  return of_a | {f'other/{name}': value for name, value in of_b.items()}


def _check(strength: Strength, order: str) -> None:
  for field, found, allowed in (
    ('estimator', strength.estimator, tuple(ESTIMATORS)),
    ('order', order, ORDERS),
  ):
    if found not in allowed:
      raise ValueError(
        f'alignment.{field}: found {found!r}, allowed: {", ".join(allowed)}'
      )
  if strength.alpha < 0:
    raise ValueError(
      f'alignment.alpha: found {strength.alpha}, must be at least 0'
    )
  exact = strength.estimator == 'exact'
  if strength.normalize and not exact:
    raise ValueError(
      f'alignment.normalize: found True for {strength.estimator}, allowed for '
      'exact; fixed_length bounds the others'
    )
  if strength.fixed_length and exact:
    raise ValueError(
      'alignment.fixed_length: found True for exact, which takes no step; '
      'normalize bounds it'
    )
