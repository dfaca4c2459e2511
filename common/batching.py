"""Which cases form the batch of a step: a function, so no iterator state."""

from collections.abc import Sequence

import numpy as np

from common import rng


def batch_indices(
  seed: int, name: str, step: int, *, num_cases: int, batch_size: int
) -> np.ndarray:
  """Case numbers of one batch, `(batch_size,)` int64.

  Cases are visited in one random order per epoch and the epochs are laid end to
  end, so every batch is full also when it is larger than the data set.

  Args:
    seed: of the run.
    name: of the stream of draws, e.g. 'brain_mr/stage0'.
    step: within that stream, from 0.
    num_cases: size of the data set.
    batch_size: cases per step.
  """
  positions = step * batch_size + np.arange(batch_size)
  epochs, within = np.divmod(positions, num_cases)
  orders = {
    epoch: rng.host(seed, f'batch/{name}', int(epoch)).permutation(num_cases)
    for epoch in np.unique(epochs)
  }
  return np.array(
    [orders[epoch][i] for epoch, i in zip(epochs, within, strict=True)]
  )


def balanced_batch(
  seed: int,
  name: str,
  step: int,
  *,
  num_cases: Sequence[int],
  batch_size: int,
) -> list[tuple[int, int]]:
  """(site, case) of a batch in which every site gets the same share.

  Sites alternate over the positions of the batches laid end to end; within a
  site the cases come in the order of `batch_indices` with batches of one.
  """
  positions = step * batch_size + np.arange(batch_size)
  rounds, sites = np.divmod(positions, len(num_cases))
  return [
    (
      int(site),
      int(
        batch_indices(
          seed,
          f'{name}/{site}',
          int(turn),
          num_cases=num_cases[site],
          batch_size=1,
        )[0]
      ),
    )
    for turn, site in zip(rounds, sites, strict=True)
  ]
