"""Pictures of segmented sites and of generated beside real pairs."""

from collections.abc import Sequence
import pathlib

from matplotlib import axes as mpl_axes
from matplotlib import figure as mpl_figure
from matplotlib import lines
import numpy as np

from common import figures

NUM_SHOWN = 6


def fullest(label: np.ndarray) -> int:
  """The slice of (n, *s) with the largest foreground, the first of equals."""
  return int(np.argmax((label > 0).reshape(len(label), -1).sum(axis=1)))


def spread(label: np.ndarray) -> np.ndarray:
  """NUM_SHOWN slices of (n, *s), evenly among those with any class.

  Among all where no slice has one; where they are few, some twice.
  """
  filled = np.flatnonzero(label.reshape(len(label), -1).any(axis=1))
  if not filled.size:
    filled = np.arange(len(label))
  middles = (np.arange(NUM_SHOWN) + 0.5) / NUM_SHOWN
  return filled[(middles * filled.size).astype(int)]


def radiological(slices: np.ndarray) -> np.ndarray:
  """(n, x, y, ...) as rows and columns: front on top, right on the left."""
  return np.swapaxes(slices[:, ::-1, ::-1], 1, 2)


def draw_segmentations(
  path: pathlib.Path,
  rows: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
  *,
  num_seen: int,
  num_stream: int,
) -> None:
  """One column per site: the image, and above it truth and segmentation.

  Args:
    path: of the PNG.
    rows: per site its name, image (rows, columns, c) in [0, 1], true and found
      classes (rows, columns).
    num_seen: how many sites have been trained on so far.
    num_stream: how many are to be trained on; the rest is unseen.

  Raises:
    InputError: the file cannot be written.
  """
  figure = mpl_figure.Figure(
    figsize=(1.75 * len(rows) + 0.2, 4.1), layout='constrained'
  )
  panels = figure.subplots(2, len(rows), squeeze=False)
  for number, (name, image, truth, found) in enumerate(rows):
    state = (
      'unseen'
      if number >= num_stream
      else ('seen' if number < num_seen else 'to come')
    )
    panels[0, number].set_title(f'{figures.plain(name)}\n({state})', fontsize=9)
    for axes in panels[:, number]:
      _show(axes, image)
    figures.draw_contours(panels[1, number], truth, 'dashed')
    figures.draw_contours(panels[1, number], found, 'solid')
  figure.legend(
    handles=[
      lines.Line2D([], [], color='black', linestyle='dashed', label='truth'),
      lines.Line2D([], [], color='black', label='segmentation'),
    ],
    loc='outside lower center',
    ncols=2,
    frameon=False,
    fontsize=9,
  )
  figures.save(
    figure,
    path,
    f'After stage {num_seen}: one test image of every site, and its classes as '
    'contours, true (dashed) and found (solid).',
  )


def draw_case(
  path: pathlib.Path,
  image: np.ndarray,
  label: np.ndarray,
  title: str,
  *,
  patient: bool,
) -> None:
  """A few slices of a case with their classes as contours.

  Args:
    path: of the PNG.
    image: (n, *s, c) in [0, 1], slices or one volume.
    label: (n, *s), classes.
    title: of the case.
    patient: shown as radiologists do, and not as rows and columns.

  Raises:
    InputError: the file cannot be written.
  """
  if label.ndim == 4:
    image, label = (np.moveaxis(x[0], 2, 0) for x in (image, label))
  chosen = np.unique(spread(label))
  num, image, label = len(chosen), image[chosen], label[chosen]
  if patient:
    image, label = radiological(image), radiological(label)
  height = 2.4 * image.shape[1] / image.shape[2]
  figure = mpl_figure.Figure(
    figsize=(2.4 * num, height + 0.35), layout='constrained'
  )
  panels = figure.subplots(1, num, squeeze=False)[0]
  for axes, one, classes in zip(panels, image, label, strict=True):
    _show(axes, one)
    figures.draw_contours(axes, classes, 'solid')
  figure.suptitle(figures.plain(title), fontsize=9)
  figures.save(figure, path, f'{title}: slices, and classes as contours.')


def draw_gallery(
  path: pathlib.Path,
  rows: Sequence[tuple[str, dict, dict]],
  stage: int,
) -> None:
  """For each past site a row of real and a row of generated pairs.

  Args:
    path: of the PNG.
    rows: name, real batch, generated batch, with image (n, rows,
      columns, c) in [0, 1] and label (n, rows, columns), n = NUM_SHOWN.
    stage: that has just ended, from 1.

  Raises:
    InputError: the file cannot be written.
  """
  figure = mpl_figure.Figure(
    figsize=(1.35 * NUM_SHOWN + 0.9, 2.75 * len(rows) + 0.1),
    layout='constrained',
  )
  panels = figure.subplots(2 * len(rows), NUM_SHOWN, squeeze=False)
  for number, (name, *batches) in enumerate(rows):
    for offset, (kind, batch) in enumerate(
      zip(('real', 'generated'), batches, strict=True)
    ):
      row = panels[2 * number + offset]
      row[0].set_ylabel(f'{figures.plain(name)}\n{kind}', fontsize=9)
      for axes, image, label in zip(
        row, batch['image'], batch['label'], strict=True
      ):
        _show(axes, image)
        figures.draw_contours(axes, label, 'solid')
  figures.save(
    figure,
    path,
    f'After stage {stage}: test pairs of every past site and pairs that the '
    'diffusion model generates for it, drawn at random; contours are labels.',
  )


def _show(axes: mpl_axes.Axes, image: np.ndarray) -> None:
  shown = np.clip(image, 0, 1)
  shown = shown[..., 0] if shown.shape[-1] == 1 else shown
  axes.imshow(shown, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
  axes.set(xticks=[], yticks=[])
  axes.spines[:].set_visible(False)
