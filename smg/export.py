"""A segmentation network in one file: `python -m smg.export --help`.

    python -m smg.export RUN --out=model.zip

The file is called without this package, see `common/artifact.py`: images
(b, *s, c) in [0, 1] on the network's grid give probabilities, (b, *s, 1 +
classes), any number of images at once.
"""

from collections.abc import Sequence
import pathlib

from common import app


def main(paths: Sequence[pathlib.Path], *, out: str) -> None:
  """Writes the network of the run to `out`.

  Raises:
    InputError: the run or the file cannot be used.
  """
  from smg import segmenter

  target = app.require_out(out)
  segmenter.Segmenter.load(paths[0]).export(target)
  print(f'done: {target}')


if __name__ == '__main__':
  app.run_on_paths(
    main,
    wanted='the folder of a run of smg.train',
    options={
      'out': app.Option('File (.zip) that is written.'),
      'device': app.DEVICE,
    },
  )
