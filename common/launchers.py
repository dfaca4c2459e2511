"""Where the runs of a sweep are executed; each comes back as it ends."""

from collections.abc import Generator, Sequence
from concurrent import futures
import os
import pathlib
import signal
import subprocess
import threading
import time
from typing import Any, NamedTuple

from common import extras, grid


class Ended(NamedTuple):
  """A run that came back.

  Attributes:
    run: which.
    seconds: that it took.
    problem: how it ended, in words, if not by itself with code 0.
  """

  run: grid.PlannedRun
  seconds: float
  problem: str = ''


def log_path(run: grid.PlannedRun) -> pathlib.Path:
  """What a run says, beside its folder."""
  return run.folder.with_name(f'{run.folder.name}.log')


def compiled_path(run: grid.PlannedRun) -> pathlib.Path:
  """What runs of a base config compile, for each other."""
  return run.folder.with_name('compiled').absolute()


def local(runs: Sequence[grid.PlannedRun], jobs: int) -> Generator[Ended]:
  """`jobs` processes side by side, each on its share of the cores.

  When the caller stops, those that run are asked to save and end.
  """
  cores = _cores()
  shares = [cores[i::jobs] or cores for i in range(jobs)]
  children = _Children()

  def execute(run: grid.PlannedRun) -> Ended:
    share = shares.pop()
    try:
      return _execute(run, children, cores=share)
    finally:
      shares.append(share)

  with futures.ThreadPoolExecutor(jobs) as pool:
    tasks = waiting = {pool.submit(execute, run) for run in runs}
    try:
      while waiting:
        # Not for longer: a signal that comes to another thread, as after
        # SIGCONT, is only seen by this one when it wakes.
        done, waiting = futures.wait(waiting, 1.0, futures.FIRST_COMPLETED)
        for task in done:
          yield task.result()
    finally:
      for task in tasks:
        task.cancel()
      children.end()


def on_ray(
  runs: Sequence[grid.PlannedRun], *, num_cpus: float, num_gpus: float
) -> Generator[Ended]:
  """A task of a Ray cluster for each run, which all see the same folders.

  The cluster is that of RAY_ADDRESS, else one that `ray start` left on this
  machine, else a new one. A run whose worker is lost comes back as one that
  failed.

  Raises:
    InputError: ray is not installed.
  """
  ray = extras.load('ray', 'ray', "config.launcher='ray'")
  ray.init(log_to_driver=False)
  try:
    execute = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus)(_execute_there)
    here, start = pathlib.Path.cwd(), time.monotonic()
    waiting = {execute.remote(run, here): run for run in runs}
    while waiting:
      (done,), _ = ray.wait(list(waiting))
      run = waiting.pop(done)
      try:
        yield ray.get(done)
      except ray.exceptions.RayError as error:
        _say(run, str(error))
        yield Ended(run, time.monotonic() - start, 'the worker was lost')
  finally:
    ray.shutdown()


class _Children:
  """Processes that have to end with this one."""

  def __init__(self):
    self._lock = threading.Lock()
    self._running: set[subprocess.Popen] = set()
    self._ending = False

  def start(
    self, command: Sequence[str], **kwargs: Any
  ) -> subprocess.Popen | None:
    """None once they were told to end."""
    with self._lock:
      if self._ending:
        return None
      # A group of its own: Ctrl-C reaches it as the SIGTERM of `end`, on which
      # it saves.
      child = subprocess.Popen(command, process_group=0, **kwargs)
      self._running.add(child)
      return child

  def forget(self, child: subprocess.Popen) -> None:
    with self._lock:
      self._running.discard(child)

  def end(self) -> None:
    with self._lock:
      self._ending = True
      for child in self._running:
        child.terminate()


def _execute(
  run: grid.PlannedRun,
  children: _Children,
  *,
  cores: Sequence[int] = (),
  folder: pathlib.Path | None = None,
) -> Ended:
  """Runs one to its end, whatever that is."""
  start, problem = time.monotonic(), 'not started'
  shared = {
    'JAX_COMPILATION_CACHE_DIR': str(compiled_path(run)),
    # The many that are compiled in no time are an eighth of a run's start.
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }
  try:
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with open(log_path(run), 'ab') as log:
      child = children.start(
        run.command,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=shared | os.environ,
      )
      if child is not None:
        if cores:
          os.sched_setaffinity(child.pid, cores)
        problem = _said_by(child.wait())
        children.forget(child)
  except OSError as error:
    _say(run, f'error: not started: {error}')
  return Ended(run, time.monotonic() - start, problem)


def _said_by(code: int) -> str:
  """What the exit code of a process says; nothing if all went well."""
  if code >= 0:
    return f'exit code {code}' if code else ''
  try:
    return f'killed by {signal.Signals(-code).name}'
  except ValueError:
    return f'killed by signal {-code}'


def _execute_there(run: grid.PlannedRun, folder: pathlib.Path) -> Ended:
  """In a worker, which is told by SIGTERM that its run has to save and end."""
  children = _Children()
  if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, lambda *_: children.end())
  return _execute(run, children, folder=folder)


def _cores() -> list[int]:
  """Those this process may use; none where the platform does not say."""
  if hasattr(os, 'sched_getaffinity'):
    return sorted(os.sched_getaffinity(0))
  return []


def _say(run: grid.PlannedRun, line: str) -> None:
  try:
    with open(log_path(run), 'a', encoding='utf-8') as log:
      log.write(f'{line}\n')
  except OSError:
    print(f'{run.name}: {line}')
