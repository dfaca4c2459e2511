import json
import types

import numpy as np
import pytest

from common import trainer
from configs import smg_tiny
from smg import audit, privacy, setup


def _images(seed: int, count: int) -> np.ndarray:
  return np.random.default_rng(seed).random((count, 6, 5, 1))


def test_a_copy_is_found_whatever_its_brightness():
  training = _images(0, 7)
  found = privacy.nearest_correlation(3 * training[2:4] - 0.5, training)
  np.testing.assert_allclose(found, 1)
  inverted = privacy.nearest_correlation(-training[:1], training[:1])
  np.testing.assert_allclose(inverted, -1)


def test_correlation_is_pearsons():
  a, b = _images(1, 1), _images(2, 1)
  expected = np.corrcoef(a.ravel(), b.ravel())[0, 1]
  assert privacy.nearest_correlation(a, b)[0] == pytest.approx(expected)


def test_an_image_of_one_value_correlates_with_nothing():
  flat = np.full((1, 6, 5, 1), 0.3)
  np.testing.assert_array_equal(
    privacy.nearest_correlation(flat, _images(0, 3)), 0
  )


def test_share_of_samples_beyond_the_held_out():
  training = _images(0, 20)
  generated = np.concatenate([training[:5], _images(3, 15)])
  found = privacy.audit(generated, _images(4, 200), training)
  assert found.share_closer >= 5 / 20
  assert found.limit == np.percentile(found.held_out, 99)
  fresh = privacy.audit(_images(5, 200), _images(4, 200), training)
  assert fresh.share_closer < 0.06


def test_a_generator_that_copies_is_found(tmp_path, monkeypatch):
  """All that it draws is nearer to training images than any held-out one."""
  config = smg_tiny.get_config()
  config.data.folder = str(tmp_path / 'data')
  problem = setup.create_problem(config)

  def sample(state, number, num, key):
    site = problem.sites[number]
    return site.load_train(range(site.num_train()))['image'], None

  state = types.SimpleNamespace(generator=None)
  monkeypatch.setattr(setup, 'create_problem', lambda config: problem)
  monkeypatch.setattr(problem.generator, 'sample', sample)
  monkeypatch.setattr(trainer, 'restore', lambda *args: (state, None))
  audit.main(config, tmp_path)
  found = json.loads((tmp_path / 'privacy.json').read_text())
  shares = {name: site['share_closer'] for name, site in found.items()}
  assert shares == {'site_a': 1, 'site_b': 1}


def test_both_distributions_are_drawn(tmp_path):
  found = privacy.audit(_images(5, 30), _images(4, 30), _images(0, 9))
  privacy.draw(tmp_path / 'privacy.png', {'a': found, 'b': found})
  assert (tmp_path / 'privacy.png').stat().st_size > 5000
  assert set(found.to_json()) == {
    'generated',
    'held_out',
    'limit',
    'share_closer',
  }
