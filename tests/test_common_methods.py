"""Methods train the networks of both problems."""

import jax
import numpy as np
import pytest

from common import methods, rng, trainer
from configs import samcl_tiny, smg_tiny
import samcl.setup
import smg.setup

_SMALL = {
  'optim.lr': 0.01,
  'scores': ('dice',),
  'data.num_train': 2,
  'data.num_test': 1,
  'model.num_levels': 1,
  'memory.capacity': 4,
  'train.num_steps': (2,),
  'train.batch_size': 2,
  'consolidation.num_cases': 2,
  # At their usual weights these would vanish beside a step of Adam.
  'ewc.weight': 1e4,
  'si.weight': 1e4,
  'lwf.weight': 1e2,
  'der.alpha': 1e2,
}
_SEGMENTATION = _SMALL | {'unseen': (), 'diffusion.network.num_levels': 1}
_REGISTRATION = _SMALL | {
  'stream': ('brain_mr', 'abdomen_ct'),
  'data.shape': (8, 8, 8),
}


class _Trained:
  """The networks that methods end with, each trained once."""

  def __init__(self, module, config, folder):
    config.data.folder = str(folder / 'data')
    self._config, self._folder = config, folder
    self._problem = module.create_problem(config)
    self._found = {}
    start = self._problem.init(rng.stream(config.seed, 'init'))
    self.start = [np.asarray(leaf) for leaf in jax.tree.leaves(start)]

  def __call__(self, method: str) -> list[np.ndarray]:
    if method not in self._found:
      plan = trainer.create_plan(self._config, len(self._problem.stream))
      self._config.method = method
      runner = trainer.create_stream(
        self._problem, self._config, plan, self._folder / method
      )
      state, _ = runner.run()
      leaves = map(np.asarray, jax.tree.leaves(state.params))
      self._found[method] = list(leaves)
    return self._found[method]


def _trained(module, configs, fields, folder):
  config = configs.get_config()
  config.update_from_flattened_dict(fields)
  return _Trained(module, config, folder)


@pytest.fixture(scope='module')
def segmentation(tmp_path_factory):
  folder = tmp_path_factory.mktemp('segmentation')
  return _trained(smg.setup, smg_tiny, _SEGMENTATION, folder)


@pytest.fixture(scope='module')
def registration(tmp_path_factory):
  folder = tmp_path_factory.mktemp('registration')
  return _trained(samcl.setup, samcl_tiny, _REGISTRATION, folder)


def _assert_trains(trained, method: str) -> None:
  """Away from the start, to other parameters than plain descent."""
  found, plain = trained(method), trained('sequential')
  assert all(np.isfinite(leaf).all() for leaf in found)
  assert max(_gaps(found, trained.start)) > 1e-3
  # agem is plain descent until it meets a conflict.
  if method not in ('sequential', 'agem'):
    assert max(_gaps(found, plain)) > 1e-5


def _gaps(first: list[np.ndarray], second: list[np.ndarray]) -> list[float]:
  return [np.abs(a - b).max() for a, b in zip(first, second, strict=True)]


# smg, whose generator segmentation alone has, is trained in test_smg_train.py.
_BOTH = [method for method in methods.METHODS if method != 'smg']


@pytest.mark.parametrize('method', _BOTH)
def test_segmentation(segmentation, method):
  _assert_trains(segmentation, method)


@pytest.mark.parametrize('method', _BOTH)
def test_registration(registration, method):
  _assert_trains(registration, method)
