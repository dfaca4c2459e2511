"""report.html and figures/: what a finished run shows, from its files alone."""

import html
import json
import pathlib
import re

import numpy as np
from PIL import Image

from common import (
  continual,
  errors,
  figures,
  files,
  page,
  run_files,
  training_figure,
)
from common import scores as scores_lib

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
    page.figure(number, path, caption)
    for number, (path, caption) in enumerate(pictures.items(), start=1)
  )
  config = json.dumps(run.config, indent=2, ensure_ascii=False)
  stream = ' → '.join(results['stream'])
  unseen = ', '.join(results['unseen']) or 'none'
  return page.render(
    title,
    f"""<p>Stream: {html.escape(stream)}. Unseen: {html.escape(unseen)}.</p>
<p class="facts">{html.escape(' · '.join(facts))}</p>
<h2>Summary</h2>
{_summary_table(run)}
<p class="note">{_NOTE}</p>
<h2>After the last stage (untrained)</h2>
{_final_table(run)}
<h2>Figures</h2>
{shown}
{page.details('Configuration', config)}""",
  )


def _summary_table(run: run_files.Run) -> str:
  undefined = continual.UNDEFINED.get(run.results['method'], ())
  names = [name for name in continual.NAMES if name not in undefined]
  rows = []
  for metric, scores in run.scores.items():
    entry = run.results['summary'][metric]
    rows.append(
      [_row_title(scores), *(page.signed(entry.get(name)) for name in names)]
    )
  return page.table(['metric', *names], rows)


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
  return page.table(['metric', *sites], rows)


def _row_title(scores: scores_lib.Scores) -> str:
  unit = '' if scores.unit in ('', '1') else f', {scores.unit}'
  return f'{scores.title}{unit}{"" if scores.higher_is_better else " *"}'


def _level(value: float) -> str:
  return '\N{EN DASH}' if np.isnan(value) else page.signed(float(value))
