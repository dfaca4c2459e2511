"""The summary of a stream against numbers worked out by hand."""

import json
import math

import numpy as np
import pytest

from common import continual

# Three sites in the stream, two never trained on.
MATRIX = np.array(
  [
    [0.80, 0.30, 0.20, 0.50, 0.10],
    [0.60, 0.70, 0.40, 0.55, 0.15],
    [0.50, 0.75, 0.90, 0.65, 0.05],
  ]
)
UNTRAINED = [0.10, 0.05, 0.15, 0.20, 0.25]


def _summary(matrix: np.ndarray = MATRIX, **options) -> dict[str, float]:
  options = {'num_stream': 3, 'higher_is_better': True, **options}
  return continual.summarise(matrix, UNTRAINED, **options)


def test_hand_derived():
  expected = {
    'ACC': 2.15 / 3,  # .50 .75 .90
    'BWT': (-0.30 + 0.05) / 2,
    'BWTR': (-0.30 / 0.80 + 0.05 / 0.70) / 2,
    'forgetting': (0.30 + 0.0) / 2,
    'FWT': ((0.30 - 0.05) + (0.40 - 0.15)) / 2,
    'unseen': (0.65 + 0.05) / 2,
  }
  assert _summary() == pytest.approx(expected)
  assert tuple(_summary()) == continual.NAMES


def test_distances_are_negated():
  expected = {
    'ACC': -2.15 / 3,
    'BWT': (0.30 - 0.05) / 2,
    'BWTR': (0.30 / 0.80 - 0.05 / 0.70) / 2,
    'forgetting': (0.0 + (0.75 - 0.30)) / 2,  # the lowest is the best
    'FWT': -((0.30 - 0.05) + (0.40 - 0.15)) / 2,
    'unseen': -(0.65 + 0.05) / 2,
  }
  assert _summary(higher_is_better=False) == pytest.approx(expected)


def test_relative_to_independent_training():
  alone = [0.5, 1.4, 0.6]
  assert _summary(independent=alone)['RMA'] == pytest.approx((0.5 + 1.5) / 2)
  inverse = _summary(independent=alone, higher_is_better=False)['RMA']
  assert inverse == pytest.approx((2 + 1 / 1.5) / 2)


def test_missing_cells_leave_their_terms_out():
  """Site 1 has no score at all, as the TRE of a site without landmarks."""
  matrix = MATRIX.copy()
  matrix[:, 0] = np.nan
  expected = {
    'ACC': 1.65 / 2,
    'BWT': 0.05,
    'BWTR': 0.05 / 0.70,
    'forgetting': 0.0,
    'FWT': 0.25,
    'unseen': 0.35,
  }
  assert _summary(matrix) == pytest.approx(expected)
  everything = _summary(np.full_like(MATRIX, np.nan))
  assert all(math.isnan(value) for value in everything.values())


def test_best_stage_skips_missing_cells():
  matrix = MATRIX.copy()
  matrix[0, 0] = np.nan
  summary = _summary(matrix)
  assert summary['forgetting'] == pytest.approx((0.10 + 0.0) / 2)
  assert summary['BWT'] == pytest.approx(0.05)


def test_division_by_zero_is_left_out():
  matrix = MATRIX.copy()
  matrix[0, 0] = 0.0
  assert _summary(matrix)['BWTR'] == pytest.approx(0.05 / 0.70)
  assert _summary(independent=[1.0, 0.0, 0.6])['RMA'] == pytest.approx(1.5)


def test_one_stage_has_no_past():
  summary = continual.summarise(
    np.array([[0.4, 0.2]]), [0.1, 0.1], num_stream=1, higher_is_better=True
  )
  assert summary['ACC'] == pytest.approx(0.4)
  assert summary['unseen'] == pytest.approx(0.2)
  nothing = {'BWT', 'BWTR', 'forgetting', 'FWT'}
  assert {n for n, v in summary.items() if math.isnan(v)} == nothing
  written = json.dumps(continual.json_ready(summary), allow_nan=False)
  assert json.loads(written)['BWT'] is None


def test_one_row_of_joint_training():
  summary = _summary(MATRIX[-1:])
  assert summary['ACC'] == pytest.approx(2.15 / 3)
  assert summary['unseen'] == pytest.approx(0.35)
  assert all(math.isnan(summary[n]) for n in ('BWT', 'forgetting', 'FWT'))


def test_json_ready_goes_all_the_way_down():
  value = {'a': [np.float32(0.5), (np.nan, 2)], 'b': np.array([[1.0, np.nan]])}
  expected = {'a': [0.5, [None, 2]], 'b': [[1.0, None]]}
  assert continual.json_ready(value) == expected


@pytest.mark.parametrize(
  ('matrix', 'options', 'named'),
  [
    (MATRIX[:2], {}, 'matrix'),
    (MATRIX[:, :4], {}, 'untrained'),
    (MATRIX[:1], {'num_stream': 6}, 'num_stream'),
    (MATRIX, {'independent': [1.0, 2.0]}, 'independent'),
  ],
)
def test_shapes_that_do_not_fit(matrix, options, named):
  with pytest.raises(ValueError, match=f'{named}: found'):
    _summary(matrix, **options)
