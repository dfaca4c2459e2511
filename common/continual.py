"""What a stream run achieved, from its matrix R[stage, site] alone.

Indices below count from 1, as in the papers: T sites are trained on one after
the other, R[t, i] is the score of site i after stage t, b_i the score of the
untrained network. Columns beyond T are sites that are never trained on.

Every score is signed so that higher is better: a distance enters as its
negative. So ACC of a distance is negative, and a positive BWT is a gain for
every metric. Forgetting alone is better when lower.

A cell that is nan (the metric does not exist for that site) leaves its terms
out of every mean, and a mean without terms is nan.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

NAMES = ('ACC', 'BWT', 'BWTR', 'forgetting', 'FWT', 'unseen')
_OVER_TIME = ('BWT', 'BWTR', 'forgetting', 'FWT')
# Summaries that say nothing of a method: fixed by how it trains, or of no one
# network.
UNDEFINED = {'joint': _OVER_TIME, 'independent': (*_OVER_TIME, 'unseen')}


def summarise(
  matrix: np.ndarray,
  untrained: Sequence[float],
  *,
  num_stream: int,
  higher_is_better: bool,
  independent: Sequence[float] | None = None,
) -> dict[str, float]:
  """The summary of one metric.

      ACC        = mean_i          R[T, i]
      BWT        = mean_{i<T}      R[T, i] - R[i, i]
      BWTR       = mean_{i<T}      (R[T, i] - R[i, i]) / |R[i, i]|
      forgetting = mean_{i<T}      max_t R[t, i] - R[T, i]
      FWT        = mean_{i>1}      R[i - 1, i] - b_i
      RMA        = mean_{i>=2}     R[i, i] / independent_i
      unseen     = mean_{i>T}      R[T, i]

  after Lopez-Paz & Ranzato (2017), eqs. 2-4, for ACC, BWT and FWT. A term that
  divides by 0 is left out. RMA is inverted for distances, so that above 1 is
  better than training alone, and is present only if `independent` is given.

  Args:
    matrix: R, (T, num_sites). A matrix of one row, as an untrained network
      leaves, has ACC and unseen only; the rest is nan.
    untrained: b, (num_sites,).
    num_stream: T.
    higher_is_better: False for distances.
    independent: scores of T networks, each trained on its site alone, (T,).

  Raises:
    ValueError: if the shapes do not fit `num_stream`.
  """
  sign = 1.0 if higher_is_better else -1.0
  scores = sign * np.asarray(matrix, dtype=np.float64)
  start = sign * np.asarray(untrained, dtype=np.float64)
  _check(scores, start, num_stream)
  last = scores[-1]
  seen = scores[:, :num_stream]
  whole = len(scores) == num_stream
  learnt = np.diagonal(seen) if whole else np.full(num_stream, np.nan)
  change = (last[:num_stream] - learnt)[:-1]
  summary = {
    'ACC': _mean(last[:num_stream]),
    'BWT': _mean(change),
    'BWTR': _mean(_divide(change, np.abs(learnt[:-1]))),
    'forgetting': _mean(_forgotten(seen)[:-1]) if whole else np.nan,
    'FWT': _mean(np.diagonal(seen, 1) - start[1:num_stream])
    if whole
    else np.nan,
    'unseen': _mean(last[num_stream:]),
  }
  if independent is not None:
    alone = sign * np.asarray(independent, dtype=np.float64)
    if alone.shape != (num_stream,):
      raise ValueError(
        f'independent: found shape {alone.shape}, allowed ({num_stream},)'
      )
    ratio = (learnt, alone) if higher_is_better else (alone, learnt)
    summary['RMA'] = _mean(_divide(*ratio)[1:])
  return summary


def json_ready(value: Any) -> Any:
  """The same numbers, lists and dicts with None for nan, as JSON wants it."""
  if isinstance(value, dict):
    return {str(key): json_ready(entry) for key, entry in value.items()}
  if isinstance(value, (list, tuple)):
    return [json_ready(entry) for entry in value]
  if isinstance(value, (np.ndarray, np.generic)):
    return json_ready(value.tolist())
  if isinstance(value, float) and not np.isfinite(value):
    return None
  return value


def _forgotten(scores: np.ndarray) -> np.ndarray:
  """`max_t R[t, i] - R[T, i]` over the stages that have a score."""
  known = np.where(np.isnan(scores), -np.inf, scores)
  best = known.max(axis=0)
  return np.where(np.isfinite(best), best, np.nan) - scores[-1]


def _mean(terms: np.ndarray) -> float:
  terms = terms[~np.isnan(terms)]
  return float(terms.mean()) if terms.size else np.nan


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
  """Quotient, nan where the divisor is 0."""
  return above / np.where(below == 0, np.nan, below)


def _check(scores: np.ndarray, start: np.ndarray, num_stream: int) -> None:
  if scores.ndim != 2 or scores.shape[0] not in (1, num_stream):
    raise ValueError(
      f'matrix: found shape {scores.shape}, allowed ({num_stream}, num_sites)'
      ' or (1, num_sites)'
    )
  if not 1 <= num_stream <= scores.shape[1]:
    raise ValueError(
      f'num_stream: found {num_stream}, allowed 1 to {scores.shape[1]}'
    )
  if start.shape != scores.shape[1:]:
    raise ValueError(
      f'untrained: found shape {start.shape}, allowed {scores.shape[1:]}'
    )
