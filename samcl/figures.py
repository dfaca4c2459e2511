"""Pictures of registered pairs, in radiological orientation."""

from collections.abc import Sequence
import pathlib
from typing import NamedTuple

from matplotlib import axes as mpl_axes
from matplotlib import collections
from matplotlib import figure as mpl_figure
import numpy as np

from common import figures

# plane -> axis of the slice, horizontal axis, vertical axis, of a RAS array.
_PLANES = {'coronal': (1, 0, 2), 'axial': (2, 0, 1)}
_PLACE = (
  '{title}. {plane} slice {index} in radiological orientation (right of the '
  'patient on the left, {up} side up): '
)
_REGISTERED = (
  'fixed, moving and warped moving image, absolute difference to the fixed '
  'image before and after, both on one scale from 0 (black) to 1, and the grid '
  'of the fixed image where the displacement takes it (in-plane part, every '
  '{step} voxels). Contours are labels; on the warped image the fixed ones are '
  'dashed.'
)
_GIVEN = (
  'fixed and moving image and their absolute difference from 0 (black) to 1. '
  'Contours are labels.'
)


class Panel(NamedTuple):
  """An image (vertical, horizontal) in [0, 1] and contours of labels."""

  name: str
  image: np.ndarray
  shades: str = 'gray'
  contours: tuple[tuple[np.ndarray | None, str], ...] = ()


def draw_registration(
  path: pathlib.Path,
  *,
  fixed: np.ndarray,
  moving: np.ndarray,
  warped: np.ndarray,
  displacement: np.ndarray,
  spacing: Sequence[float],
  title: str,
  fixed_label: np.ndarray | None = None,
  moving_label: np.ndarray | None = None,
  warped_label: np.ndarray | None = None,
  fixed_mask: np.ndarray | None = None,
  plane: str = 'coronal',
) -> None:
  """Writes one row: fixed, moving, warped, differences, deformed grid.

  The slice goes through the centre of mass of `fixed_mask`, else of the
  labels, else of what is brighter than 0 in `fixed`.

  Args:
    path: of the PNG.
    fixed, moving, warped: (x, y, z) in [0, 1], axes towards the patient's
      right, front and top (RAS).
    displacement: (x, y, z, 3) voxels.
    spacing: voxel size in mm, (3,).
    title: of the pair.
    fixed_label, moving_label, warped_label: (x, y, z) integers, 0 is nothing.
    fixed_mask: (x, y, z).
    plane: 'coronal' or 'axial'.

  Raises:
    ValueError: an unknown plane.
    InputError: the file cannot be written.
  """
  index = _choose(plane, fixed_mask, fixed_label, fixed)
  fixed, moving, warped, fixed_label, moving_label, warped_label = (
    None if volume is None else in_plane(volume, plane, index)
    for volume in (
      fixed,
      moving,
      warped,
      fixed_label,
      moving_label,
      warped_label,
    )
  )
  grid = deformed_grid(displacement, plane, index)
  panels = (
    Panel('fixed', fixed, contours=((fixed_label, 'solid'),)),
    Panel('moving', moving, contours=((moving_label, 'solid'),)),
    Panel(
      'warped',
      warped,
      contours=((warped_label, 'solid'), (fixed_label, 'dashed')),
    ),
    _difference('|difference| before', moving, fixed),
    _difference('|difference| after', warped, fixed),
  )
  figure = create_figure(
    panels, _aspect(spacing, plane), plane, figures.plain(title), grid
  )
  caption = _REGISTERED.format(step=_grid_step(grid))
  figures.save(figure, path, _place(title, plane, index) + caption)


def draw_pair(
  path: pathlib.Path,
  *,
  fixed: np.ndarray,
  moving: np.ndarray,
  spacing: Sequence[float],
  title: str,
  fixed_label: np.ndarray | None = None,
  moving_label: np.ndarray | None = None,
  plane: str = 'coronal',
) -> None:
  """Writes one row: fixed, moving and their difference; else as above."""
  index = _choose(plane, fixed_label, fixed)
  fixed, moving, fixed_label, moving_label = (
    None if volume is None else in_plane(volume, plane, index)
    for volume in (fixed, moving, fixed_label, moving_label)
  )
  panels = (
    Panel('fixed', fixed, contours=((fixed_label, 'solid'),)),
    Panel('moving', moving, contours=((moving_label, 'solid'),)),
    _difference('|difference|', moving, fixed),
  )
  figure = create_figure(
    panels, _aspect(spacing, plane), plane, figures.plain(title)
  )
  figures.save(figure, path, _place(title, plane, index) + _GIVEN)


def _choose(plane: str, *masks: np.ndarray | None) -> int:
  """The slice through the centre of the first mask that there is."""
  if plane not in _PLANES:
    raise ValueError(f'plane: found {plane!r}, allowed {sorted(_PLANES)}')
  mask = next(mask for mask in masks if mask is not None)
  return centre_slice(np.asarray(mask) > 0, _PLANES[plane][0])


def _difference(name: str, image: np.ndarray, fixed: np.ndarray) -> Panel:
  found = np.abs(image - fixed)
  return Panel(f'{name}\nmean {found.mean():.3f}', found, 'inferno')


def _aspect(spacing: Sequence[float], plane: str) -> float:
  _, horizontal, vertical = _PLANES[plane]
  return spacing[vertical] / spacing[horizontal]


def _place(title: str, plane: str, index: int) -> str:
  return _PLACE.format(
    title=title,
    plane=plane.capitalize(),
    index=index,
    up='superior' if plane == 'coronal' else 'anterior',
  )


def centre_slice(mask: np.ndarray, axis: int) -> int:
  """Index of the slice through the mask's centre; the middle one if empty."""
  others = tuple(k for k in range(mask.ndim) if k != axis)
  counts = mask.sum(axis=others)
  if not counts.any():
    return mask.shape[axis] // 2
  return round(float(np.average(np.arange(counts.size), weights=counts)))


def in_plane(volume: np.ndarray, plane: str, index: int) -> np.ndarray:
  """The slice (vertical, horizontal) of an (x, y, z) array, both ascending."""
  return np.take(np.asarray(volume), index, axis=_PLANES[plane][0]).T


def deformed_grid(
  displacement: np.ndarray, plane: str, index: int
) -> np.ndarray:
  """`p + u(p)` in the plane, (vertical, horizontal, 2), horizontal part first.

  In voxels of the whole grid.
  """
  across, horizontal, vertical = _PLANES[plane]
  field = np.take(np.asarray(displacement), index, axis=across)
  field = np.swapaxes(field, 0, 1)[..., [horizontal, vertical]]
  rows, columns = field.shape[:2]
  grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
  return grid + field


def create_figure(
  panels: Sequence[Panel],
  aspect: float,
  plane: str,
  title: str,
  grid: np.ndarray | None = None,
) -> mpl_figure.Figure:
  """The row of panels, and at its end the grid in the plane."""
  rows, columns = panels[0].image.shape
  count = len(panels) + (grid is not None)
  height = 2.05 * np.clip(rows * aspect / columns, 0.4, 2.0)
  figure = mpl_figure.Figure(
    figsize=(2.2 * count, height + 0.9), layout='constrained'
  )
  places = figure.subplots(1, count)
  figure.suptitle(title, fontsize=11)
  for axes, panel in zip(places, panels, strict=False):
    axes.imshow(
      panel.image,
      cmap=panel.shades,
      vmin=0,
      vmax=1,
      origin='lower',
      aspect=aspect,
    )
    axes.set_title(panel.name, fontsize=9)
    for label, style in panel.contours:
      if label is not None:
        figures.draw_contours(axes, label, style)
  if grid is not None:
    _draw_grid(places[-1], grid)
  for axes in places:
    _orient(axes, rows, columns, aspect, plane)
  return figure


def _orient(
  axes: mpl_axes.Axes, rows: int, columns: int, aspect: float, plane: str
) -> None:
  """Radiological: x grows towards the patient's right, drawn to the left."""
  axes.set(
    xlim=(columns - 0.5, -0.5), ylim=(-0.5, rows - 0.5), xticks=[], yticks=[]
  )
  axes.set_aspect(aspect)
  axes.spines[:].set_visible(False)
  top = 'S' if plane == 'coronal' else 'A'
  for x, y, side in ((0.04, 0.5, 'R'), (0.96, 0.5, 'L'), (0.5, 0.97, top)):
    axes.text(
      x,
      y,
      side,
      transform=axes.transAxes,
      ha='center',
      va='center' if y == 0.5 else 'top',
      fontsize=8,
      color='#1b1b1b',
      bbox={'facecolor': 'white', 'alpha': 0.75, 'pad': 1, 'linewidth': 0},
    )


def _grid_step(grid: np.ndarray) -> int:
  return max(1, round(max(grid.shape[:2]) / 24))


def _draw_grid(axes: mpl_axes.Axes, grid: np.ndarray) -> None:
  step = _grid_step(grid)
  lines = [*grid[::step], *np.swapaxes(grid, 0, 1)[::step]]
  axes.add_collection(
    collections.LineCollection(lines, colors='#0072B2', linewidths=0.6)
  )
  axes.set_title('deformed grid', fontsize=9)
