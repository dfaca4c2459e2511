"""Saved displacements on images, label maps and landmarks."""

import csv
import json
import pathlib
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from common import displacements, errors, grids, points, volumes
from samcl import warp
from tests import binaries, workdirs

SHAPE = (12, 13, 11)
AFFINE = np.array(
  [[2.0, 0, 0, -10], [0, 3.0, 0, -20], [0, 0, 2.5, -12], [0, 0, 0, 1]]
)
OPTIONS = {
  'kind': 'image',
  'index': -1,
  'inverse': False,
  'then': '',
  'like': '',
}
FCSV = """# Markups fiducial file version = 4.11
# CoordinateSystem = {system}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
vtk_0,1.5,-2,3,0,0,0,1,1,1,0,tip,a note,
vtk_1,4,5,-6,0,0,0,1,1,1,0,base,,
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> pathlib.Path:
  """Two smooth displacements, an image on another grid, its label."""
  folder = tmp_path_factory.mktemp('warp')
  grid = grids.Grid(SHAPE, AFFINE)
  places = grids.transform_points(np.moveaxis(np.indices(SHAPE), 0, -1), AFFINE)
  for name, shift in (('first', 0.0), ('second', 1.0)):
    vectors = 2 * np.sin(places[..., [1, 2, 0]] / 12 + shift)
    volumes.save_displacement(
      folder / f'{name}.nii.gz', vectors, grids.Volume(vectors[..., 0], AFFINE)
    )
  image = workdirs.blobs((15, 16, 14), 0)
  other = grid.affine @ workdirs.oblique(10)
  workdirs.save(folder / 'image.nii.gz', image, other)
  label = (image > 150).astype(np.uint8)
  workdirs.save(folder / 'label.nii.gz', label, other)
  (folder / 'marks.csv').write_text('name,x,y,z\na,1.5,-2,3\nb,4,5,-6\n')
  for system in ('LPS', 'RAS', '1'):
    path = folder / f'marks_{system}.fcsv'
    path.write_text(FCSV.format(system=system))
  own = [
    {'id': '1', 'label': 'tip', 'position': [-1.5, 2, 3]},
    {'id': '2', 'label': 'base', 'position': [-4, -5, -6]},
  ]
  markup = {'type': 'Fiducial', 'coordinateSystem': 'LPS', 'controlPoints': own}
  (folder / 'marks.mrk.json').write_text(json.dumps({'markups': [markup]}))
  return folder


def _field(path: pathlib.Path) -> displacements.Field:
  volume = volumes.load_displacement(path)
  return displacements.Field(volume.data, volume.grid)


def _warp(folder, out, *names: str, **options) -> int:
  paths = [folder / name for name in names]
  return warp.main(paths, out=str(out), **OPTIONS | options)


POINTS = np.array([[1.5, -2, 3], [4, 5, -6]])


@pytest.mark.parametrize(
  ('name', 'signs'),
  [
    ('marks.csv', (1, 1, 1)),
    ('marks_RAS.fcsv', (1, 1, 1)),
    ('marks_LPS.fcsv', (-1, -1, 1)),
    ('marks_1.fcsv', (-1, -1, 1)),
    ('marks.mrk.json', (1, 1, 1)),
  ],
)
def test_landmarks_move_in_the_coordinates_of_their_file(
  folder, tmp_path, name, signs
):
  start = POINTS * signs
  np.testing.assert_allclose(points.load(folder / name).positions, start)
  _warp(folder, tmp_path, 'first.nii.gz', name)
  found = points.load(tmp_path / name).positions
  field = _field(folder / 'first.nii.gz')
  np.testing.assert_allclose(found, field.move(start), atol=1e-5)
  assert np.linalg.norm(found - start, axis=-1).min() > 0.5


def test_what_else_a_landmark_file_holds_stays(folder, tmp_path):
  names = ('marks.csv', 'marks_LPS.fcsv', 'marks.mrk.json')
  _warp(folder, tmp_path, 'first.nii.gz', *names)
  rows = (tmp_path / 'marks.csv').read_text().splitlines()
  assert rows[0] == 'name,x,y,z' and rows[2].startswith('b,')
  lines = (tmp_path / 'marks_LPS.fcsv').read_text().splitlines()
  assert lines[1] == '# CoordinateSystem = LPS'
  assert lines[3].endswith(',0,0,0,1,1,1,0,tip,a note,')
  markup = json.loads((tmp_path / 'marks.mrk.json').read_text())['markups'][0]
  assert [p['label'] for p in markup['controlPoints']] == ['tip', 'base']


def test_images_and_labels_come_to_the_grid_of_the_field(folder, tmp_path):
  field = _field(folder / 'first.nii.gz')
  _warp(folder, tmp_path, 'first.nii.gz', 'image.nii.gz')
  _warp(folder, tmp_path, 'first.nii.gz', 'label.nii.gz', kind='label')
  image = volumes.load_volume(folder / 'image.nii.gz')
  found = volumes.load_volume(tmp_path / 'image.nii.gz')
  assert found.grid.matches(field.grid)
  least = image.data.min()
  np.testing.assert_allclose(
    found.data, field.warp(image, fill=least).data, rtol=1e-5
  )
  assert found.data.min() >= least
  label = volumes.load_volume(tmp_path / 'label.nii.gz', 'label')
  assert set(np.unique(label.data)) == {0, 1}


def test_one_field_then_another(folder, tmp_path):
  """The field that is written is the way of a point through both."""
  second = folder / 'second.nii.gz'
  _warp(folder, tmp_path, 'first.nii.gz', then=str(second))
  first, both = (
    _field(folder / 'first.nii.gz'),
    _field(tmp_path / 'displacement.nii.gz'),
  )
  wanted = _field(second).move(first.move(POINTS))
  np.testing.assert_allclose(both.move(POINTS), wanted, atol=0.05)


def test_there_and_back(folder, tmp_path):
  _warp(folder, tmp_path / 'there', 'first.nii.gz', 'marks.csv')
  warp.main(
    [folder / 'first.nii.gz', tmp_path / 'there' / 'marks.csv'],
    out=str(tmp_path / 'back'),
    **OPTIONS | {'inverse': True, 'like': str(folder / 'image.nii.gz')},
  )
  back = points.load(tmp_path / 'back' / 'marks.csv').positions
  np.testing.assert_allclose(back, POINTS, atol=0.1)


def test_landmarks_move_alike_whatever_grid_images_come_to(folder, tmp_path):
  """A grid as small as one corner of the field, far from most landmarks."""
  field = volumes.load_displacement(folder / 'first.nii.gz')
  small = grids.Grid((2, 2, 2), field.affine)
  like = workdirs.save(
    tmp_path / 'like.nii.gz', np.arange(8.0).reshape(2, 2, 2), small.affine
  )
  found = []
  for name, options in (('plain', {}), ('small', {'like': str(like)})):
    _warp(folder, tmp_path / name, 'first.nii.gz', 'marks.csv', **options)
    found.append(points.load(tmp_path / name / 'marks.csv').positions)
  assert np.linalg.norm(found[0] - POINTS, axis=-1).min() > 0.5
  np.testing.assert_allclose(*found, atol=1e-6)
  _warp(folder, tmp_path / 'i', 'first.nii.gz', 'image.nii.gz', like=str(like))
  assert nib.load(tmp_path / 'i' / 'image.nii.gz').shape == (2, 2, 2)


def test_the_inverse_field_lies_on_the_grid_that_is_named(folder, tmp_path):
  like = folder / 'image.nii.gz'
  _warp(folder, tmp_path, 'first.nii.gz', inverse=True, like=str(like))
  found = _field(tmp_path / 'displacement.nii.gz')
  assert found.grid.matches(volumes.load_grid(like))


def test_the_binary(folder, tmp_path):
  done = binaries.run(
    'samcl.warp',
    str(folder / 'first.nii.gz'),
    str(folder / 'image.nii.gz'),
    str(folder / 'marks.csv'),
    f'--out={tmp_path}',
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == f'done: 2 moved; {tmp_path}\n'


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (['image.nii.gz'], 'displacement: found shape'),
    (['first.nii.gz', 'none.nii.gz'], r'none\.nii\.gz: file: found nothing'),
    (['first.nii.gz', 'label.nii.gz'], 'seems to be a label map'),
    (['first.nii.gz', 'marks.csv', 'marks.csv'], 'name: found .* too'),
  ],
)
def test_what_is_refused(folder, tmp_path, names, message):
  with pytest.raises(errors.InputError, match=message):
    _warp(folder, tmp_path, *names)


@pytest.mark.parametrize(
  ('name', 'text', 'message'),
  [
    ('a.csv', 'x,y\n1,2\n', 'columns'),
    ('a.csv', 'x,y,z\n1,2,far\n', 'landmark 1: found'),
    ('a.csv', 'x,y,z\n', 'landmarks: found none'),
    ('a.fcsv', FCSV.format(system='IJK'), "system: found 'IJK'"),
    ('a.mrk.json', '{"markups": []}', 'no list of control points'),
    ('a.mrk.json', '{', 'no list of control points'),
    ('a.txt', '1 2 3', 'suffix'),
  ],
)
def test_landmark_files_that_are_refused(tmp_path, name, text, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(errors.InputError, match=message):
    points.load(tmp_path / name)


@pytest.mark.parametrize('kind', ['image', 'label'])
def test_other_tools_see_scalars(folder, tmp_path, kind):
  """Whatever the displacement is whose header the result has."""
  _warp(folder, tmp_path, 'first.nii.gz', f'{kind}.nii.gz', kind=kind)
  found = sitk.ReadImage(str(tmp_path / f'{kind}.nii.gz'))
  assert 'vector' not in found.GetPixelIDTypeAsString()
  assert found.GetDimension() == 3


def test_dots_within_names_stay(folder, tmp_path):
  inputs = tmp_path / 'in'
  inputs.mkdir()
  names = ('pat.01.nii.gz', 'pat.02.nii.gz')
  for name in names:
    shutil.copy(folder / 'image.nii.gz', inputs / name)
  paths = [folder / 'first.nii.gz', *(inputs / name for name in names)]
  assert warp.main(paths, out=str(tmp_path / 'out'), **OPTIONS) == 0
  assert {p.name for p in (tmp_path / 'out').iterdir()} == {*names}


def test_results_of_one_name_are_refused(folder, tmp_path):
  volumes.save_volume(
    tmp_path / 'image.nii',
    volumes.load_volume(folder / 'image.nii.gz').data,
    affine=AFFINE,
  )
  paths = [folder / 'first.nii.gz', folder / 'image.nii.gz']
  with pytest.raises(errors.InputError, match=r'image\.nii: name: found'):
    warp.main(
      [*paths, tmp_path / 'image.nii'], out=str(tmp_path / 'out'), **OPTIONS
    )
  assert not (tmp_path / 'out').exists()


def test_an_input_is_never_overwritten(folder, tmp_path):
  for name in ('first.nii.gz', 'image.nii.gz', 'marks.csv'):
    shutil.copy(folder / name, tmp_path / name)
  shutil.copy(folder / 'first.nii.gz', tmp_path / 'displacement.nii.gz')
  before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
  for names in (
    ('first.nii.gz', 'image.nii.gz'),
    ('first.nii.gz', 'marks.csv'),
    ('displacement.nii.gz',),
  ):
    with pytest.raises(errors.InputError, match='would be overwritten'):
      _warp(tmp_path, tmp_path, *names)
  assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_one_bad_input_of_several(folder, tmp_path, capsys):
  (tmp_path / 'bad.csv').write_text('x,y,z\n1,2,far\n')
  paths = ['first.nii.gz', tmp_path / 'bad.csv', 'marks.csv']
  out = tmp_path / 'out'
  assert _warp(folder, out, *paths) == 1
  assert [path.name for path in out.iterdir()] == ['marks.csv']
  said = capsys.readouterr()
  assert 'failed: ' in said.err and 'bad.csv: landmark 1' in said.err
  assert 'done: 1 moved' in said.out


def test_a_volume_of_a_series(folder, tmp_path):
  image = volumes.load_volume(folder / 'image.nii.gz')
  series = np.stack([image.data, image.data[::-1]], axis=-1)
  workdirs.save(tmp_path / 'series.nii.gz', series, image.affine)
  paths = [folder / 'first.nii.gz', tmp_path / 'series.nii.gz']
  with pytest.raises(errors.InputError, match='index: found none for a 4-D'):
    warp.main(paths, out=str(tmp_path / 'out'), **OPTIONS)
  found = []
  for index in (0, 1):
    out = tmp_path / str(index)
    warp.main(paths, out=str(out), **OPTIONS | {'index': index})
    found.append(volumes.load_volume(out / 'series.nii.gz').data)
  _warp(folder, tmp_path / 'single', 'first.nii.gz', 'image.nii.gz')
  wanted = volumes.load_volume(tmp_path / 'single' / 'image.nii.gz').data
  np.testing.assert_array_equal(found[0], wanted)
  assert np.abs(found[1] - wanted).max() > 1


def test_commas_in_the_fields_of_a_markups_file(folder, tmp_path):
  text = FCSV.format(system='RAS').replace(
    'tip,a note', '"tip, left","a ""b"""'
  )
  (tmp_path / 'marks.fcsv').write_text(text)
  paths = [folder / 'first.nii.gz', tmp_path / 'marks.fcsv']
  warp.main(paths, out=str(tmp_path / 'out'), **OPTIONS)
  with open(tmp_path / 'out' / 'marks.fcsv', encoding='utf-8') as file:
    rows = [row for row in csv.reader(file) if not row[0].startswith('#')]
  assert rows[0][11:] == ['tip, left', 'a "b"', '']
  assert len(rows[0]) == len(rows[1]) == 14


def test_a_point_that_is_not_placed_stays_so(folder, tmp_path):
  content = json.loads((folder / 'marks.mrk.json').read_text())
  own = content['markups'][0]['controlPoints']
  own.insert(1, {'id': '3', 'positionStatus': 'undefined', 'position': []})
  (tmp_path / 'a.mrk.json').write_text(json.dumps(content))
  paths = [folder / 'first.nii.gz', tmp_path / 'a.mrk.json']
  warp.main(paths, out=str(tmp_path / 'out'), **OPTIONS)
  found = json.loads((tmp_path / 'out' / 'a.mrk.json').read_text())
  after = found['markups'][0]['controlPoints']
  assert after[1] == own[1]
  moved = np.array([after[k]['position'] for k in (0, 2)]) * (-1, -1, 1)
  wanted = _field(folder / 'first.nii.gz').move(POINTS)
  np.testing.assert_allclose(moved, wanted, atol=1e-4)
