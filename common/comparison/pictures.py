"""Pictures that runs left, of the same cases under every method."""

from collections.abc import Iterator, Mapping, Sequence
import pathlib

from matplotlib import figure as mpl_figure
import numpy as np
from PIL import Image

from common import figures
from common.comparison import study as study_lib
from common.comparison import style as style_lib

_PER_PAGE = 4


def stack(rows: Sequence[study_lib.Row]) -> Iterator[style_lib.Drawn]:
  """Registered pairs of all methods, and what generators draw.

  Of the first order and seed of each method; where all have one in common, the
  first of those.
  """
  shared = set.intersection(*(row.cells for row in rows))
  if shared:
    rows = [row.only({min(shared)}) for row in rows]
  folders = {row.name: row.runs[0].folder / 'figures' for row in rows}
  pairs = {path.name for f in folders.values() for path in f.glob('pair_*.png')}
  for name in sorted(pairs):
    images = {row: _open(folder / name) for row, folder in folders.items()}
    shown = {row: image for row, image in images.items() if image is not None}
    if not shown:
      continue
    missing = [row for row in images if row not in shown]
    said = f' No picture: {", ".join(missing)}.' if missing else ''
    stem, parts = name.removesuffix('.png'), list(_on_pages(shown))
    for number, part in enumerate(parts, 1):
      yield (
        stem if len(parts) == 1 else f'{stem}_{number}',
        _stacked(part),
        f'The same pair under each method, in one of its runs.{said}',
      )
  for row in rows:
    galleries = sorted(
      folders[row.name].glob('gallery_stage*.png'),
      key=lambda path: (len(path.name), path.name),
    )
    image = _open(galleries[-1]) if galleries else None
    if image is not None:
      yield (
        f'gallery_{row.name}',
        _stacked({row.name: image}),
        'Generated pairs beside real test cases of every site, after the last '
        'stage.',
      )


def _open(path: pathlib.Path) -> np.ndarray | None:
  """A picture; None if there is none, or none that can be read."""
  try:
    with Image.open(path) as image:
      return np.asarray(image)
  except OSError:
    return None


def _on_pages(
  images: Mapping[str, np.ndarray],
) -> Iterator[dict[str, np.ndarray]]:
  """As many rows at once as a printed page holds."""
  names = list(images)
  for start in range(0, len(names), _PER_PAGE):
    yield {name: images[name] for name in names[start : start + _PER_PAGE]}


def _stacked(images: Mapping[str, np.ndarray]) -> mpl_figure.Figure:
  width = 9.0
  heights = [0.25 + width * x.shape[0] / x.shape[1] for x in images.values()]
  figure = mpl_figure.Figure(
    figsize=(width, sum(heights)), layout='constrained'
  )
  panels = figure.subplots(
    len(images), 1, squeeze=False, height_ratios=heights
  )[:, 0]
  for axes, (name, image) in zip(panels, images.items(), strict=True):
    axes.imshow(image)
    axes.set_title(figures.plain(name), fontsize=10, loc='left')
    axes.axis('off')
  return figure
