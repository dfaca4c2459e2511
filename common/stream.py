"""The one loop over stages: train on a site, score every site, save, resume."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import pathlib
import sys
import time
from typing import Any

import jax
import optax
import tqdm

from common import (
  checkpoint,
  cost,
  divergence,
  errors,
  execution,
  feed,
  methods,
  metric_log,
  rng,
)
from common import plan as plan_lib
from common import problem as problem_lib
from common import train_state as ts


class Stream:
  """A method learning the stream of a problem, in one working directory.

  Args:
    problem: sites, network and loss.
    method: rule and memory.
    settings: strengths of the rules.
    tx: optimizer.
    plan: seeds, sizes and periods.
    workdir: receives `checkpoints/` and `metrics.jsonl`.
    stop: asked after every step; True ends the run after a checkpoint.
    on_stage: called with the state and the number of the stage, from 1, at the
      end of each.
  """

  def __init__(
    self,
    problem: problem_lib.Problem,
    method: methods.Method,
    settings: methods.Settings,
    tx: optax.GradientTransformation,
    plan: plan_lib.Plan,
    workdir: pathlib.Path,
    stop: Callable[[], bool] = lambda: False,
    on_stage: Callable[[ts.TrainState, int], None] = lambda *_: None,
  ):
    self._problem, self._method, self._plan = problem, method, plan
    self._tx, self._stop, self._on_stage = tx, stop, on_stage
    self._checkpoints = checkpoint.Checkpoints(
      workdir / 'checkpoints', say=_say
    )
    self._log_path = workdir / 'metrics.jsonl'
    # Of the latest stage: the first one has no past to replay.
    self.pace = cost.Pace()
    self._generator = None
    if method.memory == 'generated':
      self._generator = problem.generator
      if self._generator is None:
        raise errors.InputError(
          f'config.method: {problem.name} has no generator to replay past '
          'sites with; smg_er replays real ones'
        )
    self._phases = plan_lib.list_phases(
      plan.num_steps, self._generator and self._generator.num_steps
    )
    self._settings = settings = settings.of(problem)
    self._step, self._probe = self._build(settings)
    self._first_step, self._first_probe = self._step, self._probe
    self._consolidate = method.make_consolidation(problem.loss, settings)
    self._feed = feed.Feed(problem, method, plan, self._generator)
    if self._keeps_past_sites:
      first = dataclasses.replace(settings, has_past=False)
      self._first_step, self._first_probe = self._build(first)

  def run(self) -> tuple[ts.TrainState, plan_lib.Position] | None:
    """Goes on from the newest checkpoint to the end; None if stopped before.

    Raises:
      InputError: the loss is not finite, or a checkpoint cannot be written.
    """
    if self._keeps_past_sites and len(self._problem.stream) == 1:
      _say(
        'one site: past ones come back from stage 2 on, and there is no stage 2'
      )
    state, position = self._start()
    self._log = metric_log.MetricLog(self._log_path, step=position.step)
    since = time.monotonic() - position.wall_s
    bar = _progress_bar(self._phases[-1].end, position.step)
    with bar:
      while position.phase < len(self._phases):
        phase = self._phases[position.phase]
        bar.set_description(
          f'stage {phase.stage + 1}/{len(self._plan.num_steps)} '
          f'{self._problem.stream[phase.stage]}'
          + (' (generator)' if phase.kind == 'generator' else '')
        )
        state, finished = self._run_phase(phase, state, position, bar, since)
        if not finished:
          return None
        state = self._end_phase(phase, state, position, since)
    return state, position

  @property
  def num_steps(self) -> int:
    """Of all phases together."""
    return self._phases[-1].end

  def restore(self) -> tuple[ts.TrainState, plan_lib.Position] | None:
    """The newest checkpoint, None if there is none."""
    found = self._checkpoints.load_latest(self._create_state())
    if found is None:
      return None
    return found[0], plan_lib.Position.from_json(found[1])

  def _build(
    self, settings: methods.Settings
  ) -> tuple[ts.StepFn, ts.ProbeFn | None]:
    """Step and probe of the method."""
    loss = self._problem.loss
    step = execution.compiled(self._method.make_step(loss, self._tx, settings))
    return step, self._method.make_probe(loss, settings)

  def _start(self) -> tuple[ts.TrainState, plan_lib.Position]:
    restored = self.restore()
    if restored is not None:
      _say(f'resuming at step {restored[1].step}')
      return restored
    state = self._create_state()
    rows = [self._evaluate(state.params)]
    return state, plan_lib.Position(phase=0, step=0, wall_s=0.0, rows=rows)

  def _create_state(self) -> ts.TrainState:
    """A fresh state; the initial parameters depend on the seed alone."""
    params = self._problem.init(rng.stream(self._plan.seed, 'init'))
    method, settings = self._method, self._settings
    generator = rule = annotate = None
    if self._generator is not None:
      generator = self._generator.init(
        rng.stream(self._plan.seed, 'generator/init')
      )
    if method.create_rule is not None:
      rule = method.create_rule(params, settings)
    if method.build_annotation is not None:
      annotate = functools.partial(method.build_annotation(settings), params)
    memory = self._feed.create_memory(annotate)
    return ts.create_state(params, self._tx, memory, generator, rule)

  @property
  def _keeps_past_sites(self) -> bool:
    """Whether the memory is filled between stages, and not by steps."""
    return self._method.memory in ('kept', 'generated')

  def _run_phase(
    self,
    phase: plan_lib.Phase,
    state: ts.TrainState,
    position: plan_lib.Position,
    bar: tqdm.tqdm,
    since: float,
  ) -> tuple[ts.TrainState, bool]:
    """Steps to the end of the phase; False if asked to stop before."""
    plan = self._plan
    if phase.kind == 'train':
      self.pace = cost.Pace()
    losses = divergence.Losses(self._problem.stream[phase.stage], phase)
    while position.step < phase.end:
      step = position.step
      batch = self._feed.batch(phase, step)
      key = rng.at(plan.seed, phase.kind, step)
      logged = step % plan.log_every == 0 or step + 1 == phase.end
      if logged and phase.kind == 'train':
        jax.block_until_ready(state)
        self.pace.mark(step)
      probed = self._measure(phase, state, batch, key) if logged else {}
      state, metrics = self._take_step(phase, state, batch, key)
      losses.add(step, metrics)
      position.step += 1
      if logged:
        losses.check()
        self._write(phase, step, phase.kind, jax.device_get(metrics | probed))
        bar.set_postfix(loss=f'{losses.last:.3f}', refresh=False)
      bar.update()
      stopping = self._stop()
      due = position.step % plan.checkpoint_every == 0
      # At the end of a phase the next one is entered first, if there is time.
      saved = stopping or (due and position.step < phase.end)
      if saved:
        losses.check()
        self._save(state, position, since)
      if (logged or saved) and phase.kind == 'train':
        self.pace.start(position.step)
      if stopping:
        return state, False
    return state, True

  def _take_step(
    self,
    phase: plan_lib.Phase,
    state: ts.TrainState,
    batch: ts.Batch,
    key: jax.Array,
  ) -> tuple[ts.TrainState, ts.Metrics]:
    if phase.kind == 'generator':
      return self._generator.step(state, batch, key, phase.stage)
    step = self._step if phase.stage else self._first_step
    return step(state, batch, key)

  def _measure(
    self,
    phase: plan_lib.Phase,
    state: ts.TrainState,
    batch: ts.Batch,
    key: jax.Array,
  ) -> ts.Metrics:
    probe = self._probe if phase.stage else self._first_probe
    if probe is None or phase.kind == 'generator':
      return {}
    # The draws of the step itself, on purpose.
    return probe(state, batch, jax.random.clone(key))

  def _write(
    self,
    phase: plan_lib.Phase,
    step: int,
    split: str,
    metrics: Mapping[str, Any],
  ) -> None:
    self._log.write(
      stage=phase.stage + 1,
      site=self._problem.stream[phase.stage],
      step=step,
      split=split,
      metrics=metrics,
    )

  def _end_phase(
    self,
    phase: plan_lib.Phase,
    state: ts.TrainState,
    position: plan_lib.Position,
    since: float,
  ) -> ts.TrainState:
    """What lies between two phases, in one checkpoint."""
    if phase.kind == 'train':
      position.rows.append(self._evaluate(state.params))
      if self._method.one_model_per_site:
        for site in range(phase.stage):
          position.rows[-1][site] = position.rows[-2][site]
      if self._consolidate is not None:
        state = self._leave(phase.stage, state)
    position.phase += 1
    rest = self._phases[position.phase :]
    if not rest or rest[0].stage > phase.stage:
      self._on_stage(state, phase.stage + 1)
    if rest:
      state = self._enter(rest[0], state)
    self._save(state, position, since)
    return state

  def _leave(self, stage: int, state: ts.TrainState) -> ts.TrainState:
    """The state with what the method keeps of a site."""
    cases = self._feed.cases(stage, self._settings.num_consolidated)
    key = rng.stream(self._plan.seed, f'consolidate/{stage}')
    return self._consolidate(state, cases, key, stage)

  def _enter(
    self, phase: plan_lib.Phase, state: ts.TrainState
  ) -> ts.TrainState:
    """The state that a phase starts from."""
    if phase.kind == 'generator':
      return self._generator.begin(state, phase.stage)
    if self._method.one_model_per_site:
      return self._create_state().replace(step=state.step)
    if self._keeps_past_sites:
      state, logged = self._feed.remember(state, phase.stage - 1)
      for site, metrics in logged.items():
        # Of the last step, which a checkpoint taken now has behind it.
        self._write(phase, phase.start - 1, f'replay/{site}', metrics)
    return state

  def _save(
    self, state: ts.TrainState, position: plan_lib.Position, since: float
  ) -> None:
    position.wall_s = time.monotonic() - since
    self._checkpoints.save(position.step, state, position.to_json())

  def _evaluate(self, params: ts.Params) -> list[list[problem_lib.CaseScore]]:
    num_sites = len(self._problem.stream) + len(self._problem.unseen)
    return [self._problem.evaluate(params, site) for site in range(num_sites)]


def _progress_bar(total: int, done: int) -> tqdm.tqdm:
  """Steps done and time left, on stderr; rarely where nobody watches."""
  interval = 0.5 if sys.stderr.isatty() else 15.0
  return tqdm.tqdm(
    total=total, initial=done, unit='step', mininterval=interval, smoothing=0.1
  )


def _say(line: str) -> None:
  tqdm.tqdm.write(line, file=sys.stderr)
