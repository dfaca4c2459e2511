"""Elastic weight consolidation and gradient projection against m and n."""

import jax
import jax.numpy as jnp
import numpy as np

from common import methods, tree
from common import train_state as ts
from common.rules import descent, gpm, penalty
from samcl import reference_weights
from tests import parity_arrays, parity_network, parity_updates

close = parity_network.close


def _batch(arrays, items: slice) -> dict[str, jax.Array]:
  batch = parity_network.batch(arrays, items)
  return jax.tree.map(jnp.asarray, batch)


def _cases(arrays, items: range):
  return (_batch(arrays, slice(i, i + 1)) for i in items)


def _images_only(batch):
  """The released code takes the Fisher information of this part of the loss."""
  zeros, ones = jnp.zeros_like, jnp.ones_like
  return batch | {
    'fixed_mask': ones(batch['fixed_mask']),
    'moving_mask': ones(batch['moving_mask']),
    'fixed_label': zeros(batch['fixed_label']),
    'moving_label': zeros(batch['moving_label']),
    'landmark_weight': zeros(batch['landmark_weight']),
  }


def test_elastic_weight_consolidation(x64):
  arrays = parity_arrays.load('m_ewc')
  config = parity_arrays.config(arrays)
  tx = parity_updates.optimizer(config)
  loss = parity_network.loss(arrays, config)
  strength = penalty.Ewc(config['e_lambda'], config['gamma'])
  step = methods.get('ewc').make_step(loss, tx, methods.Settings(ewc=strength))
  consolidate = penalty.make_fisher_consolidation(
    descent.make_gradient(loss), gamma=config['gamma']
  )
  start = parity_network.params(arrays['params0'], config)
  state = ts.create_state(start, tx, rule=penalty.create_anchor(start))

  def moved():
    delta = jax.tree.map(jnp.subtract, state.params, start)
    return parity_network.flat(delta, config)

  def importance():
    return parity_network.flat(state.rule.importance, config)

  def leave(items, stage):
    cases = map(_images_only, _cases(arrays, items))
    return consolidate(state, cases, jax.random.key(0), stage)

  state, _ = step(state, _batch(arrays, slice(0, 2)), jax.random.key(0))
  close(moved(), arrays['delta_after_0'])
  state = leave(range(4), 0)
  close(importance(), arrays['fisher1'])
  close(importance().sum(), arrays['fisher1_sum'])
  for call in (1, 2):
    held = penalty.penalty(state.params, state.rule)
    expected = arrays['penalty_before_observe'][call - 1]
    np.testing.assert_allclose(held, expected, rtol=1e-6, atol=1e-30)
    items = slice(2 * call, 2 * call + 2)
    state, metrics = step(state, _batch(arrays, items), jax.random.key(call))
    close(metrics['loss/total'], arrays['registration_loss'][call - 1])
    close(moved(), arrays[f'delta_after_{call}'])
  close(penalty.penalty(state.params, state.rule), arrays['penalty_at_end'])
  state = leave(range(2, 6), 1)
  close(importance(), arrays['fisher2'])
  close(importance().sum(), arrays['fisher2_sum'])


def _matrices(grads, config) -> list[np.ndarray]:
  """Each kernel as theirs, (rest, first axis)."""
  flat = reference_weights.to_flat(grads, config['param_layout'])
  wanted, found = config['conv_weights'], {}
  for name, shape, offset in config['param_layout']:
    values = flat[offset : offset + int(np.prod(shape))]
    found[name] = values.reshape(shape[0], -1).T
  return [found[name] for name in wanted]


def _with_matrices(grads, matrices, config):
  """The inverse of `_matrices`; other parameters as they are."""
  flat = reference_weights.to_flat(grads, config['param_layout']).copy()
  by_name = dict(zip(config['conv_weights'], matrices, strict=True))
  for name, shape, offset in config['param_layout']:
    if name in by_name:
      flat[offset : offset + int(np.prod(shape))] = by_name[name].T.ravel()
  return reference_weights.from_flat(flat, config['param_layout'])


def _spanned(gradient, params, cases, config) -> list[np.ndarray]:
  """The matrices of all cases side by side."""
  found = [
    _matrices(gradient(params, case, jax.random.key(0))[0], config)
    for case in cases
  ]
  return [np.concatenate(layer, 1) for layer in zip(*found, strict=True)]


def _their_first_basis(matrix, threshold, eps):
  """Theirs leaves the direction that reaches the threshold out (ours: in)."""
  vectors, values, _ = np.linalg.svd(matrix, full_matrices=False)
  shares = values**2 / (np.sum(values**2) + eps)
  return vectors[:, : np.sum(np.cumsum(shares) < threshold)], values


def test_gradient_projection(x64):
  arrays = parity_arrays.load('n_gpm')
  config = parity_arrays.config(arrays)
  gradient = descent.make_gradient(parity_network.loss(arrays, config))
  params = parity_network.params(arrays['params0'], config)

  bases, thresholds = [], config['thresholds']
  matrices = _spanned(gradient, params, _cases(arrays, range(4)), config)
  for i, matrix in enumerate(matrices):
    basis, values = _their_first_basis(matrix, thresholds[0], config['svd_eps'])
    close(values, arrays[f'singular_values1_{i}'])
    assert basis.shape[1] == arrays['rank1'][i]
    bases.append(basis)
    probe = arrays[f'probe_{i}']
    close(probe - gpm.remove(probe, basis), arrays[f'probe_projected1_{i}'])
    ours = gpm.extend(basis[:, :0], matrix, thresholds[0])
    held = 1 - (gpm.remove(matrix, ours) ** 2).sum() / (matrix**2).sum()
    assert held >= thresholds[0] - 1e-12

  batch = _batch(arrays, slice(4, 6))
  grads, _ = gradient(params, batch, jax.random.key(0))
  close(parity_network.flat(grads, config), arrays['grad_raw'])
  free = [
    gpm.remove(g, basis)
    for g, basis in zip(_matrices(grads, config), bases, strict=True)
  ]
  projected = _with_matrices(grads, free, config)
  close(parity_network.flat(projected, config), arrays['grad_projected'])


def _as_ours(arrays, config, params) -> dict[str, jax.Array]:
  """Their first bases by our paths, rows in our order."""
  layout, named = config['param_layout'], config['conv_weights']
  starts = {offset: name for name, _, offset in layout}
  numbers = reference_weights.from_flat(
    np.arange(len(arrays['params0'])), layout
  )
  bases = gpm.create_bases(params, 0)
  for path, leaf in jax.tree_util.tree_leaves_with_path(numbers):
    name = starts[leaf.min()]
    if name in named:
      basis = arrays[f'basis1_{named.index(name)}']
      if basis.shape[1]:  # Those of transposed convolutions are empty.
        rows = leaf.reshape(len(basis), -1)[:, 0] - leaf.min()
        path = jax.tree_util.keystr(path, simple=True, separator='.')
        bases[path] = jnp.asarray(basis[rows])
  return bases


def test_the_direction_of_the_method_is_their_projected_gradient(x64):
  arrays = parity_arrays.load('n_gpm')
  config = parity_arrays.config(arrays)
  gradient = descent.make_gradient(parity_network.loss(arrays, config))
  params = parity_network.params(arrays['params0'], config)
  tx = parity_updates.optimizer(config)
  bases = _as_ours(arrays, config, params)
  assert sum(basis.size > 0 for basis in bases.values()) == 12
  state = ts.create_state(params, tx, rule=bases)
  batch = _batch(arrays, slice(4, 6))
  found, _ = gpm.orthogonal(gradient)(state, batch, jax.random.key(0))
  close(parity_network.flat(found, config), arrays['grad_projected'])


def test_growth_of_the_bases(x64):
  """The second site starts from what the update on it left."""
  arrays = parity_arrays.load('n_gpm')
  config = parity_arrays.config(arrays)
  gradient = descent.make_gradient(parity_network.loss(arrays, config))
  start = parity_network.params(arrays['params0'], config)
  # As theirs moved: a layer of full rank does so by rounding noise.
  moved = parity_network.params(arrays['delta_after_1'], config)
  matrices = _spanned(
    gradient, tree.add(start, moved), _cases(arrays, range(2, 6)), config
  )
  for i, matrix in enumerate(matrices):
    # Theirs adds an absolute number to the squared norm that is to be held.
    raised = 1 + config['svd_eps'] / np.sum(matrix**2)
    basis = gpm.extend(
      arrays[f'basis1_{i}'], matrix, raised * config['thresholds'][1]
    )
    assert basis.shape[1] == arrays['rank2'][i]
    probe = arrays[f'probe_{i}']
    close(probe - gpm.remove(probe, basis), arrays[f'probe_projected2_{i}'])
