"""report.html and figures/: what a finished run shows, from its files alone."""

import base64
from collections.abc import Sequence
import html
import json
import pathlib
import re
from typing import Any

import numpy as np
from PIL import Image

from common import continual, errors, figures, files, run_files, training_figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b; margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
p.facts, figcaption, p.note { color: #555; font-size: 0.88rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
div.wide { overflow-x: auto; }
th, td { padding: 0.25rem 0.7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #333; border-top: 2px solid #333; }
tbody tr:last-child > * { border-bottom: 2px solid #333; }
tbody th { font-weight: 600; }
figure { margin: 1.6rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; }
pre { font-size: 0.8rem; white-space: pre-wrap; background: #f6f6f6;
  padding: 0.8rem; }
@media print { body { font-size: 10pt; margin: 0; max-width: none; } }
"""

_NOTE = (
  'R[t, i] is the score of site i after stage t of T, b the untrained network. '
  'ACC: mean R[T, i] over the stream. BWT: mean change since a site was '
  'trained on; BWTR: the same, relative. Forgetting: best score of a site '
  'minus its last one. FWT: gain over b before a site is trained on. Unseen: '
  'mean R[T, i] over sites never trained on. Every score is signed so that '
  'higher is better: those marked * are better when lower and enter as their '
  'negatives, so a positive BWT is a gain for all of them.'
)


def write_report(workdir: pathlib.Path) -> None:
  """Draws `figures/*.png` and writes a self-contained `report.html`.

  Other pictures in `figures/` are shown too, with the caption that
  `figures/captions.json` has for their file name, else the one in the PNG.

  Raises:
    InputError: `workdir` is not a finished run, or cannot be written to.
  """
  run = run_files.load(workdir)
  folder = workdir / 'figures'
  drawn = _draw(run, folder)
  others = sorted(
    path
    for path in folder.glob('*.png')
    if path not in drawn and not path.name.startswith('.')
  )
  captions = _captions(folder / 'captions.json')
  pictures = drawn | {p: captions.get(p.name) or _caption(p) for p in others}
  files.write_text(workdir / 'report.html', _page(run, pictures))


def _draw(run: run_files.Run, folder: pathlib.Path) -> dict[pathlib.Path, str]:
  """Draws every plot; the captions by path."""
  captions = {}

  def add(name: str, figure, caption: str) -> None:
    path = folder / f'{re.sub(r"[^0-9A-Za-z-]", "_", name)}.png'
    figures.save(figure, path, caption)
    captions[path] = caption

  for name, scores in run.scores.items():
    add(
      f'matrix_{name}',
      figures.heat_map(scores),
      f'{name}: every site (column) after every stage (row). The frame marks '
      'the site just trained on; bright is better.',
    )
    add(
      f'stages_{name}',
      figures.stage_curves(scores),
      f'{name}: every site over the stages. A ring marks the stage that '
      'trained on it; what is lost to its right is forgetting.',
    )
    before, after = (
      [_per_case(run, stage, site, name) for site in scores.sites]
      for stage in (0, len(scores.matrix))
    )
    if any(values.size for values in (*before, *after)):
      add(
        f'cases_{name}',
        figures.case_boxes(scores, before, after),
        f'{name}: every case, averaged over its labels. Bars are medians; '
        'boxes, from five cases on, are quartiles.',
      )
  figure = training_figure.draw(run.log)
  if figure is not None:
    add('training', figure, training_figure.CAPTION)
  return captions


def _per_case(
  run: run_files.Run, stage: int, site: str, metric: str
) -> np.ndarray:
  """One mean over labels per case that has a score."""
  found = [
    np.array(values)
    for (*where, _, measured), values in run.cases.items()
    if (*where, measured) == (stage, site, metric)
  ]
  known = [values[~np.isnan(values)] for values in found]
  return np.array([values.mean() for values in known if values.size])


def _captions(path: pathlib.Path) -> dict[str, str]:
  if not path.exists():
    return {}
  try:
    captions = json.loads(path.read_text('utf-8'))
  except (OSError, ValueError) as error:
    raise errors.InputError(f'{path}: no JSON ({error})') from error
  if not isinstance(captions, dict) or not all(
    isinstance(caption, str) for caption in captions.values()
  ):
    raise errors.InputError(
      f'{path}: allowed an object of captions by file name'
    )
  return captions


def _caption(path: pathlib.Path) -> str:
  """The text that the PNG carries, else its name."""
  try:
    with Image.open(path) as image:
      caption = image.info.get('Description', '')
  except OSError as error:
    raise errors.InputError(f'{path}: not a PNG') from error
  return caption or path.stem.replace('_', ' ')


def _page(run: run_files.Run, pictures: dict[pathlib.Path, str]) -> str:
  results = run.results
  title = f'{results["method"]} on {results["problem"]}'
  facts = [
    f'{name} {results[name]}'
    for name in ('seed', 'steps', 'wall_s', 'device', 'jax', 'git')
    if results.get(name) is not None
  ]
  shown = '\n'.join(
    _figure(number, path, caption)
    for number, (path, caption) in enumerate(pictures.items(), start=1)
  )
  config = html.escape(json.dumps(run.config, indent=2, ensure_ascii=False))
  stream = ' → '.join(results['stream'])
  unseen = ', '.join(results['unseen']) or 'none'
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<p>Stream: {html.escape(stream)}. Unseen: {html.escape(unseen)}.</p>
<p class="facts">{html.escape(' · '.join(facts))}</p>
<h2>Summary</h2>
{_summary_table(run)}
<p class="note">{_NOTE}</p>
<h2>After the last stage (untrained)</h2>
{_final_table(run)}
<h2>Figures</h2>
{shown}
<details>
<summary>Configuration</summary>
<pre>{config}</pre>
</details>
</body>
</html>
"""


def _summary_table(run: run_files.Run) -> str:
  names = list(continual.NAMES)
  if any('RMA' in entry for entry in run.results['summary'].values()):
    names.insert(-1, 'RMA')
  rows = []
  for metric, scores in run.scores.items():
    entry = run.results['summary'][metric]
    rows.append(
      [_row_title(scores), *(_signed(entry.get(name)) for name in names)]
    )
  return _table(['metric', *names], rows)


def _final_table(run: run_files.Run) -> str:
  sites = [
    *run.results['stream'],
    *(f'{site} (unseen)' for site in run.results['unseen']),
  ]
  rows = []
  for scores in run.scores.values():
    cells = [
      f'{_level(last)} ({_level(first)})'
      for last, first in zip(scores.matrix[-1], scores.untrained, strict=True)
    ]
    rows.append([_row_title(scores), *cells])
  return _table(['metric', *sites], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  top = ''.join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
  body = ''.join(
    f'<tr><th scope="row">{html.escape(title)}</th>'
    + ''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)
    + '</tr>\n'
    for title, *cells in rows
  )
  return (
    f'<div class="wide"><table><thead><tr>{top}</tr></thead>\n'
    f'<tbody>\n{body}</tbody></table></div>'
  )


def _row_title(scores: figures.Scores) -> str:
  unit = '' if scores.unit in ('', '1') else f', {scores.unit}'
  return f'{scores.title}{unit}{"" if scores.higher_is_better else " *"}'


def _signed(value: Any) -> str:
  """Numbers with a true minus sign; a dash where there is none."""
  if not isinstance(value, (int, float)) or not np.isfinite(value):
    return '\N{EN DASH}'
  return figures.number(value).replace('-', '\N{MINUS SIGN}')


def _level(value: float) -> str:
  return '\N{EN DASH}' if np.isnan(value) else _signed(float(value))


def _figure(number: int, path: pathlib.Path, caption: str) -> str:
  content = base64.b64encode(path.read_bytes()).decode('ascii')
  text = html.escape(caption)
  return (
    f'<figure><img src="data:image/png;base64,{content}" alt="{text}">\n'
    f'<figcaption>Figure {number}. {text}</figcaption></figure>'
  )
