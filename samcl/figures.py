"""Pictures of registered pairs, in radiological orientation."""

from collections.abc import Sequence
import pathlib

from matplotlib import axes as mpl_axes
from matplotlib import collections
from matplotlib import figure as mpl_figure
import numpy as np

from common import figures

# plane -> axis of the slice, horizontal axis, vertical axis, of a RAS array.
_PLANES = {'coronal': (1, 0, 2), 'axial': (2, 0, 1)}
_CAPTION = (
  '{title}. {plane} slice {index} in radiological orientation (right of the '
  'patient on the left, {up} side up): fixed, moving and warped moving image, '
  'absolute difference to the fixed image before and after, both on one scale '
  'from 0 (black) to 1, and the grid of the fixed image where the displacement '
  'takes it (in-plane part, every {step} voxels). Contours are labels; on the '
  'warped image the fixed ones are dashed.'
)


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
  if plane not in _PLANES:
    raise ValueError(f'plane: found {plane!r}, allowed {sorted(_PLANES)}')
  across = _PLANES[plane][0]
  if fixed_mask is None:
    fixed_mask = fixed if fixed_label is None else fixed_label
  index = centre_slice(np.asarray(fixed_mask) > 0, across)
  cut = {
    name: None if volume is None else in_plane(volume, plane, index)
    for name, volume in {
      'fixed': fixed,
      'moving': moving,
      'warped': warped,
      'fixed_label': fixed_label,
      'moving_label': moving_label,
      'warped_label': warped_label,
    }.items()
  }
  grid = deformed_grid(displacement, plane, index)
  aspect = spacing[_PLANES[plane][2]] / spacing[_PLANES[plane][1]]
  figure = create_figure(cut, grid, aspect, plane, figures.plain(title))
  caption = _CAPTION.format(
    title=title,
    plane=plane.capitalize(),
    index=index,
    up='superior' if plane == 'coronal' else 'anterior',
    step=_grid_step(grid),
  )
  figures.save(figure, path, caption)


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
  cut: dict[str, np.ndarray | None],
  grid: np.ndarray,
  aspect: float,
  plane: str,
  title: str,
) -> mpl_figure.Figure:
  """The row of panels, from slices by name and the grid in the plane."""
  rows, columns = cut['fixed'].shape
  height = 2.05 * np.clip(rows * aspect / columns, 0.4, 2.0)
  figure = mpl_figure.Figure(figsize=(13.2, height + 0.9), layout='constrained')
  panels = figure.subplots(1, 6)
  figure.suptitle(title, fontsize=11)
  before = np.abs(cut['moving'] - cut['fixed'])
  after = np.abs(cut['warped'] - cut['fixed'])
  images = (
    ('fixed', cut['fixed'], 'gray'),
    ('moving', cut['moving'], 'gray'),
    ('warped', cut['warped'], 'gray'),
    (f'|difference| before\nmean {before.mean():.3f}', before, 'inferno'),
    (f'|difference| after\nmean {after.mean():.3f}', after, 'inferno'),
  )
  for axes, (name, image, shades) in zip(panels[:5], images, strict=True):
    axes.imshow(
      image, cmap=shades, vmin=0, vmax=1, origin='lower', aspect=aspect
    )
    axes.set_title(name, fontsize=9)
  for axes, side, style in (
    (panels[0], 'fixed', 'solid'),
    (panels[1], 'moving', 'solid'),
    (panels[2], 'warped', 'solid'),
    (panels[2], 'fixed', 'dashed'),
  ):
    if cut[f'{side}_label'] is not None:
      figures.draw_contours(axes, cut[f'{side}_label'], style)
  _draw_grid(panels[5], grid)
  for axes in panels:
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
