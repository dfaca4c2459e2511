"""Descent orthogonal to what gradients of past sites span.

    G - U U^T G for every kernel, U a basis of their gradients (Saha et al.,
    "Gradient projection memory", ICLR 2021, has a basis of the inputs of every
    layer; gradients lie in their span and are there for any network: so the
    released code of SAMCL)

Adam scales a gradient element by element, so its step leaves the directions
that the projection left: the step is projected as well. The networks of the
paper have no offsets, and keep their normalisation as the first task left it;
here an offset or scale counts as the kernel of one input that never varies,
which comes to the same.
"""

from collections.abc import Iterable, Mapping
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg

from common import execution
from common import train_state as ts


@dataclasses.dataclass(frozen=True)
class Gpm:
  """How much of the gradients of a site is kept free for it.

  Attributes:
    threshold: share of their squared norm that the basis holds after the first
      site; 0 is plain descent.
    growth: added to the threshold at every later site.
  """

  threshold: float = 0.975
  growth: float = 0.005

  def __post_init__(self):
    if not 0 <= self.threshold <= 1:
      raise ValueError(
        f'gpm.threshold: found {self.threshold}, must be in [0, 1]'
      )
    if self.growth < 0:
      raise ValueError(f'gpm.growth: found {self.growth}, must be >= 0')


# Path of a kernel -> (inputs, most that can be held), columns behind those of
# the basis zero.
Bases = Mapping[str, jax.Array]


def create_bases(params: ts.Params, num_columns: int) -> Bases:
  """Empty bases for all kernels, outputs on their last axis.

  Args:
    params: of the network.
    num_columns: gradients per output that will be met at all sites together;
      no basis can need more.
  """
  bases = {}
  for name, kernel in _kernels(params).items():
    inputs, outputs = kernel.size // kernel.shape[-1], kernel.shape[-1]
    held = min(inputs, num_columns * outputs)
    bases[name] = jnp.zeros((inputs, held), kernel.dtype)
  return bases


def orthogonal(grad_fn: ts.GradFn) -> ts.DirectionFn:
  """The gradient of the batch, without its part in the bases."""

  @execution.piece
  def project(grads, bases):
    return jax.tree.map(jnp.subtract, grads, _held(grads, bases))

  def direction(state, batch, key):
    grads, metrics = grad_fn(state.params, batch, key)
    return project(grads, state.rule), metrics

  return direction


def confine(step: ts.StepFn) -> ts.StepFn:
  """What a step moves, without its part in the bases."""

  @execution.piece
  def project(start, end, bases):
    moved = jax.tree.map(jnp.subtract, end, start)
    return jax.tree.map(jnp.subtract, end, _held(moved, bases))

  def confined(state, batch, key):
    start, bases = state.params, state.rule
    state, metrics = step(state, batch, key)
    return state.replace(params=project(start, state.params, bases)), metrics

  return confined


def _held(vectors: ts.Params, bases: Bases) -> ts.Params:
  """Of what is laid out like the parameters, the part in the bases."""

  def held(path, leaf):
    basis = bases[_name(path)]
    return inside(leaf.reshape(len(basis), -1), basis).reshape(leaf.shape)

  return jax.tree_util.tree_map_with_path(held, vectors)


def make_consolidation(grad_fn: ts.GradFn, strength: Gpm) -> ts.ConsolidateFn:
  """Grows the bases by what the gradients of a site's cases span."""

  def consolidate(state, cases: Iterable[ts.Batch], key, stage):
    found: dict[str, list[np.ndarray]] = {name: [] for name in state.rule}
    for number, case in enumerate(cases):
      grads, _ = grad_fn(state.params, case, jax.random.fold_in(key, number))
      for name, grad in _kernels(grads).items():
        found[name].append(np.asarray(grad).reshape(-1, grad.shape[-1]))
    threshold = min(1.0, strength.threshold + strength.growth * stage)
    grown = {}
    for name, held in state.rule.items():
      basis = np.asarray(held)
      filled = basis[:, np.any(basis != 0, axis=0)]
      basis = extend(filled, np.concatenate(found[name], 1), threshold)
      room = held.shape[1] - basis.shape[1]
      grown[name] = jnp.asarray(np.pad(basis, ((0, 0), (0, room))))
    return state.replace(rule=grown)

  return consolidate


def inside(matrix: jax.Array, basis: jax.Array) -> jax.Array:
  """U U^T M, (inputs, n) and (inputs, k) with orthonormal columns."""
  return basis @ (basis.T @ matrix)


def remove(matrix: jax.Array, basis: jax.Array) -> jax.Array:
  """M - U U^T M."""
  return matrix - inside(matrix, basis)


def extend(
  basis: np.ndarray, matrix: np.ndarray, threshold: float
) -> np.ndarray:
  """Adds as few directions as hold the wanted share of a matrix's square.

  Args:
    basis: (inputs, k), orthonormal columns; k can be 0.
    matrix: (inputs, n).
    threshold: share of the squared norm that the new basis holds of it.

  Returns:
    (inputs, k + r): the basis and the first r left singular vectors of what of
    the matrix lies outside of it.
  """
  exact = matrix.astype(np.float64)
  total = np.sum(exact**2)
  if total == 0:
    return basis
  # A basis that is orthonormal but for its rounding would leave some of itself.
  rest = remove(exact, np.linalg.qr(basis.astype(np.float64))[0])
  # The other driver, divide and conquer, gave up on the gradients of a run.
  vectors, values, _ = linalg.svd(
    rest, full_matrices=False, lapack_driver='gesvd'
  )
  shares = values**2 / total
  held = 1 - np.sum(shares) + np.concatenate([[0], np.cumsum(shares)])
  held = np.clip(held, 0, 1)  # Beyond is rounding, at a threshold of 0 a lot.
  # Rounding is no direction.
  rounding = max(rest.shape) * np.finfo(matrix.dtype).eps * np.sqrt(total)
  there = np.sum(values > rounding)
  enough = np.flatnonzero(held >= threshold)
  num = min([there, *enough[:1]])
  found = vectors[:, :num].astype(matrix.dtype)
  return np.concatenate([basis, found], axis=1)


def _kernels(params: ts.Params) -> dict[str, jax.Array]:
  """By path; a leaf of one axis is a kernel of one input."""
  leaves = jax.tree_util.tree_leaves_with_path(params)
  return {_name(path): leaf for path, leaf in leaves}


def _name(path: jax.tree_util.KeyPath) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='.')
