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
    peak_gib          largest resident set of a process that runs ours alone,
                      less what it held before the first iteration
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from common import app

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
NUM_CLASSES = 14


def main() -> None:
  args = _parse()
  app.keep_memory()
  if args.memory_only:
    print(json.dumps({'peak_gib': _peak_of_ours(args)}))
    return
  ours = {m: _make_ours(args, m) for m in ('samcl', 'sequential')}
  theirs = _make_torch(args)
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
  done = subprocess.run(child, capture_output=True, text=True, check=True)
  report |= json.loads(done.stdout.splitlines()[-1])
  print(json.dumps(report))


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


def _batch(args) -> dict:
  import numpy as np

  rng, size = np.random.default_rng(0), (args.batch, *args.shape)
  batch = {'landmark_weight': np.zeros((args.batch, 1), np.float32)}
  for side in ('fixed', 'moving'):
    batch |= {
      side: rng.random(size, np.float32),
      f'{side}_mask': np.ones(size, np.uint8),
      f'{side}_label': rng.integers(0, NUM_CLASSES, size).astype(np.uint8),
      f'{side}_landmarks': np.zeros((args.batch, 1, 3), np.float32),
    }
  return batch


def _make_ours(args, method: str):
  """A function that runs one iteration of the product."""
  import jax
  import jax.numpy as jnp
  import optax

  from common import memory, methods, optim, train_state
  from samcl import lku_net, losses

  net = lku_net.LKUNet(num_levels=args.levels, num_channels=args.channels)
  start = jnp.zeros((1, *args.shape, 2))
  params = jax.jit(net.init)(jax.random.key(0), start)['params']
  batch = _batch(args)
  loss = losses.make_loss(
    lambda p, x: net.apply({'params': p}, x), num_classes=NUM_CLASSES
  )
  tx = optim.create_optimizer(
    'adam', schedule=optax.constant_schedule(1e-4), weight_decay=1e-5
  )
  chosen = methods.get(method)
  held = memory.create_memory(batch, 4) if chosen.remembers else None
  step = chosen.make_step(loss, tx, methods.Settings(accumulate=True))
  state = [train_state.create_state(params, tx, held)]

  def run():
    state[0], _ = step(state[0], batch, jax.random.key(1))
    jax.block_until_ready(state[0])

  return run


def _peak_of_ours(args) -> float:
  run = _make_ours(args, 'samcl')
  before = _status_gib('VmRSS')
  for _ in range(2):
    run()
  return round(_status_gib('VmHWM') - before, 3)


def _status_gib(field: str) -> float:
  """Of this process alone: getrusage also counts what its parent held."""
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  (line,) = [line for line in lines if line.startswith(f'{field}:')]
  return int(line.split()[1]) / 2**20


def _make_torch(args):
  """A function that runs forward and backward at given batch sizes."""
  try:
    import torch
  except ImportError:
    sys.exit("PyTorch is missing: pip install '.[benchmark]'")
  from torch import nn

  def conv(a, b, size=3, stride=1):
    layer = nn.Conv3d(a, b, size, stride, padding=size // 2)
    return nn.Sequential(layer, nn.PReLU())

  class Large(nn.Module):
    def __init__(self, width):
      super().__init__()
      self.branches = nn.ModuleList(
        nn.Conv3d(width, width, k, padding=k // 2) for k in (3, 1, 5)
      )
      self.act = nn.PReLU()

    def forward(self, x):
      return self.act(sum(branch(x) for branch in self.branches) + x)

  class LKUNet(nn.Module):
    def __init__(self, levels, c):
      super().__init__()
      width = [c * 2 ** min(i, levels - 1) for i in range(levels + 1)]
      self.stem = nn.Sequential(conv(2, c), conv(c, c))
      pairs = list(itertools.pairwise(width))
      self.down = nn.ModuleList(conv(a, b, stride=2) for a, b in pairs)
      self.large = nn.ModuleList(Large(w) for w in width[1:])
      ups, merges = [], []
      for i in range(levels):
        w = c * 2**i
        ups.append(nn.Sequential(nn.ConvTranspose3d(w, w, 2, 2), nn.PReLU()))
        merges.append(
          nn.Sequential(conv(2 * w, w), conv(w, c * 2 ** max(i - 1, 0)))
        )
      self.up, self.merge = nn.ModuleList(ups), nn.ModuleList(merges)
      self.flow = nn.Conv3d(c, 3, 3, padding=1, bias=False)

    def forward(self, x):
      x = self.stem(x)
      skips = [x]
      for down, large in zip(self.down, self.large, strict=True):
        skips.append(down(x))
        x = large(skips[-1])
      for i in reversed(range(len(self.up))):
        x = self.merge[i](torch.cat([self.up[i](x), skips[i]], 1))
      return self.flow(x)

  torch.manual_seed(0)
  net = LKUNet(args.levels, args.channels)
  total = sum(p.numel() for p in net.parameters())
  print(f'torch network: {total} parameters', flush=True)
  data = torch.rand(args.batch, 2, *args.shape)

  def run(batch_sizes):
    for size in batch_sizes:
      net.zero_grad()
      net(data[:size]).square().mean().backward()

  return run


if __name__ == '__main__':
  main()
