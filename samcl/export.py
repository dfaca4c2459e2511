"""A registration network in one file: `python -m samcl.export --help`.

    python -m samcl.export RUN --out=model.zip

The file is called without this package, see `common/artifact.py`: four arrays
(1, x, y, z) on the network's grid, the fixed and the moving image in [0, 1] and
their masks, give the displacement and its inverse, (1, x, y, z, 3) in voxels.
"""

from collections.abc import Sequence
import pathlib

from common import app


def main(paths: Sequence[pathlib.Path], *, out: str) -> None:
  """Writes the network of the run to `out`.

  Raises:
    InputError: the run or the file cannot be used.
  """
  from samcl import registrar

  target = app.require_out(out)
  registrar.Registrar.load(paths[0]).export(target)
  print(f'done: {target}')


if __name__ == '__main__':
  app.run_on_paths(
    main,
    wanted='the folder of a run of samcl.train',
    options={
      'out': app.Option('File (.zip) that is written.'),
      'device': app.DEVICE,
    },
  )
