"""Runs for TensorBoard's eyes: `python -m common.tensorboard --help`.

    python -m common.tensorboard runs/demo runs/er --out=runs/board --follow
    tensorboard --logdir=runs/board

copies what runs log and what finished ones scored and drew; the files of the
runs remain what counts. With --follow it keeps copying until interrupted.
TensorBoard comes with the extra [tensorboard].
"""

from collections.abc import Sequence
import pathlib

from common import app


def main(
  folders: Sequence[pathlib.Path], out: str, follow: bool = False
) -> None:
  """Writes a folder of events for each run in or below `folders`."""
  from common import event_files

  event_files.write(folders, app.require_out(out), follow=follow)


if __name__ == '__main__':
  app.run_on_paths(
    main,
    options={
      'out': app.Option('Folder for tensorboard --logdir.'),
      'follow': app.Option(
        'Goes on, also with new runs, until interrupted.', False
      ),
    },
  )
