"""Where the runs of a sweep are executed; each comes back as it ends."""

from collections.abc import Iterator, Sequence
from concurrent import futures
import os
import pathlib
import subprocess
import time

from common import errors, grid

# (run, seconds that it took)
Ended = tuple[grid.Run, float]


def log_path(run: grid.Run) -> pathlib.Path:
  """What a run says, beside its folder."""
  return run.folder.with_name(f'{run.folder.name}.log')


def local(runs: Sequence[grid.Run], jobs: int) -> Iterator[Ended]:
  """`jobs` processes side by side, each on its share of the cores.

  When the caller stops, those that run are asked to save and end.
  """
  cores = sorted(os.sched_getaffinity(0))
  shares = [cores[i::jobs] or cores for i in range(jobs)]
  children: set[subprocess.Popen] = set()

  def execute(run: grid.Run) -> Ended:
    share = shares.pop()
    try:
      return run, _execute(run, share, children)
    finally:
      shares.append(share)

  with futures.ThreadPoolExecutor(jobs) as pool:
    tasks = [pool.submit(execute, run) for run in runs]
    try:
      for task in futures.as_completed(tasks):
        yield task.result()
    finally:
      for task in tasks:
        task.cancel()
      for child in tuple(children):
        child.terminate()


def on_ray(
  runs: Sequence[grid.Run], *, num_cpus: float, num_gpus: float
) -> Iterator[Ended]:
  """A task of a Ray cluster for each run, which all see the same folders.

  The cluster is that of RAY_ADDRESS, else one is started on this machine.

  Raises:
    InputError: ray is not installed.
  """
  try:
    import ray  # an extra, and seconds to import
  except ImportError as error:
    raise errors.InputError(
      "config.launcher: 'ray' needs the extra: pip install '.[ray]'"
    ) from error
  ray.init(log_to_driver=False)
  try:
    execute = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus)(_execute)
    here = pathlib.Path.cwd()
    waiting = {execute.remote(run, folder=here): run for run in runs}
    while waiting:
      (done,), _ = ray.wait(list(waiting))
      yield waiting.pop(done), ray.get(done)
  finally:
    ray.shutdown()


def _execute(
  run: grid.Run,
  cores: Sequence[int] = (),
  children: set[subprocess.Popen] | None = None,
  folder: pathlib.Path | None = None,
) -> float:
  """Runs one to its end, whatever that is; the seconds that it took."""
  start = time.monotonic()
  run.folder.parent.mkdir(parents=True, exist_ok=True)
  with open(log_path(run), 'ab') as log:
    child = subprocess.Popen(
      run.command, stdout=log, stderr=subprocess.STDOUT, cwd=folder
    )
    if cores:
      os.sched_setaffinity(child.pid, cores)
    if children is not None:
      children.add(child)
    try:
      child.wait()
    finally:
      if children is not None:
        children.discard(child)
  return time.monotonic() - start
