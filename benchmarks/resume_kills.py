"""Kills a run with SIGKILL again and again and compares how it ends.

    python benchmarks/resume_kills.py --kills=10

Three kinds of moments in turn: at random, inside a checkpoint write, and right
after the checkpoint of a stage boundary. After every kill the same command is
started again. The last line is one JSON object; `identical` says whether the
parameters, memory, metrics and per-case rows are those of an uninterrupted run.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

STEPS, EVERY = 8, 3


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--kills', type=int, default=10)
  parser.add_argument('--seed', type=int, default=0)
  args = parser.parse_args()
  chance = random.Random(args.seed)
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    _start(root, 'whole').wait()
    started = time.monotonic()  # Once more, now that everything is compiled.
    _start(root, 'again').wait()
    duration = time.monotonic() - started
    identical = [_end(root / 'again') == _end(root / 'whole')]
    moments, number = [], 0
    while len(moments) < args.kills:
      workdir, number = root / f'cut_{number}', number + 1
      for moment in ('random', 'write', 'boundary')[
        : args.kills - len(moments)
      ]:
        limit = chance.uniform(0, 0.8 * duration)
        if killed := _kill(root, workdir, moment, limit):
          moments.append(killed)
          print(killed, flush=True)
      _start(root, workdir.name).wait()
      identical.append(_end(workdir) == _end(root / 'whole'))
    print(
      json.dumps(
        {
          'kills': len(moments),
          'moments': moments,
          'runs': number,
          'identical': all(identical),
        }
      )
    )


def _start(root: pathlib.Path, name: str) -> subprocess.Popen:
  return subprocess.Popen(
    [
      sys.executable,
      '-m',
      'samcl.train',
      '--config=configs/samcl_tiny.py',
      f'--workdir={root / name}',
      f'--config.data.folder={root / "data"}',
      f'--config.train.num_steps=({STEPS},)',
      f'--config.train.checkpoint_every={EVERY}',
    ],
    cwd=pathlib.Path(__file__).resolve().parent.parent,
    env=os.environ | {'JAX_COMPILATION_CACHE_DIR': str(root / 'compiled')},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )


def _kill(root, workdir, moment: str, limit: float) -> str:
  """Runs until the moment comes, kills, and says where; '' if it had ended."""
  process = _start(root, workdir.name)
  checkpoints = workdir / 'checkpoints'
  before = _steps(checkpoints)
  deadline = time.monotonic() + limit
  while process.poll() is None:
    new = _steps(checkpoints) - before
    come = {
      'random': time.monotonic() > deadline,
      'write': any(checkpoints.glob('.partial_*')),
      'boundary': any(step % STEPS == 0 for step in new),
    }
    if come[moment]:
      break
    time.sleep(0.002)
  process.kill()
  if process.wait() >= 0:
    return ''
  newest = max(_steps(checkpoints), default=0)
  return f'{moment}, newest checkpoint {newest}'


def _steps(checkpoints: pathlib.Path) -> set[int]:
  return {int(p.name[5:]) for p in checkpoints.glob('step_*')}


def _end(workdir: pathlib.Path) -> dict[str, str]:
  """Digests of what the run left."""
  newest = workdir / 'checkpoints' / f'step_{4 * STEPS}' / 'progress'
  progress = json.loads((newest / 'metadata').read_text())
  del progress['wall_s'], progress['digest']
  found = {'progress': json.dumps(progress)}
  for name in ('per_case.csv', 'metrics.jsonl'):
    digest = hashlib.sha256((workdir / name).read_bytes())
    found[name] = digest.hexdigest()
  found['state'] = _state_digest(workdir)
  return found


def _state_digest(workdir: pathlib.Path) -> str:
  import jax
  import numpy as np

  from common import trainer
  from configs import samcl_tiny
  from samcl import setup

  config = samcl_tiny.get_config()
  stored = json.loads((workdir / 'config.json').read_text())
  config.data.folder = stored['data']['folder']
  config.train.num_steps = (STEPS,)
  problem = setup.create_problem(config)
  plan = trainer.create_plan(config, len(problem.stream))
  state, _ = trainer.create_stream(problem, config, plan, workdir).restore()
  total = hashlib.sha256()
  for leaf in jax.tree.leaves(state):
    total.update(np.ascontiguousarray(leaf).tobytes())
  return total.hexdigest()


if __name__ == '__main__':
  main()
