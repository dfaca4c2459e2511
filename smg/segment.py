"""Segments images with a trained network: `python -m smg.segment --help`.

    python -m smg.segment IN --workdir=RUN --out=DIR

IN is an image, a folder of images or of a DICOM series, or several of them. DIR
receives a label for each, NAME.nii.gz or, of a png, NAME.png, on the grid of
its file and in the values that its site's labels have, and `volumes.csv`, whose
column `covered` is the share of the image that the network saw. An image that
cannot be used is named at the end; the others are segmented all the same.
"""

from collections.abc import Sequence
import pathlib

from common import app


def main(
  paths: Sequence[pathlib.Path],
  *,
  workdir: str,
  out: str,
  site: str,
  probabilities: bool,
  overlay: bool,
  flips: bool,
  index: int,
) -> int:
  """Segments every image; 1 if one of several could not be.

  Raises:
    InputError: a flag cannot be used, or the only image.
  """
  from common import errors, files
  from smg import image_jobs, segmenter

  folder = app.require_out(out)
  if not workdir:
    raise errors.InputError('--workdir: missing, must be the folder of a run')
  network = segmenter.Segmenter.load(pathlib.Path(workdir).expanduser())
  images = image_jobs.find(paths, network.spec(site).format)
  files.require_writable(folder)
  settings = image_jobs.Settings(
    site, flips, probabilities, None if index < 0 else index, overlay
  )
  return image_jobs.execute(images, network, settings, folder)


if __name__ == '__main__':
  app.run_on_paths(
    main,
    wanted='images, or folders of images',
    options={
      'workdir': app.Option('Folder of a run of smg.train.'),
      'out': app.Option('Folder that receives the labels.'),
      'site': app.Option('Site of the run whose images these are like.'),
      'probabilities': app.Option(
        'Also NAME_probabilities.nii.gz: a map for each class, 0 first.', False
      ),
      'overlay': app.Option('Also NAME_overlay.png, to look at.', False),
      'flips': app.Option(
        'Average with the image mirrored, left for right: twice the time, a '
        'little better.',
        False,
      ),
      'index': app.Option('Which volume of 4-D files, from 0.', -1),
      'device': app.DEVICE,
    },
  )
