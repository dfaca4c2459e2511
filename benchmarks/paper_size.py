"""One SAMCL iteration at the size of the paper: its memory, its time on a GPU.

    pip install . && python benchmarks/paper_size.py

Pairs of 112 x 96 x 112, batch 4, 16 channels, a memory of 200 pairs; the
convolutions in float32 and in bfloat16, the rest in float32. On a GPU the
iteration runs. On a CPU its largest program, the gradient of a batch, is
compiled and asked what it needs; the last line is one JSON object:

    held_gib        parameters, both moments of Adam, the start of Reptile, the
                    perturbed parameters, a gradient, the memory, two batches
    <type>_peak_gib that and the temporary buffers of the gradient of the batch
    <type>_accumulated_peak_gib  the same, gradients sample by sample
    <type>_s        median seconds of an iteration (GPU)
"""

import argparse
import json
import statistics
import time

import jax
import jax.numpy as jnp
import our_step

from common.rules import descent

TYPES = {'float32': None, 'bfloat16': jnp.bfloat16}
NUM_COPIES = 6  # of the parameters, see held_gib


def main() -> None:
  args = _parse()
  measure = _compiled if jax.default_backend() == 'cpu' else _run
  report = {'device': jax.devices()[0].device_kind, **vars(args)}
  for name, conv_dtype in TYPES.items():
    problem = our_step.make_problem(
      args.shape, args.channels, args.levels, conv_dtype
    )
    held = _held_gib(problem, args)
    report['held_gib'] = round(held, 2)
    found = measure(problem, args, held)
    print(name, found, flush=True)
    report |= {f'{name}_{field}': value for field, value in found.items()}
  print(json.dumps(report))


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--shape', type=int, nargs=3, default=(112, 96, 112))
  parser.add_argument('--batch', type=int, default=4)
  parser.add_argument('--channels', type=int, default=16)
  parser.add_argument('--levels', type=int, default=4)
  parser.add_argument('--capacity', type=int, default=200)
  parser.add_argument('--repeats', type=int, default=10)
  return parser.parse_args()


def _held_gib(problem: our_step.Problem, args) -> float:
  pair = our_step.make_batch(args.shape, 1)
  num_pairs = args.capacity + 2 * args.batch
  held = NUM_COPIES * _bytes(problem.params) + num_pairs * _bytes(pair)
  return held / 2**30


def _bytes(tree) -> int:
  return sum(x.nbytes for x in jax.tree.leaves(tree))


def _compiled(problem: our_step.Problem, args, held: float) -> dict[str, float]:
  gradient = jax.jit(descent.make_gradient(problem.loss))
  found = {}
  for field, size in {'': args.batch, 'accumulated_': 1}.items():
    batch = our_step.make_batch(args.shape, size)
    program = gradient.lower(problem.params, batch, jax.random.key(0)).compile()
    needed = program.memory_analysis().temp_size_in_bytes / 2**30
    found[f'{field}peak_gib'] = round(held + needed, 2)
  return found


def _run(problem: our_step.Problem, args, held: float) -> dict[str, float]:
  del held  # the device itself says what it needs
  found = {}
  for field, accumulate in {'accumulated_': True, '': False}.items():
    run = our_step.make_run(
      problem,
      batch_size=args.batch,
      method='samcl',
      capacity=args.capacity,
      accumulate=accumulate,
    )
    run()
    times = []
    for _ in range(args.repeats):
      start = time.perf_counter()
      run()
      times.append(time.perf_counter() - start)
    found[f'{field}s'] = round(statistics.median(times), 4)
    # The peak of the process so far: what needs less comes first.
    peak = jax.devices()[0].memory_stats()['peak_bytes_in_use'] / 2**30
    found[f'{field}peak_gib'] = round(peak, 2)
  return found


if __name__ == '__main__':
  main()
