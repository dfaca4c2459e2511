"""A harness stricter than production."""

from collections.abc import Iterator
import functools
import os
import shutil
import tempfile

import jax
import pytest

pytest.register_assert_rewrite(
  'tests.parity_baselines',
  'tests.parity_metrics',
  'tests.parity_network',
  'tests.parity_numerics',
  'tests.parity_preprocessing',
  'tests.parity_updates',
)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_debug_key_reuse', True)

_CACHE = 'JAX_COMPILATION_CACHE_DIR'
_MIN_SECONDS = 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'


def pytest_configure(config: pytest.Config) -> None:
  """What is compiled once serves all tests, workers and binaries they start."""
  if not os.environ.get(_CACHE):
    os.environ[_CACHE] = tempfile.mkdtemp(prefix='compiled_')
    config.add_cleanup(
      functools.partial(shutil.rmtree, os.environ[_CACHE], ignore_errors=True)
    )
  os.environ.setdefault(_MIN_SECONDS, '0.2')
  # Most of what a test compiles runs for less than compiling it well takes.
  os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')
  jax.config.update('jax_compilation_cache_dir', os.environ[_CACHE])
  seconds = float(os.environ[_MIN_SECONDS])
  jax.config.update('jax_persistent_cache_min_compile_time_secs', seconds)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """The longest modules first, that no worker is left with one at the end."""
  items.sort(key=lambda item: not item.path.name.endswith('_train.py'))


@pytest.fixture(scope='module', autouse=True)
def _forget() -> Iterator[None]:
  """What is compiled stays on the disk; held by a worker it grows to GiB."""
  yield
  jax.clear_caches()


@pytest.fixture
def x64() -> Iterator[None]:
  """Double precision within one test."""
  with jax.enable_x64(True):
    yield
