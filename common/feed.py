"""Cases for a method: batches of its steps, and what it keeps of a site."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np

from common import batching, methods, rng
from common import memory as memory_lib
from common import plan as plan_lib
from common import problem as problem_lib
from common import train_state as ts


class Feed:
  """Cases of a problem as a method asks for them.

  Args:
    problem: the sites.
    method: which of them it sees, and what it keeps.
    plan: seeds and sizes.
    generator: draws what is kept; None where that is real.
  """

  def __init__(
    self,
    problem: problem_lib.Problem,
    method: methods.Method,
    plan: plan_lib.Plan,
    generator: problem_lib.Generator | None,
  ):
    self._problem, self._method, self._plan = problem, method, plan
    self._generator = generator

  def batch(self, phase: plan_lib.Phase, step: int) -> ts.Batch:
    """The batch of a step, with the field 'site', int32 (b,)."""
    return self._load(self._items(phase, step))

  def cases(self, site: int, num: int) -> Iterator[ts.Batch]:
    """Batches of one case, `num` different ones or all that a site has."""
    for case in self._some(site)[:num]:
      yield self._load([(site, int(case))])

  def create_memory(
    self, annotate: Callable[[ts.Batch], ts.Batch] | None = None
  ) -> memory_lib.Memory | None:
    """An empty memory for annotated cases, if the method has one."""
    if not self._method.memory:
      return None
    if self._method.memory == 'reservoir':
      capacity = self._plan.capacity
    else:
      capacity = self._num_kept * max(1, len(self._problem.stream) - 1)
    example = self._load([(0, 0)])
    if annotate is not None:
      example = jax.eval_shape(annotate, example)
    return memory_lib.create_memory(example, capacity)

  def remember(
    self, state: ts.TrainState, site: int
  ) -> tuple[ts.TrainState, Mapping[int, Mapping[str, float]]]:
    """The memory with cases of a site just left; site -> what to log of a draw.

    Real ones join those that are there. Generated ones are drawn anew of every
    past site, from the same noise as before: a site is remembered as far as
    the generator still knows it, and no further.
    """
    if self._generator is None:
      order = self._some(site)
      chosen = order[np.arange(self._num_kept) % len(order)]
      batch = self._load([(site, int(case)) for case in chosen])
      return state.replace(memory=memory_lib.append(state.memory, batch)), {}
    memory, logged = memory_lib.empty(state.memory), {}
    for past in range(site + 1):
      key = rng.stream(self._plan.seed, f'replay/{past}')
      batch, logged[past] = self._generator.sample_cases(
        state, past, self._num_kept, key
      )
      batch = _with_site(batch, [past] * self._num_kept)
      memory = memory_lib.append(memory, batch)
    return state.replace(memory=memory), logged

  @property
  def _num_kept(self) -> int:
    """Cases of a past site."""
    return (self._generator or self._plan).num_kept

  def _some(self, site: int) -> np.ndarray:
    """The cases of a site in the order in which a few are taken of it."""
    count = self._problem.num_train(site)
    return rng.host(self._plan.seed, 'kept', site).permutation(count)

  def _load(self, items: Sequence[tuple[int, int]]) -> ts.Batch:
    batch = self._problem.load_train(items)
    return _with_site(batch, [site for site, _ in items])

  def _items(self, phase: plan_lib.Phase, step: int) -> list[tuple[int, int]]:
    """(site, case) of one batch."""
    plan, stage = self._plan, phase.stage
    if self._method.all_sites:
      counts = [
        self._problem.num_train(site)
        for site in range(len(self._problem.stream))
      ]
      return batching.balanced_batch(
        plan.seed, 'all', step, num_cases=counts, batch_size=plan.batch_size
      )
    name, size = f'stage{stage}', plan.batch_size
    if phase.kind == 'generator':
      name, size = f'generator{stage}', self._generator.batch_size
    cases = batching.batch_indices(
      plan.seed,
      name,
      step - phase.start,
      num_cases=self._problem.num_train(stage),
      batch_size=size,
    )
    return [(stage, int(case)) for case in cases]


def _with_site(batch: ts.Batch, sites: Sequence[int]) -> ts.Batch:
  return dict(batch) | {'site': np.array(sites, np.int32)}
