"""Registers volumes with a trained network: `python -m samcl.register --help`.

    python -m samcl.register FIXED MOVING --workdir=RUN --out=DIR

leaves in DIR `warped.nii.gz`, the moving image on the grid of the fixed one;
`displacement.nii.gz` and `displacement_inverse.nii.gz`, which ITK, ANTs and 3D
Slicer read; `jacobian.nii.gz`, the local change of volume; `summary.json` and
`registration.png`. Images have any orientation, spacing and shape. With
--pairs=FILE.csv, columns `fixed`, `moving` and any of `name`, `fixed_mask`,
`moving_mask`, `fixed_label`, `moving_label`, `fixed_landmarks`,
`moving_landmarks`, `fixed_index`, `moving_index`, paths from where the file
lies, each pair gets a folder, and `summary.csv` has a line for each. A moving
label leaves `warped_label.nii.gz`, --transform ITK transforms (.h5).
"""

from collections.abc import Sequence
import pathlib

from common import app

_SIDES = ('fixed', 'moving')
_KINDS = ('mask', 'label', 'landmarks')
_EXTRAS = {
  'mask': 'What counts in the {side} image, on its grid.',
  'label': 'Labels of the {side} image, on its grid: they are warped and scored'
  ' where both are given, and never looked at by the registration.',
  'landmarks': 'Points of the {side} image (.csv with columns x, y, z in mm, '
  'RAS; .fcsv; .mrk.json), scored where both are given.',
}


def main(
  paths: Sequence[pathlib.Path],
  *,
  workdir: str,
  out: str,
  pairs: str,
  task: str,
  align: str,
  refine: int,
  convention: str,
  transform: bool,
  **sides: str | int,
) -> int:
  """Registers one pair, or every pair of a list.

  Returns:
    1 if a pair of a list could not be registered, and 0.

  Raises:
    InputError: a flag or a file cannot be used.
  """
  from common import errors, extras, files
  from samcl import pair_jobs, registrar

  folder = app.require_out(out)
  if not workdir:
    raise errors.InputError('--workdir: missing, must be the folder of a run')
  if refine < 0:
    raise errors.InputError(f'--refine: found {refine}, must be >= 0')
  given = [name for name, value in sides.items() if value not in ('', -1)]
  if pairs and given:
    raise errors.InputError(
      f'--{given[0]}: found {sides[given[0]]!r} beside --pairs, allowed the '
      f'column {given[0]!r} of {pairs}'
    )
  if pairs and not paths:
    jobs = pair_jobs.read(pathlib.Path(pairs).expanduser(), folder)
  elif len(paths) == 2 and not pairs:
    jobs = [pair_jobs.create(folder, *paths, sides)]
  else:
    raise errors.InputError(
      f'arguments: found {len(paths)} paths and --pairs={pairs!r}, allowed '
      'FIXED and MOVING, or --pairs alone'
    )
  if transform:
    extras.load('SimpleITK', 'itk', '--transform')
  files.require_writable(folder)
  network = registrar.Registrar.load(pathlib.Path(workdir).expanduser())
  network.spec(task)
  settings = pair_jobs.Settings(
    task, align, refine, learn2reg=convention == 'learn2reg', itk=transform
  )
  if not pairs:
    pair_jobs.execute(jobs[0], network, settings)
    return 0
  return pair_jobs.execute_all(jobs, network, settings, folder)


if __name__ == '__main__':
  app.run_on_paths(
    main,
    wanted='FIXED MOVING, two volumes',
    least=0,
    options={
      'workdir': app.Option('Folder of a run of samcl.train.'),
      'out': app.Option('Folder that receives the results.'),
      'pairs': app.Option('List of pairs (.csv) instead of FIXED MOVING.'),
      'task': app.Option('Task of the run whose images these are like.'),
      'align': app.Option(
        'Where the images are to begin with: where their files say, or centre '
        'on centre, as in training.',
        'world',
        ('world', 'centre'),
      ),
      'refine': app.Option(
        "Steps of descent on this pair, from the network's answer.", 0
      ),
      'convention': app.Option(
        'Of displacement files: vectors in mm (ITK, ANTs, 3D Slicer), or '
        'voxels as Learn2Reg takes them.',
        'itk',
        ('itk', 'learn2reg'),
      ),
      'transform': app.Option(
        'Also write displacement.h5, a transform of ITK (extra [itk]).', False
      ),
      **{
        f'{side}_{kind}': app.Option(_EXTRAS[kind].format(side=side))
        for side in _SIDES
        for kind in _KINDS
      },
      **{
        f'{side}_index': app.Option(
          f'Which volume of a 4-D {side} image, from 0.', -1
        )
        for side in _SIDES
      },
      'device': app.DEVICE,
    },
  )
