"""Starts the binaries as a user does, in processes of their own."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def start(
  module: str, config: str, folder: pathlib.Path, workdir, *flags: str
) -> subprocess.Popen:
  """`python -m module` with data and compiled functions in `folder`."""
  return subprocess.Popen(
    [
      sys.executable,
      '-m',
      module,
      f'--config=configs/{config}.py',
      f'--workdir={workdir}',
      f'--config.data.folder={folder / "data"}',
      *flags,
    ],
    cwd=ROOT,
    env=os.environ | {'JAX_COMPILATION_CACHE_DIR': str(folder / 'compiled')},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    encoding='utf-8',
  )


def run(module: str, *arguments: str) -> subprocess.CompletedProcess:
  """`python -m module arguments` to its end, whatever that is."""
  return subprocess.run(
    [sys.executable, '-m', module, *arguments],
    cwd=ROOT,
    capture_output=True,
    encoding='utf-8',
    timeout=240,
  )


def refused(module: str, *arguments: str) -> str:
  """The one line that a process ends with which must fail."""
  done = run(module, *arguments)
  assert done.returncode == 2, done.stderr
  assert 'Traceback' not in done.stderr
  (line,) = done.stderr.strip().splitlines()
  assert line.startswith('error: ')
  return line


def finish(process: subprocess.Popen) -> tuple[str, str]:
  """What a process that must succeed wrote to stdout and stderr."""
  out, err = process.communicate(timeout=600)
  assert process.returncode == 0, err
  return out, err
