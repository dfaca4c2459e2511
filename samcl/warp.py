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
  then: str,
  like: str,
  index: int,
  **options: str | int | bool,
) -> int:
  """Moves or pulls every input; see the head of the file.

  Returns:
    1 if one of several inputs could not be used, and 0.

  Raises:
    InputError: a flag, a displacement or the only input cannot be used.
  """
  from samcl import warp_jobs

  second, reference = (
    pathlib.Path(name).expanduser() if name else None for name in (then, like)
  )
  settings = warp_jobs.Settings(
    second, reference, index=None if index < 0 else index, **options
  )
  return warp_jobs.execute(paths, settings, app.require_out(out))


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
      'index': app.Option('Which volume of 4-D files, from 0.', -1),
      'inverse': app.Option('Undo the displacement instead.', False),
      'then': app.Option('A second displacement, applied after the first.'),
      'like': app.Option(
        'Volume on whose grid results are, where not that of the displacement: '
        'with --inverse the moving image.'
      ),
    },
  )
