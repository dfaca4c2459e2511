"""The generator: pairs, gate, frozen and trained trunks, what a state holds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import errors
from common import memory as memory_lib
from common import train_state as ts
from smg import denoiser, diffusion, pairs, replay, settings

SIDES, NUM_SITES = (8, 8), 3
SETTINGS = settings.Settings(
  num_steps=(4, 4, 4),
  batch_size=4,
  lr=1e-2,
  sample_steps=3,
  chunk=4,
  agreement=0.0,
  area_margin=1e6,
)


def _batch(seed: int, site: int) -> dict[str, np.ndarray]:
  rng = np.random.default_rng(seed)
  label = rng.integers(0, 3, (4, *SIDES)).astype(np.uint8)
  return {
    'image': rng.random((4, *SIDES, 1), np.float32),
    'label': label,
    'site': np.full(4, site, np.int32),
  }


def _generator(
  segment=None, sides=SIDES, **fields
) -> replay.SiteModulatedDiffusion:
  network = denoiser.Denoiser(
    num_sites=NUM_SITES, num_channels=8, num_levels=1, token_dim=8, num_heads=2
  )
  return replay.SiteModulatedDiffusion(
    network,
    segment
    or (lambda params, images: np.ones((len(images), *sides), np.uint8)),
    shape=(*sides, 1),
    classes=(1, 2),
    settings=settings.Settings(**(SETTINGS.__dict__ | fields)),
  )


def _state(generator) -> ts.TrainState:
  past = _batch(9, 0) | {'site': np.array([0, 1, 0, 1], np.int32)}
  memory = memory_lib.append(memory_lib.create_memory(past, 8), past)
  return ts.TrainState(
    step=jnp.zeros((), jnp.int32),
    params={},
    opt_state=(),
    memory=memory,
    generator=generator.init(jax.random.key(0)),
  )


def _train(generator, state, stage: int):
  state = generator.begin(state, stage)
  for i in range(4):
    key = jax.random.key(10 * stage + i)
    batch = _batch(10 * stage + i, stage)
    state, metrics = generator.step(state, batch, key, stage)
  return state, metrics


@functools.cache
def _stages(trunk: str):
  """States after each of two stages."""
  generator = _generator(trunk=trunk)
  first, _ = _train(generator, _state(generator), 0)
  second, metrics = _train(generator, first, 1)
  return generator, first, second, metrics


@pytest.mark.parametrize('classes', [(1,), (1, 2), (2, 5, 9), (1, 2, 3, 4)])
def test_pairs_come_back(classes):
  rng = np.random.default_rng(0)
  codec = pairs.Codec(classes)
  image = rng.random((2, 3, 5, 1), np.float32)
  label = rng.choice([0, *classes], (2, 3, 5)).astype(np.uint8)
  x = codec.encode(image, label)
  assert x.shape[-1] == 1 + int(np.ceil(np.log2(1 + len(classes))))
  assert np.abs(x).max() <= 1
  noise = rng.uniform(-0.4, 0.4, x[..., 1:].shape)
  again, found = codec.decode(x.at[..., 1:].add(noise))
  np.testing.assert_allclose(again, image, atol=1e-6)
  np.testing.assert_array_equal(found, label)


def test_without_labels_x_is_the_image():
  codec = pairs.Codec((1, 2), with_labels=False)
  batch = _batch(0, 0)
  x = codec.encode(batch['image'], batch['label'])
  np.testing.assert_allclose(x, 2 * batch['image'] - 1, rtol=1e-6)
  assert codec.decode(x)[1] is None


def test_a_frozen_trunk_draws_past_sites_bit_by_bit_the_same():
  generator, first, second, _ = _stages('frozen')
  a, b = (
    generator.sample(state.generator, 0, 5, jax.random.key(3))
    for state in (first, second)
  )
  for x, y in zip(a, b, strict=True):
    np.testing.assert_array_equal(x, y)
  changed = generator.sample(second.generator, 1, 5, jax.random.key(3))
  before = generator.sample(first.generator, 1, 5, jax.random.key(3))
  assert np.abs(changed[0] - before[0]).max() > 1e-4


@pytest.mark.parametrize('trunk', ['distill', 'finetune'])
def test_other_trunks_move(trunk):
  generator, first, second, metrics = _stages(trunk)
  a, b = (
    generator.sample(state.generator, 0, 5, jax.random.key(3))[0]
    for state in (first, second)
  )
  assert np.abs(a - b).max() > 1e-4
  assert ('generator/loss/distill' in metrics) == (trunk == 'distill')


def test_distillation_is_zero_at_the_teacher_and_pulls_back_to_it():
  generator, _, second, _ = _stages('distill')
  held = second.generator

  def kept(params):
    key = jax.random.key(1)
    memory = second.memory
    return float(generator._distillation(params, held.teacher, memory, key))

  assert kept(held.teacher) == 0
  assert kept(held.params) > 0


def test_a_step_on_a_new_site_goes_towards_the_teacher():
  """With a large weight the term falls, with none it does not as much."""
  _, _, second, _ = _stages('distill')
  start = second.replace(generator=second.generator.replace(step=jnp.int32(0)))

  def gap(generator, state):
    held = state.generator
    found = [
      generator._distillation(
        held.params, held.teacher, state.memory, jax.random.key(100 + i)
      )
      for i in range(8)
    ]
    return float(np.mean(found))

  ends = {}
  for weight in (0.0, 1e3):
    generator = _generator(trunk='distill', distill_weight=weight, lr=1e-3)
    state = start
    for i in range(4):
      state, _ = generator.step(state, _batch(i, 1), jax.random.key(i), 1)
    ends[weight] = gap(generator, state)
  assert ends[1e3] < min(gap(generator, start), ends[0.0])


def test_the_distilled_sites_are_those_of_the_cases(monkeypatch):
  generator, _, state, _ = _stages('distill')
  asked = []
  monkeypatch.setattr(
    generator, '_apply', lambda params, x, t, site: asked.append(site) or x
  )
  key = jax.random.key(0)
  draw_key = jax.random.split(jax.random.clone(key), 3)[0]
  generator._distillation({}, {}, state.memory, key)
  expected = memory_lib.sample(state.memory, 2, draw_key)['site']
  assert len(asked) == 2
  for site in asked:
    np.testing.assert_array_equal(site, expected)


def test_volumes():
  sides = (8, 4, 8)
  generator = _generator(sides=sides)
  batch = {
    name: np.repeat(array[:, :, :4, None], 8, axis=3)
    for name, array in _batch(0, 0).items()
    if name != 'site'
  } | {'site': np.zeros(4, np.int32)}
  state = _state(generator)
  state, metrics = generator.step(state, batch, jax.random.key(0), 0)
  assert np.isfinite(float(metrics['generator/loss/total']))
  drawn, _ = generator.sample_cases(state, 0, 3, jax.random.key(1))
  assert drawn['image'].shape == (3, *sides, 1)
  assert drawn['label'].shape == (3, *sides)


@functools.cache
def _long() -> replay.SiteModulatedDiffusion:
  """With a first stage of forty steps."""
  return _generator(num_steps=(40, 4, 4))


def _largest_move(step: int, stage: int = 0) -> float:
  """Of a parameter, at a step of a stage; Adam's first is 1."""
  generator = _long()
  state = _state(generator)
  held = state.generator.replace(step=jnp.int32(step))
  state = state.replace(generator=held)
  moved, _ = generator.step(state, _batch(0, stage), jax.random.key(0), stage)
  gaps = jax.tree.map(
    lambda a, b: np.abs(a - b).max(),
    *jax.device_get((moved.generator.params, held.params)),
  )
  return float(max(jax.tree.leaves(gaps)))


@pytest.mark.parametrize(
  ('step', 'rate'), [(0, 1 / 20), (9, 10 / 20 * 0.88), (20, 0.5), (40, 0)]
)
def test_the_rate_warms_up_and_falls_as_a_cosine(step, rate):
  np.testing.assert_allclose(
    _largest_move(step), rate * SETTINGS.lr, rtol=0.01, atol=1e-9
  )


def test_the_rate_of_a_later_stage_falls_over_its_own_steps():
  """Of four: the half of 3 / 20 after two, nothing in the end."""
  np.testing.assert_allclose(
    _largest_move(2, 1), 0.075 * SETTINGS.lr, rtol=0.01
  )
  np.testing.assert_allclose(_largest_move(4, 1), 0, atol=1e-9)


def test_the_average_follows_the_parameters():
  generator = _generator(ema_decay=0.5)
  state = _state(generator)
  for i in range(5):
    before = state.generator
    state, _ = generator.step(state, _batch(i, 0), jax.random.key(i), 0)
    rate = 1 - min(0.5, (1 + i) / (10 + i))
    found, old, moved = jax.device_get(
      (state.generator.average, before.average, state.generator.params)
    )
    jax.tree.map(
      lambda new, old, p, rate=rate: np.testing.assert_allclose(
        new, old + rate * (p - old), rtol=1e-5, atol=1e-6
      ),
      found,
      old,
      moved,
    )


def test_a_new_site_starts_from_the_last_one_and_the_average():
  generator, first, _, _ = _stages('frozen')
  begun = generator.begin(first, 1).generator
  for name, leaf in jax.tree_util.tree_leaves_with_path(begun.params):
    if name[-1].key.startswith('site_'):
      np.testing.assert_array_equal(leaf[1], leaf[0])
  jax.tree.map(np.testing.assert_array_equal, begun.params, begun.average)
  assert int(begun.step) == 0


def test_a_third_site_starts_from_the_second_and_not_the_first():
  generator, _, second, _ = _stages('frozen')
  begun = generator.begin(second, 2).generator.params
  for name, leaf in jax.tree_util.tree_leaves_with_path(begun):
    if name[-1].key.startswith('site_'):
      np.testing.assert_array_equal(leaf[2], leaf[1])
  assert np.abs(begun['site_prompt'][1] - begun['site_prompt'][0]).max() > 1e-3


def test_the_range_of_foreground_is_that_of_the_batches():
  _, first, second, _ = _stages('frozen')
  shares = [(_batch(i, 0)['label'] > 0).mean(axis=(1, 2)) for i in range(4)]
  expected = [np.min(shares), np.max(shares)]
  np.testing.assert_allclose(first.generator.areas[0], expected, rtol=1e-6)
  np.testing.assert_array_equal(
    first.generator.areas[0], second.generator.areas[0]
  )
  np.testing.assert_array_equal(second.generator.areas[2], [1, 0])


def test_nothing_of_the_training_data_is_in_the_state():
  """Bytes of images, or of a row of one, and labels."""
  _, _, second, _ = _stages('frozen')
  held = [np.asarray(x).tobytes() for x in jax.tree.leaves(second.generator)]
  everything = b''.join(held)
  for seed in (0, 1, 2, 3, 10, 11, 12, 13):
    image = _batch(seed, 0)['image'][..., 0]
    for part in (image, image[0, 3], 2 * image[0, 3] - 1):
      assert part.tobytes() not in everything


def test_the_gate_keeps_what_the_segmenter_agrees_with():
  """Told to agree with every other candidate, it keeps those alone."""
  held = {}

  def segment(params, images):
    del params
    label = np.asarray(held['label']).copy()
    label[::2] = 3 - np.where(label[::2] == 0, 3, label[::2])
    return label

  generator = _generator(segment, agreement=0.99, oversample=2.0)
  state = _state(generator)
  everything = jnp.tile(jnp.array([[0.0, 1.0]]), (NUM_SITES, 1))
  state = state.replace(generator=state.generator.replace(areas=everything))
  key = jax.random.key(5)
  image, held['label'] = generator.sample(state.generator, 0, 8, key)
  batch, metrics = generator.sample_cases(state, 0, 4, key)
  assert metrics['replay/candidates'] == 8
  assert metrics['replay/accepted'] == 4
  assert metrics['replay/rejected_agreement'] == 4
  np.testing.assert_array_equal(batch['image'], np.asarray(image)[1::2])
  np.testing.assert_array_equal(batch['label'], np.asarray(held['label'])[1::2])


def test_foreground_outside_the_range_is_rejected(caplog):
  generator = _generator(area_margin=0.0)
  state = _state(generator)
  narrow = state.generator.areas.at[0].set(jnp.array([0.999, 1.0]))
  state = state.replace(generator=state.generator.replace(areas=narrow))
  batch, metrics = generator.sample_cases(state, 0, 4, jax.random.key(5))
  assert metrics['replay/rejected_area'] == metrics['replay/candidates'] == 6
  assert metrics['replay/accepted'] == 0
  assert 'the gate rejects all 6 samples (100 %)' in caplog.text
  assert batch['image'].shape == (4, *SIDES, 1)


def test_samples_that_are_not_finite_stop_the_run():
  generator = _generator()
  state = _state(generator)
  broken = jax.tree.map(lambda x: x * jnp.nan, state.generator.average)
  state = state.replace(generator=state.generator.replace(average=broken))
  with pytest.raises(errors.InputError, match='replay of site 1: found no fin'):
    generator.sample_cases(state, 0, 4, jax.random.key(5))


@pytest.mark.parametrize(
  'fields',
  [{}, {'eta': 1.0}, {'guidance': 2.0}, {'prediction': 'eps'}],
  ids=str,
)
def test_the_sampler_is_told_what_the_settings_say(fields):
  generator = _generator(**fields)
  fields = dict(fields)
  guidance = fields.pop('guidance', 1.0)
  held, key = _stages('distill')[1].generator, jax.random.key(5)
  sampler = diffusion.Sampler(generator._apply, null_site=NUM_SITES, **fields)
  x = sampler(
    held.average,
    key,
    jnp.full(4, 1),
    (*SIDES, 3),
    num_steps=3,
    guidance=guidance,
  )
  expected = pairs.Codec((1, 2)).decode(x)
  found = generator.sample(held, 1, 4, key)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_pseudo_labels_are_the_segmenters():
  segment = lambda p, x: np.full((len(x), *SIDES), 2, np.uint8)  # noqa: E731
  generator = _generator(segment, labels='pseudo')
  batch, _ = generator.sample_cases(_state(generator), 0, 4, jax.random.key(5))
  np.testing.assert_array_equal(batch['label'], 2)


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('trunk', 'icy', "trunk: found 'icy', allowed: frozen, distill, finetune"),
    ('labels', 'none', "labels: found 'none', allowed: joint, pseudo"),
    ('prediction', 'x', "prediction: found 'x', allowed: v, eps"),
    ('oversample', 0.5, 'oversample: found 0.5, must be >= 1'),
    ('num_kept', 0, 'num_kept: found 0, must be >= 1'),
    ('sample_steps', 0, 'sample_steps: found 0, must be >= 1'),
    ('eta', -0.1, 'eta: found -0.1, must be >= 0'),
    ('eta', 1.1, 'eta: found 1.1, must be <= 1'),
  ],
)
def test_bad_settings_are_refused(field, value, message):
  with pytest.raises(ValueError, match=message):
    _generator(**{field: value})


def test_what_is_not_finite_is_not_clipped_to_white():
  codec = pairs.Codec((1,))
  x = np.zeros((1, 2, 2, 2), np.float32)
  x[0, 0, 1, 0], x[0, 1, 0, 0], x[0, 1, 1, 0] = np.inf, np.nan, 3.0
  image = np.asarray(codec.decode(jnp.asarray(x))[0])[0, ..., 0]
  np.testing.assert_array_equal(
    np.isfinite(image), [[True, False], [False, True]]
  )
  assert image[1, 1] == 1
