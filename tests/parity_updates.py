"""Network, loss and updates against arrays h to l."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import memory as memory_lib
from common import methods, optim, spatial, tree
from common import train_state as ts
from common.rules import descent, sharpness
from samcl import losses, transform
from tests import parity_arrays, parity_network

close = parity_network.close
first, last = parity_arrays.channels_first, parity_arrays.channels_last
TERMS = {
  'ncc': 'ncc',
  'dice': 'dice',
  'tre': 'landmark',
  'bending': 'bending',
  'membrane': 'membrane',
  'total': 'total',
}


@pytest.mark.parametrize('name', ['h_i_net_L2', 'h_i_net_L3'])
def test_network_loss_and_gradient(x64, name):
  arrays = parity_arrays.load(name)
  config = parity_arrays.config(arrays)
  batch = parity_network.batch(arrays)
  params = parity_network.params(parity_network.stored_params(arrays), config)
  net = parity_network.network(config)
  velocity, found = jax.jit(
    functools.partial(net.apply, mutable='intermediates')
  )({'params': params}, losses.network_inputs(batch))
  close(first(velocity), arrays['vel'])
  skips = found['intermediates']['skips'][0]
  deepest = found['intermediates'][f'encoder_{config["n_levels"] - 1}'][0]
  for i, expected in enumerate((*skips, deepest)):
    if f'encoder_out_{i}' in arrays:
      close(first(expected), arrays[f'encoder_out_{i}'])
  deformation = jax.jit(transform.SYMMETRIC.deform)(velocity, batch)
  close(first(deformation.displacement), arrays['disp'])
  close(deformation.mask[:, None].astype(np.uint8), arrays['mask'])
  _check_warped(arrays, batch, deformation)
  loss = jax.jit(
    jax.value_and_grad(parity_network.loss(arrays, config), has_aux=True)
  )
  (_, metrics), grads = loss(params, batch, None)
  for theirs, ours in TERMS.items():
    close(metrics[f'loss/{ours}'], arrays[f'loss_{theirs}'])
  close(parity_network.flat(grads, config), arrays['grad_flat'])


def _check_warped(arrays, batch, deformation) -> None:
  """Arrays that only the smaller file has."""
  moved = {
    'warped_moving_img': ('moving', deformation.displacement),
    'half_warped_fixed_img': ('fixed', deformation.half_inverse),
    'half_warped_moving_img': ('moving', deformation.half),
  }
  for name, (image, field) in moved.items():
    if name in arrays:
      warped = spatial.warp(batch[image][..., None], field)
      close(first(warped), arrays[name])
  for name in ('half_disp', 'half_inv_disp'):
    if name in arrays:
      field = (
        deformation.half if name == 'half_disp' else deformation.half_inverse
      )
      close(first(field), arrays[name])
  if 'warped_moving_seg' in arrays:
    label = spatial.warp(
      batch['moving_label'][..., None],
      deformation.displacement,
      order=0,
      outside='border',
    )
    close(first(label), arrays['warped_moving_seg'])


def test_gradient_norm_of_each_term(x64):
  arrays = parity_arrays.load('h_i_net_L2')
  config = parity_arrays.config(arrays)
  params = parity_network.params(parity_network.stored_params(arrays), config)
  batch = parity_network.batch(arrays)

  @jax.jit
  def norm_of_gradient(weights):
    loss = parity_network.loss(arrays, config, **weights)
    return tree.norm(jax.grad(loss, has_aux=True)(params, batch, None)[0])

  names = {theirs: ours for theirs, ours in TERMS.items() if theirs != 'total'}
  for theirs, ours in names.items():
    weights = {f'{name}_weight': float(name == ours) for name in names.values()}
    close(norm_of_gradient(weights), arrays[f'grad_norm_{theirs}'])


@pytest.mark.parametrize(
  ('mode', 'settings'),
  [
    ('asymmetric', {'symmetric': False}),
    ('displacement', {'output': 'displacement'}),
  ],
)
def test_other_output_modes(x64, mode, settings):
  arrays = parity_arrays.load('h_i_net_L2')
  expected = parity_arrays.load('i_other_output_modes')
  config = parity_arrays.config(arrays)
  batch = parity_network.batch(arrays)
  params = parity_network.params(parity_network.stored_params(arrays), config)
  deformation = transform.Transform(**settings).deform(
    _double(arrays['vel']), batch
  )
  close(first(deformation.displacement), expected[f'disp_{mode}'])
  mask = deformation.mask[:, None].astype(np.uint8)
  close(mask, expected[f'mask_{mode}'])
  loss = parity_network.loss(arrays, config, settings)
  _, metrics = jax.jit(loss)(params, batch, None)
  for theirs, ours in TERMS.items():
    close(metrics[f'loss/{ours}'], expected[f'loss_{theirs}_{mode}'])


def _double(array: np.ndarray) -> jax.Array:
  return jnp.asarray(last(array), jnp.float64)


def optimizer(config) -> optax.GradientTransformation:
  assert tuple(config['betas']) == (0.9, 0.999)
  assert config['adam_eps'] == 1e-8
  return optim.create_optimizer(
    'adam',
    schedule=optax.constant_schedule(config['lr']),
    weight_decay=config['weight_decay'],
  )


@pytest.mark.parametrize('mode', ['standard', 'adaptive'])
def test_sharpness_aware_step(x64, mode):
  arrays = parity_arrays.load('j_sam_step')
  config = parity_arrays.config(arrays)
  batch = parity_network.batch(arrays)
  params = parity_network.params(arrays['params0'], config)
  gradient = descent.make_gradient(parity_network.loss(arrays, config))
  grads, metrics = gradient(params, batch, jax.random.key(0))
  close(metrics['loss/total'], arrays['loss_at_w'])
  close(parity_network.flat(grads, config), arrays['grad_at_w'])
  strength = {'rho': config['rho'], 'adaptive': mode == 'adaptive'}
  e = sharpness.perturbation(params, grads, **strength)
  close(parity_network.flat(e, config), arrays[f'e_w_{mode}'])
  sam = sharpness.sharpness_aware(gradient, **strength)
  above, metrics = sam(params, batch, jax.random.key(1))
  close(parity_network.flat(above, config), arrays[f'grad_at_w_plus_e_{mode}'])
  close(
    metrics['loss/total'] + metrics['loss/sharpness'],
    arrays[f'loss_at_w_plus_e_{mode}'],
  )
  tx = optimizer(config)
  step = descent.make_update(sam, tx)
  state, _ = step(ts.create_state(params, tx), batch, jax.random.key(2))
  moved = tree.interpolate(params, state.params, 1.0)
  delta = jax.tree.map(jnp.subtract, moved, params)
  close(parity_network.flat(delta, config), arrays[f'delta_params_{mode}'])


def _recorded(arrays, call: int) -> memory_lib.Policy:
  return memory_lib.Policy(
    write=lambda *_: jnp.asarray(arrays['slot_written'][call]),
    read=lambda *_: jnp.asarray(arrays['replay_slots'][call]),
  )


def _run(name: str, method: str):
  """Three consecutive steps with the recorded draws of the memory."""
  arrays = parity_arrays.load(name)
  config = parity_arrays.config(arrays)
  tx, size = optimizer(config), config['batch_size']
  loss = parity_network.loss(arrays, config)
  params = parity_network.params(arrays['params_before_0'], config)
  everything = parity_network.batch(arrays)
  memory = None
  if 'buffer_size' in config:
    example = jax.tree.map(lambda x: jnp.asarray(x[:1]), everything)
    example['sample'] = jnp.zeros((1,), jnp.int32)
    memory = memory_lib.create_memory(example, config['buffer_size'])
  state = ts.create_state(params, tx, memory)
  for call in range(len(arrays['losses'])):
    settings = methods.Settings(
      rho=config.get('rho', 0.0),
      adaptive=config.get('adaptive', False),
      beta=config.get('beta', 1.0),
      per_sample=method == 'samcl',
      policy=_recorded(arrays, call),
    )
    step = methods.get(method).make_step(loss, tx, settings)
    items = slice(call * size, (call + 1) * size)
    batch = parity_network.batch(arrays, items)
    batch = jax.tree.map(jnp.asarray, batch)
    batch['sample'] = jnp.arange(items.start, items.stop, dtype=jnp.int32)
    if memory is None:
      del batch['sample']
    state, metrics = step(state, batch, jax.random.key(call))
    delta = jax.tree.map(jnp.subtract, state.params, params)
    close(parity_network.flat(delta, config), arrays[f'delta_after_{call}'])
    yield arrays, config, call, state, metrics


@pytest.mark.parametrize(
  ('name', 'method'), [('k_mersam', 'samcl'), ('l_mer', 'mer')]
)
def test_consecutive_iterations_with_replay(x64, name, method):
  for arrays, _, call, state, metrics in _run(name, method):
    held = np.asarray(state.memory.items['sample'])
    expected = arrays['buffer_items_after'][call]
    np.testing.assert_array_equal(held[expected >= 0], expected[expected >= 0])
    recorded = arrays['losses'][call]
    replay = recorded[-2] if name == 'k_mersam' else recorded[-1]
    close(metrics['replay/loss/total'], replay)
    inner = recorded[:-2:2] if name == 'k_mersam' else recorded[:1]
    close(metrics['loss/total'], inner.mean())
  updates = [int(c) for c in _counts(state.opt_state)]
  assert set(updates) == {int(arrays['adam_steps_taken'])}


def _counts(opt_state) -> list[jax.Array]:
  leaves = jax.tree_util.tree_leaves_with_path(opt_state)
  return [x for path, x in leaves if 'count' in jax.tree_util.keystr(path)]


def test_plain_fine_tuning(x64):
  for arrays, _, call, _, metrics in _run('l_finetune', 'sequential'):
    close(metrics['loss/total'], arrays['losses'][call])


@pytest.mark.parametrize('name', ['k_mersam', 'l_mer'])
def test_a_rejected_item_is_not_kept(name):
  """Theirs writes a returned -1 to the last slot; ours drops it."""
  arrays = parity_arrays.load(name)
  config = parity_arrays.config(arrays)
  capacity, size = config['buffer_size'], config['batch_size']
  theirs = np.full(capacity, -1)
  ours = memory_lib.create_memory({'sample': jnp.zeros(1, jnp.int32)}, capacity)
  for call, returned in enumerate(arrays['reservoir_return']):
    np.testing.assert_array_equal(
      np.where(returned < 0, capacity - 1, returned),
      arrays['slot_written'][call],
    )
    items = jnp.arange(call * size, (call + 1) * size, dtype=jnp.int32)
    theirs[returned] = items  # -1 addresses the last slot
    np.testing.assert_array_equal(theirs, arrays['buffer_items_after'][call])
    before = np.asarray(ours.items['sample'])
    slots = jnp.asarray(np.where(returned < 0, capacity, returned))
    policy = memory_lib.Policy(write=lambda *_, slots=slots: slots)
    ours = memory_lib.insert(
      ours, {'sample': items}, jax.random.key(call), policy
    )
    after = np.asarray(ours.items['sample'])
    untouched = np.setdiff1d(np.arange(capacity), returned[returned >= 0])
    np.testing.assert_array_equal(after[untouched], before[untouched])
