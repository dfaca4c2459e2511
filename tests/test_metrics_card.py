"""The card says of every metric what the code does."""

import pathlib
import re

from common import continual, metrics

CARD = pathlib.Path(__file__).resolve().parent.parent / 'docs' / 'metrics.md'


def test_every_metric_with_unit_and_direction():
  rows = re.findall(r'\| `(\w+)` \| (\w+) \| (\w+) \|', CARD.read_text('utf-8'))
  assert {name: (unit, better) for name, unit, better in rows} == {
    name: (spec.unit, 'higher' if spec.higher_is_better else 'lower')
    for name, spec in metrics.METRICS.items()
  }


def test_every_summary():
  text = CARD.read_text('utf-8')
  text = text[text.index('## From R') : text.index('## Between')]
  assert {*re.findall(r'\| `(\w+)` \|', text)} == {*continual.NAMES, 'RMA'}
