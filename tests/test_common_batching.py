import numpy as np

from common import batching


def _batch(step: int, **kwargs) -> np.ndarray:
  fields = {'num_cases': 7, 'batch_size': 3} | kwargs
  return batching.batch_indices(5, 'site/stage0', step, **fields)


def test_every_epoch_visits_every_case_once():
  flat = np.concatenate([_batch(step) for step in range(14)])
  for epoch in flat.reshape(6, 7):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(7))
  assert (flat[:7] != flat[7:14]).any()


def test_a_batch_is_a_function_of_its_step():
  np.testing.assert_array_equal(_batch(9), _batch(9))
  other = batching.batch_indices(
    6, 'site/stage0', 0, num_cases=50, batch_size=20
  )
  same = batching.batch_indices(
    5, 'site/stage0', 0, num_cases=50, batch_size=20
  )
  assert (other != same).any()


def test_a_batch_may_exceed_the_data():
  batch = _batch(0, num_cases=2, batch_size=5)
  assert batch.shape == (5,)
  assert set(batch) == {0, 1}


def test_balanced_batches_share_the_sites():
  items = [
    item
    for step in range(8)
    for item in batching.balanced_batch(
      0, 'all', step, num_cases=[2, 4, 8], batch_size=3
    )
  ]
  sites, cases = np.array(items).T
  np.testing.assert_array_equal(np.bincount(sites), [8, 8, 8])
  np.testing.assert_array_equal(np.bincount(cases[sites == 2]), np.ones(8))
  np.testing.assert_array_equal(np.bincount(cases[sites == 0]), [4, 4])
