import jax
import jax.numpy as jnp
import optax

from common import execution, train_state
from common.rules import descent


def test_a_piece_can_stand_in_a_compiled_step():
  double = execution.piece(lambda x: 2 * x)
  step = jax.jit(lambda x: double(x) + 1)
  assert step(jnp.ones(2)).tolist() == [3, 3]
  assert double(jnp.ones(2)).tolist() == [2, 2]


def test_a_piece_uses_up_what_is_donated():
  total, term = jnp.ones(2), jnp.ones(2)
  add = execution.piece(jnp.add, donate_argnums=0)
  assert add(total, term).tolist() == [2, 2]
  assert total.is_deleted()
  assert not term.is_deleted()


def test_an_update_keeps_the_parameters_it_starts_from():
  """Reptile needs them after the update; the optimizer's state nobody does."""
  tx = optax.adam(1e-3)
  state = train_state.create_state({'w': jnp.ones(3)}, tx)
  after, _ = descent.make_apply(tx)(state, {'w': jnp.ones(3)})
  assert state.params['w'].tolist() == [1, 1, 1]
  assert all(x.is_deleted() for x in jax.tree.leaves(state.opt_state))
  assert after.params['w'].max() < 1
