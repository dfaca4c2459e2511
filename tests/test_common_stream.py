import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import cost, errors, methods, results, stream, trainer
from common import plan as plan_lib
from tests import toy_problem

PLAN = plan_lib.Plan(
  seed=3,
  num_steps=(7, 6),
  batch_size=2,
  capacity=4,
  num_kept=2,
  log_every=2,
  checkpoint_every=3,
)


def _stream(
  workdir, name='samcl', problem=None, plan=PLAN, **kwargs
) -> stream.Stream:
  return stream.Stream(
    problem or toy_problem.Toy(),
    methods.get(name),
    methods.Settings(rho=0.01),
    optax.adam(0.3),
    plan,
    workdir,
    **kwargs,
  )


def _leaves(state) -> list[np.ndarray]:
  return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def _assert_same(a, b) -> None:
  for x, y in zip(_leaves(a[0]), _leaves(b[0]), strict=True):
    np.testing.assert_array_equal(x, y)
  assert a[1].rows == b[1].rows
  assert (a[1].phase, a[1].step) == (b[1].phase, b[1].step)


@pytest.mark.parametrize('name', list(methods.METHODS))
def test_scores_every_site_before_and_after_every_stage(name, tmp_path):
  _, position = _stream(tmp_path, name).run()
  scores = results.matrix(position.rows, 'tre')
  assert scores.shape == (3, 3)
  if name != 'joint':
    assert scores[1, 0] < scores[0, 0]
  assert position.step == (20 if name == 'smg' else 13)


def test_plain_descent_forgets_and_joint_lies_between(tmp_path):
  _, position = _stream(tmp_path / 'a', 'sequential').run()
  scores = results.matrix(position.rows, 'tre')
  assert scores[2, 0] > scores[1, 0] + 0.2
  state, _ = _stream(tmp_path / 'b', 'joint').run()
  middle = toy_problem.CENTRES[:2].mean(axis=0)
  start = np.zeros(2)
  assert np.linalg.norm(state.params['w'] - middle) < np.linalg.norm(
    start - middle
  )


def test_independent_starts_anew_and_keeps_each_sites_own_score(tmp_path):
  _, position = _stream(tmp_path / 'a', 'independent').run()
  assert position.rows[2][0] == position.rows[1][0]
  _, sequential = _stream(tmp_path / 'b', 'sequential').run()
  assert position.rows[1] == sequential.rows[1]
  assert position.rows[2][1] != sequential.rows[2][1]


@pytest.mark.parametrize(
  'name', ['samcl', 'er', 'independent', 'joint', 'smg_er']
)
@pytest.mark.parametrize('stop_at', [1, 3, 7, 8, 12])
def test_a_stopped_run_ends_as_an_uninterrupted_one(name, stop_at, tmp_path):
  whole = _stream(tmp_path / 'whole', name).run()
  asked = iter(range(1, 100))
  stopped = _stream(tmp_path / 'cut', name, stop=lambda: next(asked) == stop_at)
  assert stopped.run() is None
  assert (tmp_path / 'cut' / 'checkpoints' / f'step_{stop_at}').is_dir()
  _assert_same(_stream(tmp_path / 'cut', name).run(), whole)
  logs = [
    [
      json.loads(line)
      for line in (tmp_path / folder / 'metrics.jsonl').read_text().splitlines()
    ]
    for folder in ('whole', 'cut')
  ]
  assert [entry['step'] for entry in logs[0]] == [0, 2, 4, 6, 8, 10, 12]
  assert logs[0] == logs[1]


@pytest.mark.parametrize('stop_at', [5, 7, 9, 11, 14, 17, 19])
def test_a_run_with_a_generator_stops_and_goes_on(stop_at, tmp_path):
  """Train 0 to 6, generator 7 to 10, train 11 to 16, generator 17 to 19."""
  whole = _stream(tmp_path / 'whole', 'smg').run()
  asked = iter(range(1, 100))
  stopped = _stream(
    tmp_path / 'cut', 'smg', stop=lambda: next(asked) == stop_at
  )
  assert stopped.run() is None
  _assert_same(_stream(tmp_path / 'cut', 'smg').run(), whole)
  text = [
    (tmp_path / folder / 'metrics.jsonl').read_text()
    for folder in ('whole', 'cut')
  ]
  assert text[0] == text[1]
  splits = [json.loads(line)['split'] for line in text[0].splitlines()]
  assert splits == [
    *['train'] * 4,
    *['generator'] * 2,
    'replay/0',
    *['train'] * 3,
    *['generator'] * 2,
  ]
  np.testing.assert_array_equal(whole[0].generator['begun'], [1, 1, 0])
  assert int(whole[0].step) == 13


def test_generated_cases_fill_the_memory(tmp_path):
  state, _ = _stream(tmp_path, 'smg').run()
  # As many as the generator says, not as many as a memory of real cases has.
  assert int(state.memory.num_seen) == 3 != PLAN.num_kept
  gap = np.asarray(state.memory.items['x']) - toy_problem.CENTRES[0]
  assert np.abs(gap).max() < 0.5
  np.testing.assert_array_equal(state.memory.items['site'], 0)


class _Linear(toy_problem.Toy):
  """With a kernel, which gpm can hold."""

  def init(self, key):
    mine, key = jax.random.split(key)
    kernel = 0.1 * jax.random.normal(mine, (2, 2))
    return super().init(key) | {'kernel': kernel}

  def output(self, params, batch):
    return params['w'][None] + batch['x'] @ params['kernel']


@pytest.mark.parametrize('name', ['gpm', 'ewc', 'si', 'lwf', 'der', 'agem'])
@pytest.mark.parametrize('stop_at', [3, 7, 9])
def test_what_a_method_keeps_is_in_the_checkpoint(name, stop_at, tmp_path):
  """Within the first stage, between its last step and leaving it, and after."""
  whole = _stream(tmp_path / 'whole', name, problem=_Linear()).run()
  asked = iter(range(1, 100))
  stopped = _stream(
    tmp_path / 'cut',
    name,
    problem=_Linear(),
    stop=lambda: next(asked) == stop_at,
  )
  assert stopped.run() is None
  again = _stream(tmp_path / 'cut', name, problem=_Linear())
  _assert_same(again.run(), whole)
  kept = whole[0].memory if name in ('der', 'agem') else whole[0].rule
  assert any(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(kept))
  fresh, _ = _stream(tmp_path / 'seq', 'sequential', problem=_Linear()).run()
  assert not np.allclose(fresh.params['kernel'], whole[0].params['kernel'])


class _Three(toy_problem.Toy):
  stream = ('east', 'west', 'north')
  unseen = ()


@pytest.mark.parametrize('method', ['smg', 'smg_er'])
def test_cases_of_a_site_that_is_not_forgotten_stay(tmp_path, method):
  plan = dataclasses.replace(PLAN, num_steps=(3, 3, 3))
  after = []
  _stream(
    tmp_path,
    method,
    problem=_Three(),
    plan=plan,
    on_stage=lambda state, stage: after.append(state.memory),
  ).run()
  num = {'smg': 3, 'smg_er': plan.num_kept}[method]
  second, third = (
    {k: np.asarray(x) for k, x in memory.items.items()} for memory in after[1:]
  )
  np.testing.assert_array_equal(third['site'], np.repeat([0, 1], num))
  np.testing.assert_array_equal(third['x'][:num], second['x'][:num])
  gap = third['x'] - toy_problem.CENTRES[third['site']]
  assert np.abs(gap).max() < 1


class _Forgetful(toy_problem.Mean):
  """Moves what it learnt before along."""

  def step(self, state, batch, key, stage):
    state, metrics = super().step(state, batch, key, stage)
    held = state.generator
    past = jnp.arange(3)[:, None] < stage
    mean = held['mean'] + jnp.where(past, 1.0, 0.0)
    return state.replace(generator=held | {'mean': mean}), metrics


@pytest.mark.parametrize('stop_at', [None, 12, 14])
def test_past_sites_are_drawn_again_from_what_the_generator_is(
  stop_at, tmp_path
):
  problem, after = _Three(), []
  problem.generator = _Forgetful()
  plan = dataclasses.replace(PLAN, num_steps=(3, 3, 3))

  def stream(stop=lambda: False):
    return _stream(
      tmp_path,
      'smg',
      problem=problem,
      plan=plan,
      stop=stop,
      on_stage=lambda state, stage: after.append(state.memory),
    )

  if stop_at:
    asked = iter(range(1, 100))
    assert stream(lambda: next(asked) == stop_at).run() is None
  stream().run()
  second, third = (
    {k: np.asarray(x) for k, x in memory.items.items()} for memory in after[1:]
  )
  assert int(after[-1].num_seen) == 6
  np.testing.assert_array_equal(third['site'], np.repeat([0, 1], 3))
  # The same noise around the first site as it was moved, three times by one.
  np.testing.assert_allclose(third['x'][:3] - second['x'][:3], 3.0, atol=1e-5)
  lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  splits = [json.loads(line)['split'] for line in lines]
  assert [s for s in splits if s.startswith('replay')] == [
    *['replay/0'] * 2,
    'replay/1',
  ]


@pytest.mark.parametrize(
  ('method', 'alone'),
  [('agem', 'sequential'), ('smg_er', 'smg_none'), ('smg', 'smg_none')],
)
def test_the_first_stage_replays_nothing(tmp_path, method, alone):
  """A memory that is empty has zeros in it."""
  ends = {}
  for name in (method, alone):
    _stream(
      tmp_path / name,
      name,
      on_stage=lambda state, stage, name=name: ends.setdefault(
        name, np.asarray(state.params['w'])
      ),
    ).run()
  np.testing.assert_allclose(ends[method], ends[alone], rtol=1e-5)


@pytest.mark.parametrize('method', ['smg_er', 'agem'])
def test_kept_cases_are_real_ones_of_past_sites(tmp_path, method):
  state, _ = _stream(tmp_path, method).run()
  toy = toy_problem.Toy()
  real = toy.load_train([(0, case) for case in range(toy.num_train(0))])['x']
  for held in np.asarray(state.memory.items['x']):
    assert (np.abs(real - held).max(axis=1) == 0).any()
  assert len({tuple(x) for x in np.asarray(state.memory.items['x'])}) == 2


def test_a_problem_without_a_generator_is_refused(tmp_path):
  problem = toy_problem.Toy()
  problem.generator = None
  with pytest.raises(errors.InputError, match='toy has no generator'):
    _stream(tmp_path, 'smg', problem=problem)


def test_every_stage_is_shown(tmp_path):
  shown = []
  _stream(
    tmp_path, 'smg', on_stage=lambda state, stage: shown.append(stage)
  ).run()
  assert shown == [1, 2]


def test_lost_work_is_done_again_to_the_same_end(tmp_path):
  whole = _stream(tmp_path / 'whole').run()
  shutil.copytree(tmp_path / 'whole', tmp_path / 'cut')
  # As if killed between the last two checkpoints, inside the next write.
  newest = max((tmp_path / 'cut' / 'checkpoints').glob('step_*'))
  newest.rename(newest.with_name('.partial_13'))
  _assert_same(_stream(tmp_path / 'cut').run(), whole)


def test_a_damaged_checkpoint_is_passed_over(tmp_path, capsys):
  whole = _stream(tmp_path).run()
  newest = tmp_path / 'checkpoints' / 'step_13'
  for path in (newest / 'state').rglob('*'):
    if path.is_file() and path.stat().st_size > 40:
      path.write_bytes(path.read_bytes()[:-20] + b'\x00' * 20)
  again = _stream(tmp_path).run()
  assert 'step_13 is damaged' in capsys.readouterr().err
  _assert_same(again, whole)


def test_only_damaged_checkpoints_are_refused_not_overwritten(tmp_path):
  _stream(tmp_path).run()
  for path in (tmp_path / 'checkpoints').glob('step_*'):
    shutil.rmtree(path / 'state')
  with pytest.raises(errors.InputError, match=r'none of the checkpoints'):
    _stream(tmp_path).run()


def test_a_loss_that_is_not_finite_names_site_and_step(tmp_path):
  # Two calls make the template of the memory, so the 11th is step 8.
  problem = toy_problem.Toy(poison=11)
  with pytest.raises(
    errors.InputError, match=r'stage 2 \(west\), step 8: .*loss/total is nan'
  ):
    _stream(tmp_path, problem=problem).run()
  state, position = _stream(tmp_path).restore()
  assert position.step == 7
  assert all(np.isfinite(leaf).all() for leaf in _leaves(state.params))


class _Diverging(toy_problem.Mean):
  """A generator whose loss is not a number."""

  def step(self, state, batch, key, stage):
    state, _ = super().step(state, batch, key, stage)
    return state, {'generator/loss/total': jnp.nan}


def test_a_generator_that_diverges_names_its_own_rate(tmp_path):
  problem = _Three()
  problem.generator = _Diverging()
  plan = dataclasses.replace(PLAN, num_steps=(3, 3, 3))
  with pytest.raises(errors.InputError, match=r'config\.diffusion\.lr'):
    _stream(tmp_path, 'smg', problem=problem, plan=plan).run()


def test_the_memory_holds_cases_of_past_sites(tmp_path):
  state, _ = _stream(tmp_path).run()
  assert int(state.memory.num_seen) == 26
  held = np.asarray(state.memory.items['x'])
  nearest = np.linalg.norm(
    held[:, None] - toy_problem.CENTRES[None], axis=-1
  ).argmin(axis=1)
  assert set(nearest) == {0, 1}


@pytest.mark.parametrize(
  ('counts', 'filled'),
  [((5,), (5, 5, 5)), ((5, 2), (5, 2, 2)), ((1, 2, 3),) * 2],
)
def test_the_last_count_serves_all_later_stages(counts, filled):
  assert trainer.fill_stages('config.x', counts, 3) == filled


@pytest.mark.parametrize('counts', [(), (1, 2, 3, 4)])
def test_more_counts_than_stages_are_refused(counts):
  with pytest.raises(errors.InputError, match=r'config.x: found [04] numbers'):
    trainer.fill_stages('config.x', counts, 3)


def test_pace_is_of_the_last_stage_and_of_no_generator(tmp_path):
  """Its steps end with the last one, and none is from before the stage."""
  runner = _stream(tmp_path, 'smg')
  seen = []

  class Pace(cost.Pace):
    def start(self, step):
      seen.append((id(self), step))
      super().start(step)

    def mark(self, step):
      seen.append((id(self), step))
      super().mark(step)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(cost, 'Pace', Pace)
    _, position = runner.run()
  steps = [step for owner, step in seen if owner == id(runner.pace)]
  # East takes 7 steps and 4 of the generator, west 6 and 3.
  assert (min(steps), max(steps), position.step) == (12, 17, 20)
  assert runner.pace.median > 0
