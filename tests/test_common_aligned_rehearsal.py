"""SMG's step on a loss whose Hessian is the identity: moves by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import memory as memory_lib
from common import methods
from common import train_state as ts
from common.rules import aligned_rehearsal, alignment


def _smg_step(settings, has_past, tx):
  return methods.get('smg_er').make_step(
    _points,
    tx,
    methods.Settings(alignment=settings, has_past=has_past),
  )


def _points(params, batch, key):
  """0.5 mean |w - x|^2: the Hessian is the identity."""
  del key
  value = 0.5 * jnp.mean(jnp.sum((params['w'][None] - batch['x']) ** 2, -1))
  return value, {'loss/total': value}


def _smg_state(tx):
  past = {'x': jnp.full((2, 2), 5.0), 'site': jnp.zeros(2, jnp.int32)}
  memory = memory_lib.append(memory_lib.create_memory(past, 2), past)
  return ts.create_state({'w': jnp.zeros(2)}, tx, memory)


INCOMING = {'x': jnp.full((2, 2), -1.0), 'site': jnp.ones(2, jnp.int32)}


def test_orientational_steps_on_the_new_and_judges_on_the_old():
  """g_new = 1, g_old = -5: the sum is 1 + (-5 - alpha)."""
  tx = optax.sgd(1.0)
  settings = aligned_rehearsal.Alignment(
    alignment.Strength(alpha=0.5), arbitrary_weight=0
  )
  state, metrics = _smg_step(settings, True, tx)(
    _smg_state(tx), INCOMING, jax.random.key(0)
  )
  np.testing.assert_allclose(state.params['w'], -(1 - 5 - 0.5))
  assert metrics['loss/total'] == 1 and metrics['other/loss/total'] == 30.25


@pytest.mark.parametrize(('num_draws', 'past'), [(1, {4, 6}), (2, {5})])
def test_the_past_is_as_many_cases_as_all_draws_have(num_draws, past):
  """Of one new case at -1 and two old ones at 4 and 6, no virtual step."""
  tx = optax.sgd(1.0)
  old = {
    'x': jnp.array([[4.0, 4.0], [6.0, 6.0]]),
    'site': jnp.zeros(2, jnp.int32),
  }
  memory = memory_lib.append(memory_lib.create_memory(old, 2), old)
  step = methods.get('smg_er').make_step(
    _points,
    tx,
    methods.Settings(
      alignment=aligned_rehearsal.Alignment(
        alignment.Strength(alpha=0), arbitrary_weight=0
      ),
      num_replayed=1,
      num_draws=num_draws,
    ),
  )
  found = set()
  for i in range(8):
    state = ts.create_state({'w': jnp.zeros(2)}, tx, memory)
    alone = jax.tree.map(lambda x: x[:1], INCOMING)
    state, _ = step(state, alone, jax.random.key(i))
    found.add(round(float(state.params['w'][0]) + 1))
  assert found == past


def test_both_alignments_are_weighed():
  """By site the pseudo-domains are the new and the old, in random order."""
  tx = optax.sgd(1.0)
  settings = aligned_rehearsal.Alignment(
    alignment.Strength(alpha=0.5),
    orientational_weight=0.25,
    arbitrary_weight=0.75,
  )
  step = _smg_step(settings, True, tx)
  found = {
    float(step(_smg_state(tx), INCOMING, jax.random.key(i))[0].params['w'][0])
    for i in range(12)
  }
  old_last, new_last = -(1 - 5 - 0.5), -(-5 + 1 + 2.5)
  assert found == {old_last, 0.25 * old_last + 0.75 * new_last}


def test_the_order_of_the_arbitrary_alignment_is_the_one_asked_for():
  """Symmetric: each judged after a step on the other, whichever is first."""
  tx = optax.sgd(1.0)
  settings = aligned_rehearsal.Alignment(
    alignment.Strength(alpha=0.5),
    orientational_weight=0,
    arbitrary_weight=1,
    arbitrary_order='symmetric',
  )
  step = _smg_step(settings, True, tx)
  new, old = 1 + 0.5 * 5, -5 - 0.5 * 1
  for i in range(6):
    state, _ = step(_smg_state(tx), INCOMING, jax.random.key(i))
    np.testing.assert_allclose(state.params['w'], -(new + old))


def test_without_weights_it_is_plain_replay():
  tx = optax.sgd(1.0)
  settings = aligned_rehearsal.Alignment(
    orientational_weight=0, arbitrary_weight=0
  )
  state, _ = _smg_step(settings, True, tx)(
    _smg_state(tx), INCOMING, jax.random.key(0)
  )
  np.testing.assert_allclose(state.params['w'], 4)


@pytest.mark.parametrize('weight', [0.0, 0.5])
def test_the_first_stage_does_not_look_at_the_memory(weight):
  tx = optax.sgd(1.0)
  settings = aligned_rehearsal.Alignment(
    alignment.Strength(alpha=0.0), arbitrary_weight=weight
  )
  state, _ = _smg_step(settings, False, tx)(
    _smg_state(tx), INCOMING, jax.random.key(0)
  )
  np.testing.assert_allclose(state.params['w'], -2 if weight else -1)


def test_a_single_first_case_is_descended_on():
  """It has no halves; with a past it has, and is aligned with that."""
  tx = optax.sgd(1.0)
  alone = jax.tree.map(lambda x: x[:1], INCOMING)
  settings = aligned_rehearsal.Alignment(alignment.Strength(alpha=0.5))
  state, _ = _smg_step(settings, False, tx)(
    _smg_state(tx), alone, jax.random.key(0)
  )
  np.testing.assert_array_equal(state.params['w'], -1)
  settings = methods.Settings(alignment=settings, num_replayed=1)
  for has_past, pairs in (
    (False, set()),
    (True, {'arbitrary', 'orientational'}),
  ):
    probe = methods.get('smg_er').make_probe(
      _points, dataclasses.replace(settings, has_past=has_past)
    )
    found = probe(_smg_state(tx), alone, jax.random.key(0))
    assert {name.split('/')[-1] for name in found} == pairs


def test_the_probe_looks_at_the_batches_of_the_step():
  tx = optax.sgd(1.0)
  probe = methods.get('smg_er').make_probe(
    _points, methods.Settings(has_past=True)
  )
  found = probe(_smg_state(tx), INCOMING, jax.random.key(0))
  np.testing.assert_allclose(found['inner_product/orientational'], -10)
  np.testing.assert_allclose(found['cosine/arbitrary'], -1, rtol=1e-6)
  assert methods.get('er').make_probe(_points, methods.Settings()) is None


def test_negative_weights_are_refused():
  with pytest.raises(ValueError, match='arbitrary_weight: found -1'):
    aligned_rehearsal.Alignment(arbitrary_weight=-1)


def test_without_a_past_every_stage_is_like_the_first():
  """Whatever lies in a memory is never asked for."""
  tx = optax.sgd(1.0)
  settings = methods.Settings(
    alignment=aligned_rehearsal.Alignment(alignment.Strength(alpha=0.5)),
    shift=lambda batch, key: batch | {'x': batch['x'] + 1},
  )
  first = dataclasses.replace(settings, has_past=False)
  found, expected = (
    methods.get(name).make_step(_points, tx, chosen)(
      _smg_state(tx), INCOMING, jax.random.key(0)
    )
    for name, chosen in (('smg_none', settings), ('smg_er', first))
  )
  np.testing.assert_array_equal(found[0].params['w'], expected[0].params['w'])
  assert found[1] == expected[1]
  probed = methods.get('smg_none').make_probe(_points, settings)(
    _smg_state(tx), INCOMING, jax.random.key(0)
  )
  assert {name.split('/')[-1] for name in probed} == {'arbitrary'}
  assert not methods.get('smg_none').memory
