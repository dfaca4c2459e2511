"""Which way up, which side, and where the lines of the grid are."""

import pathlib

import numpy as np
from PIL import Image
import pytest

from common import errors
from samcl import figures

SHAPE = (12, 10, 14)
SPACING = (1.0, 2.0, 3.0)


def _pair(corner: tuple[slice, ...]) -> dict[str, np.ndarray]:
  """A dim body with one bright corner."""
  volume = np.zeros(SHAPE)
  volume[1:-1, 1:-1, 1:-1] = 0.3
  volume[corner] = 1.0
  return {
    'fixed': volume,
    'moving': volume,
    'warped': volume,
    'displacement': np.zeros((*SHAPE, 3)),
  }


@pytest.mark.parametrize(
  ('plane', 'corner'),
  [
    ('coronal', (slice(8, 11), slice(None), slice(10, 13))),
    ('axial', (slice(8, 11), slice(6, 9), slice(None))),
  ],
)
def test_right_is_left_and_top_is_up(tmp_path: pathlib.Path, plane, corner):
  """What is on the patient's right and on top shows at the upper left."""
  path = tmp_path / 'pair.png'
  figures.draw_registration(
    path, **_pair(corner), spacing=SPACING, title='t', plane=plane
  )
  with Image.open(path) as image:
    caption = image.info['Description']
    grey = np.asarray(image.convert('L'))
  first = grey[:, : grey.shape[1] // 6]
  dim = np.argwhere(abs(first.astype(int) - 0.3 * 255) < 3)
  (top, left), (bottom, right) = dim.min(axis=0), dim.max(axis=0)
  inside = first[top : bottom + 1, left : right + 1]
  bright = np.argwhere(inside > 250).mean(axis=0) / inside.shape
  assert bright[0] < 0.4 and bright[1] < 0.4
  assert 'radiological' in caption and plane.capitalize() in caption


def test_axes_of_the_panels():
  pair = _pair((slice(8, 11), slice(None), slice(10, 13)))
  image = figures.in_plane(pair['fixed'], 'coronal', 4)
  label = (image == 1).astype(np.uint8)
  panel = figures.Panel('fixed', image, contours=((label, 'solid'),))
  grid = figures.deformed_grid(pair['displacement'], 'coronal', 4)
  figure = figures.create_figure([panel] * 5, 3.0, 'coronal', 'title', grid)
  assert len(figure.axes) == 6
  for axes in figure.axes:
    assert axes.get_xlim() == (11.5, -0.5)
    assert axes.get_ylim() == (-0.5, 13.5)
    assert axes.get_aspect() == 3.0
    sides = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert sides['R'] < sides['S'] < sides['L']


def test_what_is_left_is_seen_beside_what_was(tmp_path, monkeypatch):
  """A registration that puts everything right leaves no difference."""
  shown = {}
  create = figures.create_figure

  def create_figure(panels, *rest):
    shown.update({panel.name.partition('\n')[0]: panel for panel in panels})
    return create(panels, *rest)

  monkeypatch.setattr(figures, 'create_figure', create_figure)
  pair = _pair((slice(8, 11), slice(None), slice(10, 13)))
  pair['moving'] = pair['fixed'][::-1]
  figures.draw_registration(
    tmp_path / 'pair.png', **pair, spacing=SPACING, title='t'
  )
  assert shown['|difference| before'].image.max() > 0.5
  assert shown['|difference| after'].image.max() == 0
  np.testing.assert_array_equal(
    shown['moving'].image, shown['fixed'].image[:, ::-1]
  )
  np.testing.assert_array_equal(shown['warped'].image, shown['fixed'].image)


def test_a_pair_as_it_lies(tmp_path: pathlib.Path):
  pair = _pair((slice(8, 11), slice(None), slice(10, 13)))
  label = (pair['fixed'] == 1).astype(np.uint8)
  figures.draw_pair(
    tmp_path / 'pair.png',
    fixed=pair['fixed'],
    moving=pair['fixed'][::-1],
    spacing=SPACING,
    title='t',
    fixed_label=label,
    moving_label=None,
  )
  with Image.open(tmp_path / 'pair.png') as image:
    caption = image.info['Description']
    third = np.asarray(image.convert('RGB'))[:, 2 * image.width // 3 :]
  # Mirrored, it differs where the corner was and where it went.
  bright = np.argwhere((third[..., 0] > 180) & (third[..., 0] < 250))
  middle = third.shape[1] / 2
  assert (bright[:, 1] < middle).any() and (bright[:, 1] > middle).any()
  assert 'Coronal slice 4' in caption and 'warped' not in caption


def test_in_plane_keeps_both_axes_ascending():
  volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
  coronal = figures.in_plane(volume, 'coronal', 4)
  assert coronal.shape == (14, 12) and coronal[9, 2] == volume[2, 4, 9]
  axial = figures.in_plane(volume, 'axial', 5)
  assert axial.shape == (10, 12) and axial[7, 2] == volume[2, 7, 5]


def test_centre_slice():
  mask = np.zeros(SHAPE, bool)
  assert figures.centre_slice(mask, 2) == 7
  mask[2, 1:4, 3] = mask[5, 8, 11] = True
  # y: 1, 2, 3 and 8, mean 3.5; z: 3, 3, 3 and 11, mean 5.
  assert figures.centre_slice(mask, 1) in (3, 4)
  assert figures.centre_slice(mask, 2) == 5


def test_deformed_grid_takes_the_parts_in_the_plane():
  displacement = np.zeros((*SHAPE, 3))
  displacement[2, 4, 9] = (0.5, 7.0, -1.5)
  coronal = figures.deformed_grid(displacement, 'coronal', 4)
  np.testing.assert_allclose(coronal[9, 2], [2.5, 7.5])
  np.testing.assert_allclose(coronal[2, 9], [9.0, 2.0])
  axial = figures.deformed_grid(displacement, 'axial', 9)
  np.testing.assert_allclose(axial[4, 2], [2.5, 11.0])


def test_labels_that_the_slice_misses(tmp_path: pathlib.Path):
  label = np.zeros(SHAPE, np.uint8)
  label[:3, 4, :3], label[5, 0, 5] = 3, 9
  figures.draw_registration(
    tmp_path / 'pair.png',
    **_pair((slice(3), slice(3), slice(3))),
    spacing=SPACING,
    title='cost $5 to $6',
    fixed_label=label,
    moving_label=label,
    warped_label=np.zeros_like(label),
  )
  assert [path.name for path in tmp_path.iterdir()] == ['pair.png']


def test_unknown_plane_and_bad_folder(tmp_path: pathlib.Path):
  pair = _pair((slice(3), slice(3), slice(3)))
  with pytest.raises(ValueError, match="plane: found 'sagittal'"):
    figures.draw_registration(
      tmp_path / 'a.png', **pair, spacing=SPACING, title='t', plane='sagittal'
    )
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.InputError, match=r'file/a\.png: not written'):
    figures.draw_registration(
      tmp_path / 'file' / 'a.png', **pair, spacing=SPACING, title='t'
    )
