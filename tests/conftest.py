"""A harness stricter than production."""

from collections.abc import Iterator

import jax
import pytest

pytest.register_assert_rewrite(
  'tests.parity_metrics',
  'tests.parity_network',
  'tests.parity_numerics',
  'tests.parity_preprocessing',
  'tests.parity_updates',
)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_debug_key_reuse', True)


@pytest.fixture
def x64() -> Iterator[None]:
  """Double precision within one test."""
  with jax.enable_x64(True):
    yield
