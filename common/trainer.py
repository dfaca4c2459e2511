"""From a resolved config to the stream it describes, and its finished run."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import pathlib
import signal
import threading

from ml_collections import config_dict

from common import (
  claim,
  errors,
  files,
  methods,
  optim,
  results,
  rng,
  run_report,
  stream,
  trained,
)
from common import plan as plan_lib
from common import problem as problem_lib
from common import train_state as ts
from common.rules import (
  aligned_rehearsal,
  alignment,
  distillation,
  gpm,
  penalty,
)

CreateProblem = Callable[[config_dict.ConfigDict], problem_lib.Problem]


def train(
  create_problem: CreateProblem,
  config: config_dict.ConfigDict,
  workdir: pathlib.Path,
) -> None:
  """Runs or resumes `config` in `workdir` and leaves all files of a run.

  SIGTERM ends it after a checkpoint; the same command goes on from there. Of a
  finished run only plots and page are made anew; results.json keeps the record
  of what trained it.

  Raises:
    InputError: config, data or workdir cannot be used, the loss is not finite,
      or another process holds the workdir.
  """
  methods.get(config.method)
  problem = create_problem(config)
  plan = create_plan(config, len(problem.stream))
  stopped = threading.Event()
  runner = create_stream(
    problem,
    config,
    plan,
    workdir,
    stop=stopped.is_set,
    on_stage=lambda *at: problem.draw(at[0], workdir / 'figures', at[1]),
  )
  with files.locked(workdir), _sigterm(stopped):
    claim.take(workdir, config)
    if not results.exist(workdir):
      finished = runner.run()
      if finished is None:
        print(f'stopped after a checkpoint; start again to go on: {workdir}')
        return
      results.write(
        workdir,
        problem,
        config.method,
        plan,
        finished[1],
        step_s=runner.pace.median,
      )
    run_report.write_report(workdir)
  print(results.summary_line(workdir))


def evaluate(
  create_problem: CreateProblem,
  config: config_dict.ConfigDict,
  workdir: pathlib.Path,
) -> None:
  """Scores the newest checkpoint of a run on the sites of `config`.

  Writes evaluation.csv, the per-case rows, and prints the means. The sites may
  be others than those trained on, and whatever else the config says does not
  matter; the network must be the same.

  Raises:
    InputError: the workdir has no checkpoint, or one of another network.
  """
  problem = create_problem(config)
  fresh = problem.init(rng.stream(config.seed, 'init'))
  params = trained.load_params(workdir, like=fresh)
  sites = [*problem.stream, *problem.unseen]
  rows = [problem.evaluate(params, i) for i in range(len(sites))]
  results.write_evaluation(workdir, sites, rows)
  for line in results.table(problem, rows):
    print(line)


def restore(
  problem: problem_lib.Problem,
  config: config_dict.ConfigDict,
  workdir: pathlib.Path,
) -> tuple[ts.TrainState, plan_lib.Position]:
  """The end of a run, whole: of this method, stream and memory.

  Raises:
    InputError: the workdir has no checkpoint that can be read, or is that of a
      run of another config, or of one that has not ended.
  """
  claim.check(workdir, config)
  plan = create_plan(config, len(problem.stream))
  runner = create_stream(problem, config, plan, workdir)
  restored = runner.restore()
  step = restored[1].step if restored else None
  if step != runner.num_steps:
    found = 'no checkpoint' if step is None else f'one of step {step}'
    raise errors.InputError(
      f'{workdir / "checkpoints"}: found {found}, allowed that of a finished '
      f'run, of step {runner.num_steps}'
    )
  return restored


def create_plan(
  config: config_dict.ConfigDict, num_stages: int
) -> plan_lib.Plan:
  """The plan of `config.train` and `config.memory`, checked.

  Raises:
    InputError: a count below 1, `num_steps` for more stages than there are, or
      a memory smaller than a batch.
  """
  steps = fill_stages(
    'config.train.num_steps', config.train.num_steps, num_stages
  )
  counts = {
    'train.num_steps': min(steps),
    'train.batch_size': config.train.batch_size,
    'train.log_every': config.train.log_every,
    'train.checkpoint_every': config.train.checkpoint_every,
    'memory.capacity': config.memory.capacity,
    'memory.num_draws': config.memory.num_draws,
    'memory.num_kept': config.memory.num_kept,
    'consolidation.num_cases': config.consolidation.num_cases,
  }
  for name, found in counts.items():
    if found < 1:
      raise errors.InputError(f'config.{name}: found {found}, must be >= 1')
  if config.memory.batch_size < 0:
    raise errors.InputError(
      f'config.memory.batch_size: found {config.memory.batch_size}, must be >= '
      '0; 0 is as many as config.train.batch_size'
    )
  largest = max(config.train.batch_size, config.memory.batch_size)
  if config.memory.capacity < largest:
    raise errors.InputError(
      f'config.memory.capacity: found {config.memory.capacity}, must be at '
      'least the larger of config.train.batch_size and '
      f'config.memory.batch_size, {largest}'
    )
  return plan_lib.Plan(
    seed=config.seed,
    num_steps=steps,
    batch_size=config.train.batch_size,
    capacity=config.memory.capacity,
    num_kept=config.memory.num_kept,
    log_every=config.train.log_every,
    checkpoint_every=config.train.checkpoint_every,
  )


def fill_stages(
  field: str, counts: Sequence[int], num_stages: int
) -> tuple[int, ...]:
  """A count for each stage; the last one given serves all that follow.

  Raises:
    InputError: none is given, or more than there are stages.
  """
  if not 1 <= len(counts) <= num_stages:
    raise errors.InputError(
      f'{field}: found {len(counts)} numbers, allowed one to {num_stages}, the '
      'number of sites; the last serves all later ones'
    )
  return (*counts, *[counts[-1]] * (num_stages - len(counts)))


def create_stream(
  problem: problem_lib.Problem,
  config: config_dict.ConfigDict,
  plan: plan_lib.Plan,
  workdir: pathlib.Path,
  **callbacks: Callable,
) -> stream.Stream:
  """The stream of a config, ready to run or to restore.

  `callbacks` are `stop` and `on_stage` of `stream.Stream`.

  Raises:
    InputError: a value that is not allowed.
  """
  method = methods.get(config.method)
  try:
    settings = methods.Settings(
      rho=config.sam.rho,
      adaptive=config.sam.adaptive,
      beta=config.reptile.beta,
      per_sample=config.reptile.per_sample,
      accumulate=config.train.accumulate,
      shift_share=config.train.shift_share,
      num_replayed=config.memory.batch_size or None,
      num_draws=config.memory.num_draws,
      num_consolidated=config.consolidation.num_cases,
      alignment=create_alignment(config),
      ewc=penalty.Ewc(**config.ewc),
      si=penalty.Si(**config.si),
      lwf=distillation.Lwf(**config.lwf),
      gpm=gpm.Gpm(**config.gpm),
      der=distillation.Der(**config.der),
    )
    tx = optim.create_optimizer(
      config.optim.name,
      schedule=optim.create_schedule(
        config.optim.schedule,
        lr=config.optim.lr,
        num_steps=plan.num_steps,
        warmup=config.optim.warmup,
        final_ratio=config.optim.final_ratio,
      ),
      weight_decay=config.optim.weight_decay,
      clip_norm=config.optim.clip_norm or None,
    )
    return stream.Stream(
      problem, method, settings, tx, plan, workdir, **callbacks
    )
  except ValueError as error:
    raise errors.InputError(f'config: {error}') from error


def create_alignment(
  config: config_dict.ConfigDict,
) -> aligned_rehearsal.Alignment:
  """The strengths of `config.alignment`."""
  fields = config.alignment.to_dict()
  own = [field.name for field in dataclasses.fields(alignment.Strength)]
  strength = {name: fields.pop(name) for name in own}
  return aligned_rehearsal.Alignment(alignment.Strength(**strength), **fields)


@contextlib.contextmanager
def _sigterm(event: threading.Event) -> Iterator[None]:
  """SIGTERM, which schedulers send before they take a machine, sets `event`."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  previous = signal.signal(signal.SIGTERM, lambda *_: event.set())
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, previous)
