"""Folders of finished runs, written down without training."""

import json
import pathlib

import numpy as np
from PIL import Image

COSINES = [
  {
    'stage': stage,
    'site': 'x',
    'step': 10 * stage + i,
    'split': 'train',
    'cosine/orientational': 0.1 * i,
  }
  for stage in (2, 3)
  for i in range(8)
]


def write(
  folder: pathlib.Path,
  method: str = 'er',
  *,
  seed: int = 0,
  score: float = 0.5,
  stream=('a', 'b'),
  log=(),
  unit: str = '1',
  unfinished: bool = False,
  **config,
) -> pathlib.Path:
  """A run whose last scores are around `score`, four cases a site."""
  folder.mkdir(parents=True)
  config = {
    'method': method,
    'seed': seed,
    'stream': list(stream),
    'data': {'folder': str(folder), 'shape': [8, 8]},
    'rule': {'alpha': 0.1} | config,
  }
  (folder / 'config.json').write_text(json.dumps(config))
  if unfinished:
    return folder
  matrix = [[score - 0.25, score / 2, score - 0.125], [score] * 3]
  (folder / 'metrics.jsonl').write_text(
    ''.join(json.dumps(line) + '\n' for line in log)
  )
  results = {
    'problem': 'segmentation',
    'method': method,
    'seed': seed,
    'stream': list(stream),
    'unseen': ['new'],
    'metrics': {
      'dice': {
        'higher_is_better': True,
        'unit': unit,
        'untrained': [0.0, 0.0, 0.0],
      }
    },
    'summary': {'dice': {'ACC': score, 'BWT': 0.25, 'unseen': score}},
    'step_s': 0.25,
    'peak_gib': 1.5,
  }
  (folder / 'results.json').write_text(json.dumps(results))
  return rescore(folder, matrix)


def rescore(folder: pathlib.Path, matrix) -> pathlib.Path:
  """Gives a run another R, (stages, sites) with nan for none, and its cases."""
  path = folder / 'results.json'
  results = json.loads(path.read_text())
  entry, table = results['metrics']['dice'], np.array(matrix, float)
  entry['matrix'] = np.where(np.isnan(table), None, table).tolist()
  path.write_text(json.dumps(results))
  rows = ['stage,site,seen,case,label,metric,value,unit']
  rng = np.random.default_rng([results['seed'], len(results['method'])])
  for stage, scores in enumerate([entry['untrained'], *table]):
    sites = (*results['stream'], *results['unseen'])
    for site, mean in zip(sites, scores, strict=True):
      noise = rng.normal(size=4) * 0.01
      rows += [
        f'{stage},{site},1,case{i},1,dice,{mean + x:.6f},1'
        for i, x in enumerate(noise - noise.mean())
      ]
  (folder / 'per_case.csv').write_text('\n'.join(rows) + '\n')
  return folder


def add_picture(folder: pathlib.Path, name: str, width: int = 30) -> None:
  """A small PNG among the figures of a run."""
  (folder / 'figures').mkdir(exist_ok=True)
  shades = np.linspace(0, 255, 20 * width).reshape(20, width).astype(np.uint8)
  Image.fromarray(shades).save(folder / 'figures' / name)


def write_sweep(folder: pathlib.Path) -> pathlib.Path:
  """Three methods over two orders and three seeds; one with variants."""
  levels = {'smg': 0.75, 'er': 0.625, 'sequential': 0.5}
  for method, level in levels.items():
    for seed in range(3):
      for number, stream in enumerate((('a', 'b'), ('b', 'a'))):
        write(
          folder / f'{method}-{number}-{seed}',
          method,
          seed=seed,
          score=level + 0.01 * seed,
          stream=stream,
          log=COSINES if method == 'smg' else (),
        )
  for alpha in (0.0, 0.2):
    write(folder / f'alpha{alpha}', 'smg', alpha=alpha, score=0.7)
  add_picture(folder / 'smg-0-0', 'gallery_stage1.png')
  add_picture(folder / 'smg-0-0', 'gallery_stage2.png')
  for method in ('smg', 'er'):
    add_picture(folder / f'{method}-0-0', 'pair_brain.png')
  return folder
