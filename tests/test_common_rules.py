"""Rules on a quadratic, where every answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import memory as memory_lib
from common import methods, ownership
from common import train_state as ts
from common.rules import descent, reptile, samples, sharpness

CURVATURE = jnp.array([1.0, 4.0, 0.5])


def _output(params, batch):
  return jnp.broadcast_to(params['w'], batch['x'].shape)


def _objective(output, batch):
  gap = output - batch['x']
  value = 0.5 * jnp.mean(jnp.sum(CURVATURE[None] * gap**2, axis=-1))
  return value, {'loss/total': value}


def _loss(params, batch, key):
  """0.5 mean_b (w - x_b)^T diag(CURVATURE) (w - x_b)."""
  del key
  return _objective(_output(params, batch), batch)


def _settings(**fields) -> methods.Settings:
  """With the loss in two parts, which some methods ask for."""
  return methods.Settings(
    output=_output,
    objective=_objective,
    distance=lambda a, b: jnp.mean((a - b) ** 2),
    **fields,
  )


def _start(method, tx, settings) -> ts.TrainState:
  """The first state of a method, with room for four cases."""
  state = _state(tx)
  if method.create_rule is not None:
    rule = method.create_rule(state.params, settings)
    state = state.replace(rule=rule)
  if method.memory:
    example = BATCH
    if method.build_annotation is not None:
      example = method.build_annotation(settings)(state.params, BATCH)
    state = state.replace(memory=memory_lib.create_memory(example, 4))
  return state


def _state(tx, capacity: int | None = None) -> ts.TrainState:
  params = {'w': jnp.array([1.0, -2.0, 3.0])}
  memory = None
  if capacity:
    memory = memory_lib.create_memory(BATCH, capacity)
  return ts.create_state(params, tx, memory)


BATCH = {
  'x': jnp.array([[0.5, 0.0, 1.0], [-1.0, 2.0, 0.0]]),
  'site': jnp.array([0, 1]),
}


def _key() -> jax.Array:
  return jax.random.key(0)


def test_descent_follows_the_gradient():
  tx = optax.sgd(0.1)
  step = descent.make_update(descent.make_gradient(_loss), tx)
  state, metrics = jax.jit(step)(_state(tx), BATCH, _key())
  gradient = CURVATURE * (jnp.array([1.0, -2.0, 3.0]) - BATCH['x'].mean(0))
  np.testing.assert_allclose(
    state.params['w'], jnp.array([1.0, -2.0, 3.0]) - 0.1 * gradient, rtol=1e-6
  )
  np.testing.assert_allclose(
    metrics['norm/grads'], jnp.linalg.norm(gradient), rtol=1e-6
  )


@pytest.mark.parametrize('adaptive', [False, True])
def test_sharpness_gradient_is_taken_at_the_perturbed_point(adaptive):
  w = jnp.array([1.0, -2.0, 3.0])
  target = BATCH['x'].mean(0)
  g = CURVATURE * (w - target)
  if adaptive:
    e = 0.2 * w**2 * g / jnp.linalg.norm(w * g)
  else:
    e = 0.2 * g / jnp.linalg.norm(g)
  rule = sharpness.sharpness_aware(
    descent.make_gradient(_loss), rho=0.2, adaptive=adaptive
  )
  grads, metrics = jax.jit(rule)({'w': w}, BATCH, _key())
  np.testing.assert_allclose(
    grads['w'], CURVATURE * (w + e - target), rtol=1e-6
  )
  assert metrics['loss/sharpness'] > 0


def test_sharpness_takes_both_gradients_on_the_same_draw():
  """A loss whose target is drawn: another draw would move the second one."""

  def loss(params, batch, key):
    del batch
    gap = params['w'] - jax.random.normal(jax.random.clone(key), (3,))
    value = 0.5 * jnp.sum(gap**2)
    return value, {'loss/total': value}

  w, key = jnp.array([1.0, -2.0, 3.0]), jax.random.key(3)
  g = w - jax.random.normal(jax.random.clone(key), (3,))
  rule = sharpness.sharpness_aware(descent.make_gradient(loss), rho=0.2)
  grads, _ = rule({'w': w}, BATCH, key)
  expected = g + 0.2 * g / jnp.linalg.norm(g)
  np.testing.assert_allclose(grads['w'], expected, rtol=1e-5)


@pytest.mark.parametrize('adaptive', [False, True])
def test_sharpness_is_safe_at_zero_gradient(adaptive):
  rule = sharpness.sharpness_aware(
    descent.make_gradient(_loss), rho=0.2, adaptive=adaptive
  )
  grads, _ = rule({'w': jnp.zeros(3)}, {'x': jnp.zeros((2, 3))}, _key())
  np.testing.assert_array_equal(grads['w'], 0)


def test_zero_strength_is_the_identity():
  gradient = descent.make_gradient(_loss)
  assert sharpness.sharpness_aware(gradient, rho=0) is gradient
  step = descent.make_update(gradient, optax.sgd(0.1))
  assert reptile.interpolate(step, beta=1) is step


def test_bad_strengths_are_refused():
  with pytest.raises(ValueError, match=r'sam\.rho: found -1'):
    sharpness.sharpness_aware(descent.make_gradient(_loss), rho=-1)
  with pytest.raises(ValueError, match=r'reptile\.beta: found 0'):
    reptile.interpolate(lambda *a: a, beta=0)


def test_per_sample_visits_samples_in_order():
  tx = optax.sgd(0.1)
  step = descent.make_update(descent.make_gradient(_loss), tx)
  state, _ = jax.jit(reptile.per_sample(step))(_state(tx), BATCH, _key())
  w = np.array([1.0, -2.0, 3.0])
  for x in np.asarray(BATCH['x']):
    w = w - 0.1 * np.asarray(CURVATURE) * (w - x)
  np.testing.assert_allclose(state.params['w'], w, rtol=1e-6)


def test_every_sample_has_a_key_of_its_own():
  def body(drawn, sample, key):
    del sample
    return [*drawn, float(jax.random.uniform(key))], {'drawn': jnp.zeros(())}

  found = [samples.fold(body, [], BATCH, _key())[0] for _ in range(2)]
  assert found[0] == found[1]
  assert len(set(found[0])) == 2


def test_accumulated_gradients_are_means_over_samples():
  def pooled(params, batch, key):
    """(mean_b w x_b)^2: its gradient is no mean over the samples."""
    value = jnp.mean(batch['x'] @ params['w']) ** 2
    return value, {'loss/total': value}

  w, xs = np.array([1.0, -2.0, 3.0]), np.asarray(BATCH['x'])
  gradient = descent.make_gradient(pooled)
  accumulated = descent.accumulate(gradient)
  grads, metrics = jax.jit(accumulated)({'w': w}, BATCH, _key())
  expected = np.mean([2 * (x @ w) * x for x in xs], axis=0)
  np.testing.assert_allclose(grads['w'], expected, rtol=1e-6)
  np.testing.assert_allclose(
    metrics['loss/total'], np.mean((xs @ w) ** 2), rtol=1e-6
  )
  whole, _ = gradient({'w': w}, BATCH, _key())
  assert np.abs(whole['w'] - expected).max() > 1


def test_accumulation_is_a_setting_of_every_method():
  """The quadratic does not pool, so nothing changes but the rounding."""
  tx = optax.sgd(0.1)
  for name, method in methods.METHODS.items():
    ends = []
    for accumulate in (False, True):
      settings = _settings(accumulate=accumulate)
      step = method.make_step(_loss, tx, settings)
      ends.append(step(_start(method, tx, settings), BATCH, _key()))
    a, b = (state.params['w'] for state, _ in ends)
    np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=name)
    assert ends[0][1].keys() == ends[1][1].keys()


def test_compiled_and_plain_loops_over_samples_agree(monkeypatch):
  tx = optax.adam(0.1)
  ends = []
  for backend in ('cpu', 'gpu'):
    monkeypatch.setattr(jax, 'default_backend', lambda b=backend: b)
    step = methods.get('samcl').make_step(
      _loss, tx, methods.Settings(accumulate=True)
    )
    ends.append(step(_state(tx, 4), BATCH, _key()))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *ends)


def test_meta_replay_by_hand():
  """MER: sample steps, one replay step, then the Reptile interpolation."""
  tx = optax.sgd(0.1)
  policy = memory_lib.Policy(
    write=lambda seen, cap, num, key: jnp.array([0, 1]),
    read=lambda seen, cap, num, key: jnp.array([1, 1]),
  )
  settings = methods.Settings(beta=0.25, policy=policy)
  step = methods.get('mer').make_step(_loss, tx, settings)
  state, _ = jax.jit(step)(_state(tx, 2), BATCH, _key())
  start = w = np.array([1.0, -2.0, 3.0])
  for x in np.asarray(BATCH['x'])[[0, 1, 1]]:
    w = w - 0.1 * np.asarray(CURVATURE) * (w - x)
  np.testing.assert_allclose(
    state.params['w'], start + 0.25 * (w - start), rtol=1e-6
  )
  np.testing.assert_array_equal(state.memory.items['x'], BATCH['x'])


def test_the_number_of_replayed_cases_is_its_own():
  """A replay step on 3 cases, the mean of slots 0, 1, 1, after two of one."""
  tx = optax.sgd(0.1)
  policy = memory_lib.Policy(
    write=lambda seen, cap, num, key: jnp.arange(num),
    read=lambda seen, cap, num, key: jnp.array([0, 1, 1])[:num],
  )
  settings = methods.Settings(beta=1.0, policy=policy, num_replayed=3)
  h, (first, second) = np.asarray(CURVATURE), np.asarray(BATCH['x'])
  w = np.array([1.0, -2.0, 3.0])
  for x in (first, second, (first + 2 * second) / 3):
    w = w - 0.1 * h * (w - x)
  state, _ = methods.get('mer').make_step(_loss, tx, settings)(
    _state(tx, 2), BATCH, _key()
  )
  np.testing.assert_allclose(state.params['w'], w, rtol=1e-6)
  mixed, _ = methods.get('er').make_step(_loss, tx, settings)(
    _state(tx, 2), BATCH, _key()
  )
  start = np.array([1.0, -2.0, 3.0])
  mean = (2 * first + 3 * second) / 5
  np.testing.assert_allclose(
    mixed.params['w'], start - 0.1 * h * (start - mean), rtol=1e-6
  )


def test_every_draw_is_a_step_on_a_batch_of_its_own():
  tx = optax.sgd(0.1)
  drawn = iter(([0], [1], [1]))
  policy = memory_lib.Policy(
    write=lambda seen, cap, num, key: jnp.arange(num),
    read=lambda seen, cap, num, key: jnp.array(next(drawn)),
  )
  settings = methods.Settings(
    beta=0.5, policy=policy, num_replayed=1, num_draws=3
  )
  h, (first, second) = np.asarray(CURVATURE), np.asarray(BATCH['x'])
  start = w = np.array([1.0, -2.0, 3.0])
  for x in (first, second, first, second, second):
    w = w - 0.1 * h * (w - x)
  with jax.disable_jit():
    state, _ = methods.get('mer').make_step(_loss, tx, settings)(
      _state(tx, 2), BATCH, _key()
    )
  np.testing.assert_allclose(
    state.params['w'], start + 0.5 * (w - start), rtol=1e-6
  )


def test_er_adds_all_draws_to_the_batch():
  policy = memory_lib.Policy(
    write=lambda seen, cap, num, key: jnp.arange(num),
    read=lambda seen, cap, num, key: jnp.array([1, 1, 0, 1, 0, 0])[:num],
  )
  settings = methods.Settings(policy=policy, num_replayed=2, num_draws=3)
  state, _ = methods.get('er').make_step(_loss, optax.sgd(0.1), settings)(
    _state(optax.sgd(0.1), 2), BATCH, _key()
  )
  start, mean = np.array([1.0, -2.0, 3.0]), np.mean(BATCH['x'], axis=0)
  np.testing.assert_allclose(
    state.params['w'], start - 0.1 * CURVATURE * (start - mean), rtol=1e-6
  )


@pytest.mark.parametrize(('name', 'times'), [('agem', 1), ('der', 2)])
def test_all_draws_of_a_step_are_one_batch(name, times):
  """DER++ draws twice: outputs to keep and labels to learn."""
  asked = []

  def read(seen, cap, num, key):
    del seen, cap, key
    asked.append(num)
    return jnp.zeros(num, jnp.int32)

  policy = memory_lib.Policy(
    write=lambda seen, cap, num, key: jnp.arange(num), read=read
  )
  settings = _settings(policy=policy, num_replayed=2, num_draws=3)
  method, tx = methods.get(name), optax.sgd(0.1)
  state = _start(method, tx, settings)
  with jax.disable_jit():
    method.make_step(_loss, tx, settings)(state, BATCH, _key())
  assert asked == [6] * times


def test_reptile_raises_agreement_of_gradients():
  """Its mean update differs from plain descent along grad <g_1, g_2>.

  For two samples on a quadratic H, both orders averaged, two steps of size a
  give -a (g1 + g2) + a^2/2 H (g1 + g2), and grad <g1, g2> = H (g1 + g2).
  """
  tx, a = optax.sgd(0.1), 0.1
  step = jax.jit(
    reptile.per_sample(descent.make_update(descent.make_gradient(_loss), tx))
  )
  w = np.array([1.0, -2.0, 3.0])
  moves = [
    step(_state(tx), {'x': BATCH['x'][order]}, _key())[0].params['w'] - w
    for order in (np.array([0, 1]), np.array([1, 0]))
  ]
  h = np.asarray(CURVATURE)
  total = sum(h * (w - x) for x in np.asarray(BATCH['x']))
  np.testing.assert_allclose(
    np.mean(moves, axis=0), -a * total + a**2 / 2 * h * total, rtol=1e-5
  )


@pytest.mark.parametrize('name', list(methods.METHODS))
def test_every_method_descends_on_any_loss(name):
  method = methods.get(name)
  tx = optax.sgd(0.05)
  settings = _settings(rho=0.01)
  step = jax.jit(method.make_step(_loss, tx, settings))
  state = _start(method, tx, settings)
  before = _loss(state.params, BATCH, _key())[0]
  for i in range(10):
    state, metrics = step(state, BATCH, jax.random.key(i))
  assert _loss(state.params, BATCH, _key())[0] < before
  assert int(state.step) == 10
  assert 'loss/total' in metrics
  assert step._cache_size() == 1


class _Untouchable:
  """Strengths that nobody may look at."""

  def __getattr__(self, name):
    raise AssertionError(f'looked at {name}')


@pytest.mark.parametrize('name', list(methods.METHODS))
def test_strengths_of_one_method_are_no_business_of_others(name):
  def train(section):
    settings = _settings(**{section: _Untouchable()})
    tx, method = optax.sgd(0.1), methods.get(name)
    state = _start(method, tx, settings)
    method.make_step(_loss, tx, settings)(state, BATCH, _key())
    if consolidate := method.make_consolidation(_loss, settings):
      consolidate(state, [BATCH], _key(), 0)

  # The generator's settings are not among those of the rules.
  for section in set(ownership.OWNERS) - {'diffusion'}:
    if ownership.is_read(section, name):
      with pytest.raises(AssertionError, match='looked at'):
        train(section)
    else:
      train(section)


def test_samcl_without_sharpness_is_mer():
  tx = optax.adam(1e-2)
  states = []
  for name, rho in (('samcl', 0.0), ('mer', 0.7)):
    step = methods.get(name).make_step(_loss, tx, methods.Settings(rho=rho))
    states.append(jax.jit(step)(_state(tx, 3), BATCH, _key())[0])
  np.testing.assert_array_equal(states[0].params['w'], states[1].params['w'])


def test_unknown_method_lists_the_known():
  with pytest.raises(ValueError, match="'foo', allowed: sequential, joint"):
    methods.get('foo')
