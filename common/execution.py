"""How a step is run: compiled as a whole on accelerators, in pieces on CPU."""

import jax

from common import train_state as ts


def compiled(step: ts.StepFn) -> ts.StepFn:
  """The step as it is best here; on accelerators the state is donated.

  On CPU the pieces of a step are compiled one by one: SAMCL's would hold six
  copies of the gradient, a minute and more to compile.
  """
  if jax.default_backend() == 'cpu':
    return step
  return jax.jit(step, donate_argnums=0)
