"""From rows of cases to the score of a site."""

import numpy as np

from common import problem


def _rows(values: dict[str, list[float]]) -> list[problem.CaseScore]:
  return [
    problem.CaseScore(case, str(label), 'dice', value, '1')
    for case, found in values.items()
    for label, value in enumerate(found, start=1)
  ]


def test_a_case_counts_once_however_many_labels_it_has():
  rows = _rows({'one': [1.0, np.nan], 'two': [0.0, 0.5]})
  assert problem.score(rows, 'dice') == (1 + 0.25) / 2


def test_a_case_without_a_score_does_not_count():
  rows = _rows({'one': [0.5], 'two': [np.nan, np.nan]})
  assert problem.score(rows, 'dice') == 0.5
  assert np.isnan(problem.score(rows[1:], 'dice'))
  assert np.isnan(problem.score(rows, 'hd95'))
