"""Which cases a loss sees shifted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.rules import appearance

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
