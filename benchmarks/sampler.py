"""DDIM steps of the sampler against as many evaluations of its network.

    python benchmarks/sampler.py

Ours is the whole sampler: noise from a key of each sample, schedule, clipping,
one scan. The yardstick is the network alone, compiled for the same batch and
called once per step. Both run in one process, in ABBA order; medians. The last
line is one JSON object:

    ratio         sampler / evaluations
    ddim_s        seconds of one call of the sampler
    network_s     seconds of the evaluations
    compilations  of the sampler, over all its calls
"""

import argparse
import json
import statistics
import time

from common import malloc


def main() -> None:
  args = _parse()
  malloc.restart()
  import jax

  ddim, network, count = _make_runs(args)
  times = _compare(
    lambda: jax.block_until_ready(ddim()),
    lambda: jax.block_until_ready(network()),
    args.repeats,
  )
  a, b = (statistics.median(seconds) for seconds in times)
  print(f'sampler {times[0]}, network {times[1]}', flush=True)
  report = {
    'shape': args.shape,
    'batch': args.batch,
    'steps': args.steps,
    'channels': args.channels,
    'ddim_s': round(a, 3),
    'network_s': round(b, 3),
    'compilations': count(),
    'ratio': round(a / b, 3),
  }
  print(json.dumps(report))


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--shape', type=int, nargs='+', default=(48, 48, 3))
  parser.add_argument('--batch', type=int, default=16)
  parser.add_argument('--channels', type=int, default=32)
  parser.add_argument('--steps', type=int, default=50)
  parser.add_argument('--repeats', type=int, default=3)
  return parser.parse_args()


def _make_runs(args):
  """One call of the sampler; its evaluations; how often it was compiled."""
  import jax
  import jax.numpy as jnp

  from smg import denoiser, diffusion

  net = denoiser.Denoiser(num_sites=2, num_channels=args.channels)

  def apply_fn(params, x, t, site):
    return net.apply({'params': params}, x, t, site)

  def init(key):
    x = jax.random.normal(key, (args.batch, *args.shape))
    t, site = jnp.linspace(0, 1, args.batch), jnp.arange(args.batch) % 2
    return (
      net.init(jax.random.fold_in(key, 1), x, t, site)['params'],
      x,
      t,
      site,
    )

  params, x, t, site = jax.jit(init)(jax.random.key(0))
  evaluate = jax.jit(apply_fn)
  traces = []

  def counted(*inputs):
    traces.append(1)
    return apply_fn(*inputs)

  sampler = diffusion.Sampler(counted, null_site=2)
  keys = iter(jax.random.split(jax.random.key(1), 2 * args.repeats + 1))

  def ddim():
    return sampler(params, next(keys), site, args.shape, num_steps=args.steps)

  def network():
    return [evaluate(params, x, t, site) for _ in range(args.steps)]

  return ddim, network, lambda: len(traces)


def _compare(ours, theirs, repeats: int) -> tuple[list[float], list[float]]:
  """Seconds of either, in ABBA order."""
  ours(), theirs()  # compile, warm up
  times = {ours: [], theirs: []}
  for i in range(repeats):
    order = (ours, theirs) if i % 2 == 0 else (theirs, ours)
    for run in (*order, *reversed(order)):
      start = time.perf_counter()
      run()
      times[run].append(time.perf_counter() - start)
  return times[ours], times[theirs]


if __name__ == '__main__':
  main()
