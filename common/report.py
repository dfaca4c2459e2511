"""All runs of a comparison on one page: `python -m common.report DIR ...`.

    python -m common.report runs/sweep --out=runs/report

takes every finished run in or below the folders and writes `report.html`, which
needs no other file, its figures as PNG and its numbers as CSV. Runs are grouped
by what their scores mean: sites, data, metrics. What cannot be compared is
named and left out.
"""

from collections.abc import Iterator, Sequence
import csv
import html
import io
import pathlib
import re
from typing import Any

import numpy as np

from common import (
  app,
  comparison,
  comparison_figures,
  errors,
  figures,
  files,
  page,
  significance,
)

# Whom the others are tested against, unless another is named.
_REFERENCES = ('smg', 'samcl')
_COLUMNS = (
  'study',
  'method',
  'variant',
  'metric',
  'summary',
  'runs',
  'mean',
  'sd',
  'p_holm',
)
_NOTE = (
  'Mean ± standard deviation over runs (seeds and orders). ACC: mean score of '
  'the stream after its last stage; BWT: change since a site was learnt; '
  'unseen: mean score of sites never learnt. Distances enter as their '
  'negatives, so that higher is always better. Bold: best; underlined: second. '
  'p: two-sided Wilcoxon signed-rank test against {reference} on cases after '
  'the last stage, each the mean over its labels and over the orders and seeds '
  'that both have; adjusted after Holm for all rows of a column. * has other '
  'orders or seeds than {reference}.'
)


def main(
  folders: Sequence[pathlib.Path], out: str, reference: str = ''
) -> None:
  """Writes the report to the folder `out`.

  `reference` is the method that others are tested against.

  Raises:
    InputError: no run to compare, a reference that none of them is, or a folder
      that cannot be written to.
  """
  folder = app.checked_out(out)
  studies, left_out = comparison.find(folders)
  methods = {row.method for study in studies for row in study.rows}
  if reference and reference not in methods:
    raise errors.InputError(
      f'--reference={reference}: found no run of it, there are '
      f'{", ".join(sorted(methods))}'
    )
  sections, numbers, shown = [], [], 0
  for place, study in enumerate(studies, start=1):
    chosen = _reference(study, reference)
    p_values = _p_values(study, chosen)
    numbers += _numbers(study, p_values)
    pictures = list(_draw(study, folder / 'figures', f'{place}'))
    sections.append(_section(study, chosen, p_values, pictures, shown))
    shown += len(pictures)
  files.write_text(folder / 'summary.csv', _table_text(_COLUMNS, numbers))
  body = ''.join([_left_out(left_out), *sections])
  files.write_text(folder / 'report.html', page.render('Comparison', body))
  for line in left_out:
    print(f'left out: {line}')
  runs = sum(len(row.runs) for study in studies for row in study.rows)
  print(
    f'done: {runs} runs, {len(left_out)} left out; {folder / "report.html"}'
  )


def _reference(study: comparison.Study, wanted: str) -> comparison.Row | None:
  """The row that others are tested against."""
  by_method = {row.method: row for row in study.plain_rows}
  for name in (wanted, *_REFERENCES):
    if name in by_method:
      return by_method[name]
  return None


def _p_values(
  study: comparison.Study, reference: comparison.Row | None
) -> dict[tuple[str, str, str], float]:
  """(row, metric, summary) -> adjusted p-value."""
  found = {}
  if reference is None:
    return found
  results = reference.runs[0].results
  places = {'ACC': sorted(results['stream']), 'unseen': results['unseen']}
  for metric in study.metrics:
    for summary, sites in places.items():
      p_values = {
        row.name: _paired(row, reference, metric, sites)
        for row in study.rows
        if row is not reference
      }
      for name, p in significance.holm(p_values).items():
        found[name, metric, summary] = p
  return found


def _paired(
  row: comparison.Row,
  reference: comparison.Row,
  metric: str,
  sites: Sequence[str],
) -> float:
  shared = row.cells & reference.cells
  a, b = (
    comparison.case_scores(
      [run for run in one.runs if comparison.cell(run) in shared], metric, sites
    )
    for one in (row, reference)
  )
  cases = sorted(a.keys() & b.keys())
  return significance.paired([a[c] for c in cases], [b[c] for c in cases])


def _numbers(study: comparison.Study, p_values: dict) -> Iterator[list[Any]]:
  for row in study.rows:
    for metric in study.metrics:
      for summary in comparison.SUMMARIES:
        values = row.summary(metric, summary)
        if values.size:
          yield [
            study.title,
            row.method,
            ' '.join(row.variant),
            metric,
            summary,
            values.size,
            values.mean(),
            values.std(ddof=1) if values.size > 1 else '',
            p_values.get((row.name, metric, summary), ''),
          ]


def _table_text(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows([head, *rows])
  return text.getvalue()


def _draw(
  study: comparison.Study, folder: pathlib.Path, prefix: str
) -> Iterator[tuple[pathlib.Path, str]]:
  """Figures of a study, written: (path, caption)."""
  for name, figure, caption in comparison_figures.draw_all(study):
    plain = re.sub(r'[^0-9A-Za-z-]', '_', f'{prefix}_{name}')
    path = folder / f'{plain}.png'
    figures.save(figure, path, caption)
    yield path, caption


def _section(study, reference, p_values, pictures, shown) -> str:
  numbered = [
    page.figure(number, path, caption)
    for number, (path, caption) in enumerate(pictures, start=shown + 1)
  ]
  note = _NOTE.format(reference=reference.method if reference else 'none')
  parts = [
    f'<h2>{html.escape(study.title)}</h2>',
    _main_table(study, study.plain_rows or study.rows, reference, p_values),
    f'<p class="note">{html.escape(note)}</p>',
    *_ablations(study, reference, p_values),
    *numbered,
  ]
  return '\n'.join(parts)


def _ablations(study, reference, p_values) -> Iterator[str]:
  for (method, fields), rows in study.variants().items():
    yield f'<h3>{html.escape(f"{method}: {fields}")}</h3>'
    yield _main_table(study, rows, reference, p_values)


def _main_table(study, rows, reference, p_values) -> str:
  columns = [
    (metric, summary)
    for metric in study.metrics
    for summary in comparison.SUMMARIES
    if any(row.summary(metric, summary).size for row in rows)
  ]
  rows = study.best_first(rows)
  means = {
    column: [
      values.mean() if (values := row.summary(*column)).size else -np.inf
      for row in rows
    ]
    for column in columns
  }
  head = ['method', 'runs', *(f'{m} {s}' for m, s in columns)]
  body = []
  for place, row in enumerate(rows):
    same = reference is None or row.cells == reference.cells
    cells = [
      page.Cell(
        _cell(row.summary(*column), p_values.get((row.name, *column))),
        _mark(means[column], place),
      )
      for column in columns
    ]
    body.append([row.name, f'{len(row.runs)}{"" if same else "*"}', *cells])
  return page.table(head, body)


def _cell(values: np.ndarray, p: float | None) -> str:
  if not values.size:
    return page.signed(None)
  text = page.signed(float(values.mean()))
  if values.size > 1:
    text += f' ± {values.std(ddof=1):.3f}'
  if p is None or np.isnan(p):
    return text
  return f'{text} (p {"< .001" if p < 0.001 else f"{p:.3f}"})'


def _mark(means: Sequence[float], place: int) -> str:
  known = [mean for mean in means if np.isfinite(mean)]
  if len(means) < 3 or means[place] not in known or len(set(known)) == 1:
    return ''
  rank = sum(other > means[place] for other in means)
  return ('best', 'second', '')[min(rank, 2)]


def _left_out(lines: Sequence[str]) -> str:
  if not lines:
    return ''
  items = ''.join(f'<li>{html.escape(line)}</li>' for line in lines)
  return f'<h2>Left out</h2><ul>{items}</ul>'


if __name__ == '__main__':
  app.run_on_folders(
    main,
    options={
      'out': 'Folder that the report is written to.',
      'reference': 'Method that others are tested against.',
    },
  )
