"""Whether one method is better than another on the same cases."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats


def paired(a: Sequence[float], b: Sequence[float]) -> float:
  """Two-sided p-value of the Wilcoxon signed-rank test (Wilcoxon, 1945).

  Pairs without a difference are dropped; without any other there is nothing to
  tell the two apart by, p = 1. nan without pairs.
  """
  gaps = np.subtract(a, b)
  gaps = gaps[~np.isnan(gaps)]
  if not gaps.size:
    return float('nan')
  if not gaps.any():
    return 1.0
  return float(stats.wilcoxon(gaps[gaps != 0]).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
  """Adjusted for as many tests as there are (Holm, 1979).

  The k-th smallest of m is multiplied by m - k + 1, is at least as large as the
  one before it and at most 1. nan stays, and is not counted.
  """
  known = {name: p for name, p in p_values.items() if not np.isnan(p)}
  adjusted, largest = dict(p_values), 0.0
  for rank, name in enumerate(sorted(known, key=known.get)):
    largest = max(largest, min(1.0, known[name] * (len(known) - rank)))
    adjusted[name] = largest
  return adjusted
