"""How a step is run: compiled as a whole on accelerators, in pieces on CPU."""

from collections.abc import Callable
from typing import Any

import jax

from common import heap
from common import train_state as ts


def compiled(step: ts.StepFn) -> ts.StepFn:
  """The step as it is best here; on accelerators the state is donated.

  On CPU the pieces of a step are compiled one by one: SAMCL's would hold six
  copies of the gradient, a minute and more to compile.
  """
  if jax.default_backend() == 'cpu':
    return step
  return jax.jit(step, donate_argnums=0)


def piece(
  function: Callable[..., Any], *, donate_argnums: int | tuple[int, ...] = ()
) -> Callable[..., Any]:
  """A part of a step, compiled; inside a compiled step this does nothing.

  On CPU the call waits for the result, then returns free pages of the heap:
  buffers are allocated at dispatch, so that without waiting those of two
  programs would be alive at once.
  """
  program = jax.jit(function, donate_argnums=donate_argnums)
  if jax.default_backend() != 'cpu':
    return program
  return lambda *args: heap.settled(program(*args))
