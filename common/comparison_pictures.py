"""Pictures that runs left, of the same cases under every method."""

from collections.abc import Iterator, Mapping, Sequence
import pathlib

from matplotlib import figure as mpl_figure
import numpy as np
from PIL import Image

from common import comparison, comparison_style, figures


def stack(rows: Sequence[comparison.Row]) -> Iterator[comparison_style.Drawn]:
  """Registered pairs of all methods, and what generators draw."""
  pairs = sorted(
    {
      path.name
      for row in rows
      for path in (row.runs[0].folder / 'figures').glob('pair_*.png')
    }
  )
  for name in pairs:
    shown = {
      row.name: image
      for row in rows
      if (image := _open(row.runs[0].folder / 'figures' / name)) is not None
    }
    if not shown:
      continue
    yield (
      name.removesuffix('.png'),
      _stacked(shown),
      'The same pair under each method, as the first of its runs left it.',
    )
  for row in rows:
    folder = row.runs[0].folder / 'figures'
    galleries = sorted(folder.glob('gallery_stage*.png'))
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
