"""All runs of a comparison on one page, with its figures and its numbers."""

from collections.abc import Iterator, Sequence
import csv
import html
import io
import pathlib
import re
from typing import Any

from common import errors, figures, files, page
from common.comparison import all_figures, comparability, grouping
from common.comparison import study as study_lib
from common.comparison import table as table_lib

_COLUMNS = (
  'study',
  'table',
  'method',
  'variant',
  'metric',
  'summary',
  'runs',
  'mean',
  'sd',
  'sd_seeds',
  'difference',
  'least_difference',
  'most_difference',
  'p_runs_holm',
  'p_cases_holm',
)
_NOTE = (
  'Mean ± standard deviation over runs (seeds and orders). ACC: mean score of '
  'the stream after its last stage; BWT: change since a site was learnt; '
  'unseen: mean score of sites never learnt. Distances enter as their '
  'negatives, so that higher is always better. joint, independent and '
  'untrained are references, not rivals; untrained is the network before its '
  'first step, which in registration leaves images as they are. Bold: best; '
  'underlined: second, where three rivals or more with the same orders and '
  'seeds are not alike; a * marks a row of other orders or seeds.'
)
_TESTS = (
  'Small: the mean difference to {reference} on the orders and seeds that both '
  'have, in whose order the rows are, and p of two two-sided Wilcoxon '
  'signed-rank tests, each adjusted after Holm for the rows of the table: over '
  'runs, six or more pairs of the same order and seed (other trainings), then '
  'over cases after the last stage, each the mean over its labels and runs '
  '(other cases for these networks). Where runs are too few for a test, the '
  'least and the largest difference of a run are in brackets.'
)
_APART = (
  'Runs on {number} different sets of sites, data or metrics, each with tables '
  'of its own: numbers of one are not to be held against those of another.'
)
_SITES = '{axis}: every site after the last stage.'


def write(
  folders: Sequence[pathlib.Path], folder: pathlib.Path, reference: str = ''
) -> None:
  """Writes the report of the runs in or below `folders` to `folder`.

  `reference` is the method that others are tested against.

  Raises:
    InputError: no run to compare, a reference that none of them is, or a folder
      that is a run or cannot be written to.
  """
  if (folder / 'results.json').exists():
    raise errors.InputError(
      f'--out={folder}: found a run, whose report.html this would replace; '
      'allowed another folder'
    )
  studies, left_out = grouping.find(folders)
  methods = {row.method for study in studies for row in study.rows}
  if reference and reference not in methods:
    raise errors.InputError(
      f'--reference={reference}: found no run of it, there are '
      f'{", ".join(sorted(methods))}'
    )
  sections, numbers, shown = [], [], 0
  for place, study in enumerate(studies, start=1):
    tables = table_lib.create_all(study, reference)
    for name, table in tables.items():
      numbers += [[study.title, name, *line] for line in table.numbers()]
    pictures = list(_draw(study, folder / 'figures', f'{place}'))
    sections.append(_section(study, tables, pictures, shown, reference))
    shown += len(pictures)
  files.write_text(folder / 'summary.csv', _table_text(_COLUMNS, numbers))
  apart = _APART.format(number=len(studies)) if len(studies) > 1 else ''
  body = ''.join([_left_out(left_out), _note(apart), *sections])
  path = folder / 'report.html'
  files.write_text(path, page.render('Comparison', body))
  for line in left_out:
    print(f'left out: {line}')
  if apart:
    print(apart)
  runs = sum(len(row.runs) for study in studies for row in study.rows)
  print(f'done: {runs} runs, {len(left_out)} left out; {path}')


def _table_text(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows([head, *rows])
  return text.getvalue()


def _draw(
  study: study_lib.Study, folder: pathlib.Path, prefix: str
) -> Iterator[tuple[pathlib.Path, str]]:
  """Figures of a study, written: (path, caption)."""
  for name, figure, caption in all_figures.draw_all(study):
    plain = re.sub(r'[^0-9A-Za-z-]', '_', f'{prefix}_{name}')
    path = folder / f'{plain}.png'
    figures.save(figure, path, caption)
    yield path, caption


def _section(
  study: study_lib.Study,
  tables: dict[str, table_lib.Table],
  pictures: Sequence[tuple[pathlib.Path, str]],
  shown: int,
  wanted: str,
) -> str:
  parts = [f'<h2>{html.escape(study.title)}</h2>']
  for name, table in tables.items():
    if name:
      parts.append(f'<h3>{html.escape(name)}</h3>')
    parts.append(table.to_html())
    if table.reference is not None:
      parts.append(_note(_TESTS.format(reference=table.reference.name)))
    elif wanted:
      parts.append(_note(f'No row of {wanted} here, so no tests.'))
    records = comparability.unequal_records(table.rows)
    if name:
      parts += map(_note, records)
    else:
      parts.append(_note(_NOTE))
      parts += map(_note, comparability.unequal_fields(study) + records)
      for metric, scores in study.rows[0].runs[0].scores.items():
        parts.append(table_lib.sites_html(table.rows, metric))
        parts.append(_note(_SITES.format(axis=scores.axis_label)))
  for number, (path, caption) in enumerate(pictures, start=shown + 1):
    parts.append(page.figure(number, path, caption))
  return '\n'.join(parts)


def _note(text: str) -> str:
  if not text:
    return ''
  return f'<p class="note">{html.escape(text)}</p>'


def _left_out(lines: Sequence[str]) -> str:
  if not lines:
    return ''
  items = ''.join(f'<li>{html.escape(line)}</li>' for line in lines)
  return f'<h2>Left out</h2><ul>{items}</ul>'
