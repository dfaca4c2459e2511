"""A problem whose every answer is known: find the centre of a site's points."""

import pathlib
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from common import metrics
from common import problem as problem_lib

CENTRES = np.array([[2.0, -1.0], [-3.0, 0.5], [0.0, 4.0]])


class Mean:
  """A generator that learns the mean of each site and draws around it."""

  num_steps = (4, 3, 3)
  batch_size = 3
  num_kept = 3

  def init(self, key):
    del key
    return {'mean': jnp.zeros((3, 2)), 'begun': jnp.zeros(3, jnp.int32)}

  def begin(self, state, stage):
    held = state.generator
    begun = held['begun'].at[stage].add(1)
    return state.replace(generator=held | {'begun': begun})

  def step(self, state, batch, key, stage):
    noise = 1e-3 * jax.random.normal(key, (2,))
    held = state.generator
    gap = batch['x'].mean(axis=0) - held['mean'][stage] + noise
    mean = held['mean'].at[stage].add(0.5 * gap)
    metrics = {'generator/loss/total': jnp.sum(gap**2)}
    return state.replace(generator=held | {'mean': mean}), metrics

  def sample_cases(self, state, site, num_cases, key):
    noise = 0.01 * jax.random.normal(key, (num_cases, 2))
    points = state.generator['mean'][site][None] + noise
    return {'x': np.asarray(points)}, {'replay/candidates': num_cases}


class Toy:
  """Two sites in the stream, one unseen; the score is minus the distance."""

  name = 'toy'
  stream = ('east', 'west')
  unseen = ('north',)
  shift = None
  generator = Mean()
  metrics: ClassVar = {'tre': metrics.METRICS['tre']}

  def __init__(self, poison: int | None = None):
    self._poison = poison
    self.loaded = 0

  def init(self, key):
    return {'w': 0.01 * jax.random.normal(key, (2,))}

  def output(self, params, batch):
    return jnp.broadcast_to(params['w'], batch['x'].shape)

  def objective(self, output, batch):
    value = jnp.mean(jnp.sum((output - batch['x']) ** 2, axis=-1))
    return value, {'loss/total': value}

  def distance(self, output, wanted):
    return jnp.mean(jnp.sum((output - wanted) ** 2, axis=-1))

  def loss(self, params, batch, key):
    del key
    return self.objective(self.output(params, batch), batch)

  def num_train(self, site):
    return 5 + site

  def load_train(self, items):
    self.loaded += 1
    points = [
      CENTRES[site] + 0.1 * np.random.default_rng([site, case]).normal(size=2)
      for site, case in items
    ]
    batch = np.array(points, np.float32)
    if self._poison is not None and self.loaded == self._poison:
      batch[:] = np.nan
    return {'x': batch}

  def evaluate(self, params, site):
    distance = np.linalg.norm(np.asarray(params['w']) - CENTRES[site])
    return [problem_lib.CaseScore('case', '', 'tre', float(distance), 'mm')]

  def draw(self, state, folder: pathlib.Path, stage: int):
    folder.mkdir(parents=True, exist_ok=True)
