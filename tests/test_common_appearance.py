"""Which cases a loss sees shifted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import trainer
from common.rules import appearance
from configs import smg_tiny
from tests import toy_problem

BATCH = {'x': jnp.arange(8.0)[:, None] + 1, 'site': jnp.arange(8)}


def _loss(params, batch, key):
  del params, key
  return jnp.sum(batch['x']), {'seen': batch['x'], 'site': batch['site']}


def _shift(batch, key):
  del key
  return batch | {'x': -batch['x']}


def test_none_half_and_all_are_shifted():
  assert appearance.with_shift(_loss, None, 0.0) is _loss
  all_of_them = appearance.with_shift(_loss, _shift, 1.0)
  np.testing.assert_array_equal(
    all_of_them(None, BATCH, jax.random.key(0))[1]['seen'], -BATCH['x']
  )
  half = jax.jit(appearance.with_shift(_loss, _shift, 0.5))
  counts = []
  for seed in range(20):
    _, seen = half(None, BATCH, jax.random.key(seed))
    np.testing.assert_array_equal(np.abs(seen['seen']), BATCH['x'])
    np.testing.assert_array_equal(seen['site'], BATCH['site'])
    counts.append(int((seen['seen'] < 0).sum()))
  assert 60 < sum(counts) < 100
  assert len(set(counts)) > 2


@pytest.mark.parametrize(
  ('shift', 'share', 'message'),
  [(_shift, 1.5, r'found 1.5, must be in \[0, 1\]'), (None, 0.5, 'must be 0')],
)
def test_what_cannot_be_is_refused(shift, share, message):
  with pytest.raises(ValueError, match=message):
    appearance.with_shift(_loss, shift, share)


class _Mirrored(toy_problem.Toy):
  """Another appearance puts every point on the other side."""

  shift = staticmethod(_shift)


@pytest.mark.parametrize('method', ['er', 'joint', 'sequential'])
def test_the_share_of_a_config_reaches_methods_with_replay_and_without(
  method, tmp_path
):
  found = []
  for share in (0.0, 1.0):
    config = smg_tiny.get_config()
    config.method, config.train.shift_share = method, share
    config.optim.lr = 0.3
    runner = trainer.create_stream(
      _Mirrored(), config, trainer.create_plan(config, 2), tmp_path / str(share)
    )
    found.append(runner.run()[0].params['w'])
  # sequential ends near (-3, .5), the others between that and (2, -1).
  plain, mirrored = np.sign(found)
  np.testing.assert_array_equal(mirrored, -plain)
