"""What one SMG update costs, in plain gradients of the same batch.

    pip install . && python benchmarks/alignment_cost.py

An update aligns the incoming batch with a replayed one (orientational) and two
pseudo-domains of their pool (arbitrary), each of the incoming batch's size, and
moves the parameters: by the first-order estimator four gradients. Times are
medians over rounds in which every estimator and the plain gradient take turns,
in one process. Peaks are what a process of its own holds beyond what it held
before its first update. The last line is one JSON object:

    first_order, meta, exact   time of an update / time of a plain gradient
    plain_s                    seconds of a plain gradient
    peak_gib                   by estimator; `plain`: an update of `sequential`
"""

import argparse
from collections.abc import Callable
import json
import statistics
import subprocess
import sys
import time

import registration_step

from common import malloc

ESTIMATORS = ('first_order', 'meta', 'exact')


def main() -> None:
  args = _parse()
  malloc.restart()
  if args.memory_only:
    print(json.dumps(_peak(args)))
    return
  runs = {name: _make_update(args, name) for name in ESTIMATORS}
  runs['plain'] = _make_plain(args)
  times = _take_turns(runs, args.repeats)
  plain = times.pop('plain')
  report = {name: round(value / plain, 3) for name, value in times.items()}
  peaks = {name: _peak_of_child(name) for name in ('plain', *ESTIMATORS)}
  print(json.dumps(report | {'plain_s': round(plain, 4), 'peak_gib': peaks}))


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--side', type=int, default=96)
  parser.add_argument('--batch', type=int, default=8)
  parser.add_argument('--channels', type=int, default=16)
  parser.add_argument('--repeats', type=int, default=9)
  parser.add_argument('--memory_only', default='')
  return parser.parse_args()


def _take_turns(
  runs: dict[str, Callable[[], None]], repeats: int
) -> dict[str, float]:
  """Median seconds of each, after one turn that compiles."""
  times: dict[str, list[float]] = {name: [] for name in runs}
  for turn in range(repeats + 1):
    order = list(runs)[:: 1 if turn % 2 else -1]
    for name in order:
      start = time.perf_counter()
      runs[name]()
      if turn:
        times[name].append(time.perf_counter() - start)
  for name, found in times.items():
    print(name, [round(value, 4) for value in found], flush=True)
  return {name: statistics.median(found) for name, found in times.items()}


def _problem(args: argparse.Namespace):
  """Parameters, loss and batches (incoming, past) of a 2-D segmentation."""
  import jax
  import numpy as np

  from common import problem
  from smg import losses, unet

  network = unet.UNet(num_classes=3, num_channels=args.channels)
  rng, shape = np.random.default_rng(0), (args.batch, args.side, args.side)
  batches = [
    {
      'image': rng.random((*shape, 1), np.float32),
      'label': rng.integers(0, 3, shape).astype(np.uint8),
      'site': np.full(args.batch, site, np.int32),
    }
    for site in (1, 0)
  ]
  params = network.init(jax.random.key(0), batches[0]['image'])['params']
  loss = problem.make_loss(
    lambda p, b: network.apply({'params': p}, b['image']),
    losses.make_objective(classes=(1, 2)),
  )
  return params, loss, *batches


def _make_plain(args: argparse.Namespace) -> Callable[[], None]:
  import jax

  from common.rules import descent

  params, loss, batch, _ = _problem(args)
  gradient = descent.make_gradient(loss)
  return lambda: jax.block_until_ready(
    gradient(params, batch, jax.random.key(1))
  )


def _make_update(args: argparse.Namespace, estimator: str):
  """An update of smg, or of plain descent for 'plain'."""
  import jax
  import optax

  from common import augment, memory, methods, optim, train_state
  from common.rules import aligned_rehearsal, alignment

  params, loss, batch, past = _problem(args)
  tx = optim.create_optimizer('adam', schedule=optax.constant_schedule(1e-4))
  shift = augment.make_shift(augment.Appearance())
  name = 'sequential' if estimator == 'plain' else 'smg'
  strength = alignment.Strength(  # as shipped; `exact` takes no virtual step
    'first_order' if estimator == 'plain' else estimator,
    fixed_length=estimator != 'exact',
  )
  step = methods.get(name).make_step(
    loss,
    tx,
    methods.Settings(
      alignment=aligned_rehearsal.Alignment(strength),
      shift=lambda b, key: b | {'image': shift(b['image'], key)},
    ),
  )
  held = memory.append(memory.create_memory(past, args.batch), past)
  state = [train_state.create_state(params, tx, held)]

  def run() -> None:
    state[0], _ = step(state[0], batch, jax.random.key(1))
    jax.block_until_ready(state[0])

  return run


def _peak(args: argparse.Namespace) -> float:
  run = _make_update(args, args.memory_only)
  before = registration_step.status_gib('VmRSS')
  for _ in range(3):
    run()
  return round(registration_step.status_gib('VmHWM') - before, 3)


def _peak_of_child(estimator: str) -> float:
  child = [sys.executable, *sys.argv, f'--memory_only={estimator}']
  done = subprocess.run(
    child, capture_output=True, encoding='utf-8', check=True
  )
  return json.loads(done.stdout.splitlines()[-1])


if __name__ == '__main__':
  main()
