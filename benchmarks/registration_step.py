"""One SAMCL iteration of ours against the bare network in PyTorch, on CPU.

    pip install '.[benchmark]' && python benchmarks/registration_step.py

Ours is a whole iteration, with the memory settings of every binary: warping,
losses, adaptive SAM, Adam, memory, Reptile; gradients sample by sample.
PyTorch's is only the forward and backward passes of the same network that the
iteration needs at its batch sizes: every sample of the batch alone and one
replay batch, each twice. Both run in one process, in ABBA order; medians. The
last line is one JSON object:

    ratio             ours / PyTorch, one SAMCL iteration
    sequential_ratio  ours / PyTorch, one fine-tuning step
    peak_gib          largest resident set of a process that runs ours alone
                      and finds it compiled, less what it held before the
                      first iteration
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from common import malloc


def main() -> None:
  args = _parse()
  malloc.restart()
  if args.memory_only:
    print(json.dumps({'peak_gib': _peak_of_ours(args)}))
    return
  with tempfile.TemporaryDirectory() as compiled:
    os.environ['JAX_COMPILATION_CACHE_DIR'] = compiled
    os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
    print(json.dumps(_measure(args)))


def _measure(args: argparse.Namespace) -> dict[str, object]:
  """What the last line says."""
  import torch_lku_net

  ours = {m: _make_ours(args, m) for m in ('samcl', 'sequential')}
  theirs = torch_lku_net.make_passes(args.shape, args.channels, args.levels)
  singles = [1] * args.batch
  passes = {'samcl': 2 * [*singles, args.batch], 'sequential': [args.batch]}
  report = {'shape': args.shape, 'channels': args.channels}
  for method in ours:
    ratio = _compare(
      ours[method], lambda m=method: theirs(passes[m]), args.repeats, method
    )
    report |= ratio
  report['ratio'] = report.pop('samcl_ratio')
  child = [sys.executable, *sys.argv, '--memory_only']
  done = subprocess.run(
    child, capture_output=True, encoding='utf-8', check=True
  )
  return report | json.loads(done.stdout.splitlines()[-1])


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--shape', type=int, nargs=3, default=(64, 48, 64))
  parser.add_argument('--batch', type=int, default=2)
  parser.add_argument('--channels', type=int, default=16)
  parser.add_argument('--levels', type=int, default=4)
  parser.add_argument('--repeats', type=int, default=3)
  parser.add_argument('--memory_only', action='store_true')
  return parser.parse_args()


def _compare(ours, theirs, repeats: int, name: str) -> dict[str, float]:
  """Median seconds of both and their ratio, in ABBA order."""
  ours(), theirs()  # compile, warm up
  times = {ours: [], theirs: []}
  for i in range(repeats):
    order = (
      (ours, theirs, theirs, ours)
      if i % 2 == 0
      else (theirs, ours, ours, theirs)
    )
    for run in order:
      start = time.perf_counter()
      run()
      times[run].append(time.perf_counter() - start)
  a, b = statistics.median(times[ours]), statistics.median(times[theirs])
  print(f'{name}: ours {times[ours]}, torch {times[theirs]}', flush=True)
  return {
    f'{name}_ours_s': round(a, 3),
    f'{name}_torch_s': round(b, 3),
    f'{name}_ratio': round(a / b, 3),
  }


def _make_ours(args, method: str):
  import our_step

  return our_step.make_run(
    our_step.make_problem(args.shape, args.channels, args.levels),
    batch_size=args.batch,
    method=method,
  )


def _peak_of_ours(args) -> float:
  run = _make_ours(args, 'samcl')
  before = status_gib('VmRSS')
  for _ in range(2):
    run()
  return round(status_gib('VmHWM') - before, 3)


def status_gib(field: str) -> float:
  """Of this process alone: getrusage also counts what its parent held."""
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  (line,) = [line for line in lines if line.startswith(f'{field}:')]
  return int(line.split()[1]) / 2**20


if __name__ == '__main__':
  main()
