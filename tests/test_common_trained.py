import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common import checkpoint, errors, trained
from common import train_state as ts

PARAMS = {'a': {'kernel': jnp.arange(6.0).reshape(2, 3)}, 'b': jnp.ones(4)}


@pytest.fixture
def workdir(tmp_path):
  state = ts.create_state(PARAMS, optax.adam(1e-3), rule=jnp.zeros(7))
  checkpoint.Checkpoints(tmp_path / 'checkpoints').save(3, state, {})
  return tmp_path


def test_parameters_are_read_without_the_rest_of_the_state(workdir):
  like = {'a': {'kernel': jnp.zeros((2, 3))}, 'b': jnp.zeros(4)}
  found = trained.load_params(workdir, like=like)
  np.testing.assert_array_equal(found['a']['kernel'], PARAMS['a']['kernel'])
  np.testing.assert_array_equal(found['b'], PARAMS['b'])


@pytest.mark.parametrize(
  ('like', 'said'),
  [
    (PARAMS | {'b': jnp.ones(5)}, r'params\.b: found \(4,\), allowed \(5,\)'),
    (PARAMS | {'c': jnp.ones(1)}, r'params\.c: found None, allowed \(1,\)'),
    ({'b': jnp.ones(4)}, r'params\.a\.kernel: found \(2, 3\), allowed None'),
  ],
)
def test_another_network_is_named(workdir, like, said):
  with pytest.raises(errors.InputError, match=said):
    trained.load_params(workdir, like=like)


def test_a_folder_without_checkpoints_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='found no checkpoint'):
    trained.load_params(tmp_path, like=PARAMS)
