"""Many runs, on this machine or a Ray cluster: `python -m common.sweep`.

    python -m common.sweep --config=configs/sweep_tiny.py --workdir=DIR

writes DIR/runs.txt, a plain list of commands that any launcher can execute, one
a line, and executes those whose results are not there yet. Started again it
goes on; a run that fails does not stop the others. What they compile they share
in DIR/*/compiled, unless JAX_COMPILATION_CACHE_DIR says another place.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
import contextlib
import pathlib
import shlex
import signal
import threading
import time

from ml_collections import config_dict

from common import app, claim, errors, files, grid, launchers

LAUNCHERS = ('local', 'ray', 'none')


def main(config: config_dict.ConfigDict, workdir: pathlib.Path) -> int:
  """Executes the runs of `config.groups`; 1 if one of them failed.

  Raises:
    InputError: a field of the config, a folder that cannot be written to, or
      one that holds a run of another config.
  """
  if config.launcher not in LAUNCHERS:
    raise errors.InputError(
      f'config.launcher: found {config.launcher!r}, allowed: '
      f'{", ".join(LAUNCHERS)}'
    )
  if config.jobs < 1:
    raise errors.InputError(f'config.jobs: found {config.jobs}, must be >= 1')
  runs = grid.list_runs(config.groups.to_dict(), workdir)
  waiting = [run for run in runs if not run.finished]
  with files.locked(workdir), _signals_interrupt():
    for run in runs:
      _check_claim(run)
    lines = [f'{shlex.join(run.command)}\n' for run in runs]
    files.write_text(workdir / 'runs.txt', ''.join(lines))
    print(
      f'{workdir / "runs.txt"}: {len(runs)} runs, '
      f'{len(runs) - len(waiting)} of them finished',
      flush=True,
    )
    with contextlib.closing(_launch(config, waiting)) as ended:
      failed = _watch(len(waiting), ended)
  for run, _, problem in failed:
    print(f'failed: {run.name}: {problem or "no results"}; {_last_line(run)}')
  return 1 if failed else 0


def _check_claim(run: grid.PlannedRun) -> None:
  """A run that ended before its base was changed must not pass as the new."""
  if (run.folder / 'config.json').exists():
    flags = [word for word in run.command if word.startswith('--')]
    # The data of a finished run may lie elsewhere by now.
    apart = ('data.folder',) if run.finished else ()
    claim.check(run.folder, app.read_config(flags), apart=apart)


def _launch(
  config: config_dict.ConfigDict, runs: Sequence[grid.PlannedRun]
) -> Generator[launchers.Ended]:
  if config.launcher == 'local':
    return launchers.local(runs, config.jobs)
  if config.launcher == 'ray':
    return launchers.on_ray(
      runs, num_cpus=config.num_cpus, num_gpus=config.num_gpus
    )
  return (ended for ended in ())


def _watch(
  total: int, ended: Iterable[launchers.Ended]
) -> list[launchers.Ended]:
  """Prints a line for each run that ends; those that failed."""
  failed, start = [], time.monotonic()
  for number, one in enumerate(ended, start=1):
    good = one.run.finished and not one.problem
    if not good:
      failed.append(one)
    left = (time.monotonic() - start) / number * (total - number)
    print(
      f'[{number}/{total}] {one.run.name}: {"done" if good else "FAILED"} in '
      f'{one.seconds:.0f} s; about {left / 60:.0f} min left',
      flush=True,
    )
  return failed


def _last_line(run: grid.PlannedRun) -> str:
  path = launchers.log_path(run)
  if not path.exists():
    return 'nothing said'
  lines = path.read_text('utf-8', errors='replace').split('\n')
  said = [line for line in lines if line.strip()]
  return f'{said[-1] if said else "nothing said"} (all of it: {path})'


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
  """So that a sweep that is ended from outside lets its runs save."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  # A terminal that is closed sends SIGHUP, which nohup has ignored.
  numbers = {signal.SIGTERM, getattr(signal, 'SIGHUP', signal.SIGTERM)}
  previous = {number: signal.getsignal(number) for number in numbers}
  for number, handler in previous.items():
    if handler != signal.SIG_IGN:
      signal.signal(number, signal.default_int_handler)
  try:
    yield
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)


if __name__ == '__main__':
  app.run(main, section='groups')
