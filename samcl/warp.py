"""Applies a saved displacement: `python -m samcl.warp --help`.

    python -m samcl.warp displacement.nii.gz ct.nii.gz points.fcsv --out=DIR

A displacement of `samcl.register` takes points of the fixed image to the moving
one, and so pulls images and label maps of the moving image onto the grid of the
fixed one. Landmarks (.csv with columns x, y, z in mm, RAS; .fcsv; .mrk.json)
are moved; each result has the name of its input. --inverse goes the other way,
--then=FIELD goes on with a second displacement; without inputs the displacement
that results is written itself.
"""

from collections.abc import Sequence
import pathlib

from common import app


def main(
  paths: Sequence[pathlib.Path],
  *,
  out: str,
  kind: str,
  inverse: bool,
  then: str,
  like: str,
) -> None:
  """Moves or pulls every input; see the head of the file.

  Raises:
    InputError: a flag or a file cannot be used.
  """
  from common import displacements, errors, files, grids, points, volumes
  from samcl import scans

  folder = app.checked_out(out)
  path, *inputs = paths
  names = [one.name for one in inputs]
  if len(set(names)) < len(names):
    raise errors.InputError(
      f'arguments: found inputs of the same name among {names}, allowed '
      'different ones: results are named after them'
    )
  files.require_writable(folder)
  target = volumes.load_displacement(path)
  field = displacements.Field(target.data, target.grid)
  if then:
    second = volumes.load_displacement(pathlib.Path(then).expanduser())
    field = field.then(displacements.Field(second.data, second.grid))
  if like:
    target = volumes.load_volume(pathlib.Path(like).expanduser())
  if inverse:
    field = field.inverse(target.grid)
  elif like:
    field = field.on(target.grid)
  if not inputs:
    name = folder / 'displacement.nii.gz'
    volumes.save_displacement(name, field.vectors, target)
    print(f'done: {name}')
  for one in inputs:
    if points.is_points(one):
      found = points.load(one)
      found.save(folder / one.name, field.move(found.positions))
    else:
      if kind == 'image':
        volume = scans.load(one).volume
        warped = field.warp(volume, fill=volume.data.min())
      else:
        warped = field.warp(volumes.load_volume(one, kind), 0)
      warped = grids.Volume(warped.data, target.affine, target.stored)
      name = f'{one.name.partition(".")[0]}.nii.gz'
      volumes.save_volume(folder / name, warped.data, like=warped)
  if inputs:
    print(f'done: {len(inputs)} moved; {folder}')


if __name__ == '__main__':
  app.run_on_paths(
    main,
    wanted='a displacement, then what it is applied to',
    options={
      'out': app.Option('Folder that receives the results.'),
      'kind': app.Option(
        'Of the volumes: an image is interpolated, a label map or a mask taken '
        'at the nearest voxel.',
        'image',
        ('image', 'label', 'mask'),
      ),
      'inverse': app.Option('Undo the displacement instead.', False),
      'then': app.Option('A second displacement, applied after the first.'),
      'like': app.Option(
        'Volume on whose grid results are, where not that of the displacement: '
        'with --inverse the moving image.'
      ),
    },
  )
