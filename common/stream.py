"""The one loop over stages: train on a site, score every site, save, resume."""

from collections.abc import Callable
import dataclasses
import itertools
import pathlib
import sys
import time

import jax
import numpy as np
import optax
import tqdm

from common import batching, checkpoint, errors, methods, metric_log, rng
from common import memory as memory_lib
from common import problem as problem_lib
from common import train_state as ts

# rows[stage][site]: stage 0 is the untrained network, stage t follows the t-th
# site of the stream.
Rows = list[list[list[problem_lib.Row]]]


@dataclasses.dataclass(frozen=True)
class Plan:
  """How long and in what portions a stream is learnt.

  Attributes:
    seed: of every random draw.
    num_steps: steps of each stage.
    batch_size: cases per step.
    capacity: cases held by the memory of methods that have one.
    log_every: steps between lines of metrics.jsonl.
    checkpoint_every: steps between checkpoints within a stage.
  """

  seed: int
  num_steps: tuple[int, ...]
  batch_size: int
  capacity: int
  log_every: int
  checkpoint_every: int

  @property
  def starts(self) -> tuple[int, ...]:
    """Global step at which each stage begins, and the end of the last."""
    return (0, *itertools.accumulate(self.num_steps))


@dataclasses.dataclass
class Position:
  """Where a run stands; `step` counts over the whole run."""

  stage: int
  step: int
  wall_s: float
  rows: Rows

  def to_json(self) -> dict:
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, fields: dict) -> 'Position':
    rows = [
      [[problem_lib.Row(*row) for row in site] for site in stage]
      for stage in fields['rows']
    ]
    return cls(**(fields | {'rows': rows}))


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
  """

  def __init__(
    self,
    problem: problem_lib.Problem,
    method: methods.Method,
    settings: methods.Settings,
    tx: optax.GradientTransformation,
    plan: Plan,
    workdir: pathlib.Path,
    stop: Callable[[], bool] = lambda: False,
  ):
    self._problem, self._method, self._plan = problem, method, plan
    self._tx, self._stop = tx, stop
    self._checkpoints = checkpoint.Checkpoints(
      workdir / 'checkpoints', say=_say
    )
    self._log_path = workdir / 'metrics.jsonl'
    step = method.make_step(problem.loss, tx, settings)
    # On CPU the pieces of a step are compiled one by one: SAMCL's would hold
    # six copies of the gradient, a minute and more to compile.
    if jax.default_backend() != 'cpu':
      step = jax.jit(step, donate_argnums=0)
    self._step = step

  def run(self) -> tuple[ts.TrainState, Position] | None:
    """Goes on from the newest checkpoint to the end; None if stopped before.

    Raises:
      InputError: the loss is not finite, or a checkpoint cannot be written.
    """
    state, position = self._start()
    log = metric_log.MetricLog(self._log_path, step=position.step)
    since = time.monotonic() - position.wall_s
    total = self._plan.starts[-1]
    bar = _progress_bar(total, position.step)
    with bar:
      while position.stage < len(self._plan.num_steps):
        bar.set_description(
          f'stage {position.stage + 1}/{len(self._plan.num_steps)} '
          f'{self._problem.stream[position.stage]}'
        )
        state, finished = self._train_stage(state, position, log, bar, since)
        if not finished:
          return None
        state = self._end_stage(state, position, since)
    return state, position

  def restore(self) -> tuple[ts.TrainState, Position] | None:
    """The newest checkpoint, None if there is none."""
    found = self._checkpoints.load_latest(self._create_state())
    if found is None:
      return None
    return found[0], Position.from_json(found[1])

  def _start(self) -> tuple[ts.TrainState, Position]:
    restored = self.restore()
    if restored is not None:
      _say(f'resuming at step {restored[1].step}')
      return restored
    state = self._create_state()
    rows = [self._evaluate(state.params)]
    return state, Position(stage=0, step=0, wall_s=0.0, rows=rows)

  def _create_state(self) -> ts.TrainState:
    """A fresh state; the initial parameters depend on the seed alone."""
    params = self._problem.init(rng.stream(self._plan.seed, 'init'))
    memory = None
    if self._method.remembers:
      memory = memory_lib.create_memory(
        self._problem.load_train([(0, 0)]), self._plan.capacity
      )
    return ts.create_state(params, self._tx, memory)

  def _train_stage(self, state, position, log, bar, since):
    """Steps to the end of the stage; False if asked to stop before."""
    plan = self._plan
    end = plan.starts[position.stage + 1]
    losses = _Losses(self._problem.stream[position.stage], position.stage + 1)
    while position.step < end:
      step = position.step
      batch = self._problem.load_train(self._items(position.stage, step))
      key = rng.at(plan.seed, 'train', step)
      state, metrics = self._step(state, batch, key)
      losses.add(step, metrics)
      position.step += 1
      if step % plan.log_every == 0 or position.step == end:
        losses.check()
        values = jax.device_get(metrics)
        log.write(
          stage=position.stage + 1,
          site=self._problem.stream[position.stage],
          step=step,
          split='train',
          metrics=values,
        )
        bar.set_postfix(loss=f'{losses.last:.3f}', refresh=False)
      bar.update()
      stopping = self._stop()
      due = position.step % plan.checkpoint_every == 0
      if (due or stopping) and position.step < end:
        losses.check()
        self._save(state, position, since)
      if stopping:
        return state, False
    return state, True

  def _end_stage(self, state, position, since):
    """Scores every site and starts the next stage, in one checkpoint."""
    position.rows.append(self._evaluate(state.params))
    position.stage += 1
    if self._method.one_model_per_site:
      for site in range(position.stage - 1):
        position.rows[-1][site] = position.rows[-2][site]
      if position.stage < len(self._plan.num_steps):
        step = state.step
        state = self._create_state().replace(step=step)
    self._save(state, position, since)
    return state

  def _save(self, state, position, since):
    position.wall_s = time.monotonic() - since
    self._checkpoints.save(position.step, state, position.to_json())

  def _items(self, stage: int, step: int) -> list[tuple[int, int]]:
    """(site, case) of one batch."""
    plan = self._plan
    within = step - plan.starts[stage]
    name, size = f'stage{stage}', plan.batch_size
    if self._method.all_sites:
      counts = [
        self._problem.num_train(site)
        for site in range(len(self._problem.stream))
      ]
      return batching.balanced_batch(
        plan.seed, 'all', step, num_cases=counts, batch_size=size
      )
    cases = batching.batch_indices(
      plan.seed,
      name,
      within,
      num_cases=self._problem.num_train(stage),
      batch_size=size,
    )
    return [(stage, int(case)) for case in cases]

  def _evaluate(self, params) -> list[list[problem_lib.Row]]:
    num_sites = len(self._problem.stream) + len(self._problem.unseen)
    return [self._problem.evaluate(params, site) for site in range(num_sites)]


class _Losses:
  """Losses still on the device, to be looked at together later."""

  def __init__(self, site: str, stage: int):
    self._site, self._stage = site, stage
    self._waiting: list[tuple[int, dict]] = []
    self.last = float('nan')

  def add(self, step: int, metrics: ts.Metrics) -> None:
    totals = {k: v for k, v in metrics.items() if k.endswith('loss/total')}
    self._waiting.append((step, totals))

  def check(self) -> None:
    """Raises InputError at the first step whose loss is not finite."""
    for step, totals in jax.device_get(self._waiting):
      for name, value in totals.items():
        if not np.isfinite(value):
          raise errors.InputError(
            f'stage {self._stage} ({self._site}), step {step}: {name} is '
            f'{value}, must be finite; the last checkpoint before it is kept. '
            'Try a smaller config.optim.lr.'
          )
      self.last = float(next(iter(totals.values())))
    self._waiting.clear()


def _progress_bar(total: int, done: int) -> tqdm.tqdm:
  """Steps done and time left, on stderr; rarely where nobody watches."""
  interval = 0.5 if sys.stderr.isatty() else 15.0
  return tqdm.tqdm(
    total=total, initial=done, unit='step', mininterval=interval, smoothing=0.1
  )


def _say(line: str) -> None:
  tqdm.tqdm.write(line, file=sys.stderr)
