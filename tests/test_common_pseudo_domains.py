"""How a pool of cases is parted into two pseudo-domains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.rules import pseudo_domains


def _pool(sites):
  count = len(sites)
  return {
    'x': jnp.arange(count, dtype=jnp.float32),
    'site': jnp.asarray(sites, jnp.int32),
  }


def _shift(batch, key):
  del key
  return batch | {'x': batch['x'] + 100}


@pytest.mark.parametrize('seed', range(5))
def test_sites_are_parted_and_not_shifted(seed):
  pool = _pool([0, 3, 0, 3, 0, 3])
  a, b = pseudo_domains.make_split('site', _shift)(pool, jax.random.key(seed))
  assert len(set(np.asarray(a['site']))) == len(set(np.asarray(b['site']))) == 1
  assert sorted([*a['x'], *b['x']]) == list(range(6))


def test_which_site_comes_first_is_drawn():
  split = pseudo_domains.make_split('site')
  pool = _pool([0, 3, 0, 3])
  first = {int(split(pool, jax.random.key(i))[0]['site'][0]) for i in range(12)}
  assert first == {0, 3}


@pytest.mark.parametrize(
  ('mode', 'sites', 'shifted'),
  [
    ('site', [0, 1, 0, 1], False),
    ('shift', [0, 1, 0, 1], True),
    ('both', [0, 1, 0, 1], True),
    ('random', [2, 2, 2, 2], False),
  ],
)
def test_the_second_half_is_shifted(mode, sites, shifted):
  split = pseudo_domains.make_split(mode, _shift)
  a, b = split(_pool(sites), jax.random.key(1))
  assert max(a['x']) < 100
  assert bool((b['x'] >= 100).all()) == shifted


@pytest.mark.parametrize('mode', ['site', 'both', 'shift'])
def test_one_site_is_seen_as_itself_and_shifted(mode):
  views = pseudo_domains.make_views(mode, _shift)
  a, b = views(_pool([2, 2, 2]), jax.random.key(1))
  np.testing.assert_array_equal(a['x'], [0, 1, 2])
  np.testing.assert_array_equal(b['x'], [100, 101, 102])


@pytest.mark.parametrize(
  ('mode', 'shift'), [('random', _shift), ('both', None)]
)
def test_one_site_without_a_shift_is_halved(mode, shift):
  a, b = pseudo_domains.make_views(mode, shift)(
    _pool([2, 2, 2, 2]), jax.random.key(1)
  )
  assert sorted([*a['x'], *b['x']]) == [0, 1, 2, 3]


def test_an_unknown_split_is_refused():
  with pytest.raises(ValueError, match="pseudo_domains: found 'x', allowed"):
    pseudo_domains.make_split('x')
