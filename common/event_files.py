"""TensorBoard's event files, written from the folders of runs."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import os
import pathlib
import time
from typing import Any

import numpy as np
from PIL import Image

from common import errors, extras, run_files

_PERIOD = 5.0  # seconds between two looks at runs that go on
_ABOUT = ('stage', 'site', 'step', 'split')


def write(
  folders: Sequence[pathlib.Path], out: pathlib.Path, *, follow: bool = False
) -> None:
  """Writes a folder of events for each run in or below `folders`.

  Args:
    folders: of runs, finished or not, or above them.
    out: for `tensorboard --logdir`; events that lie there already are replaced.
    follow: looks again and again, also for new runs, until interrupted.

  Raises:
    InputError: a folder has no run, a file of a run or `out` cannot be used, or
      TensorBoard is not installed.
  """
  library = extras.load('tensorboardX', 'tensorboard', '--out')
  folders = [folder.resolve() for folder in folders]
  above = os.path.commonpath([folder.parent for folder in folders])
  boards: dict[pathlib.Path, _Board] = {}
  with contextlib.suppress(KeyboardInterrupt):
    while True:
      for run in _find(folders):
        if run not in boards:
          place = _cleared(out / run.relative_to(above))
          boards[run] = _Board(run, library.SummaryWriter(str(place)))
        boards[run].copy()
      if not follow:
        break
      time.sleep(_PERIOD)
  for board in boards.values():
    board.close()
  print(f'done: {len(boards)} runs; tensorboard --logdir={out}')


class _Board:
  """One run, copied as far as it has come."""

  def __init__(self, folder: pathlib.Path, writer: Any):
    self._folder, self._writer = folder, writer
    self._num_lines, self._ended = 0, False

  def copy(self) -> None:
    """Copies what is new."""
    if self._ended:
      return
    self._ended = (self._folder / 'report.html').exists()  # its last file
    if (self._folder / 'metrics.jsonl').exists():
      log = run_files.load_log(self._folder)
      # A run that resumes writes its last lines again as they were.
      for entry in log[self._num_lines :]:
        self._add_logged(entry)
      self._num_lines = max(self._num_lines, len(log))
    if self._ended:
      self._add_end(run_files.load(self._folder))
    self._writer.flush()

  def close(self) -> None:
    self._writer.close()

  def _add_logged(self, entry: Mapping[str, Any]) -> None:
    for name, value in entry.items():
      if name not in _ABOUT and value is not None:
        tag = f'{entry.get("split", "train")}/{name}'
        self._writer.add_scalar(tag, value, entry['step'])

  def _add_end(self, run: run_files.Run) -> None:
    """Scores by stage, 0 being the untrained network, and all figures."""
    for name, scores in run.scores.items():
      for stage, row in enumerate([scores.untrained, *scores.matrix]):
        for site, value in zip(scores.sites, row, strict=True):
          if np.isfinite(value):
            self._writer.add_scalar(f'stages_{name}/{site}', value, stage)
    for path in sorted((self._folder / 'figures').glob('*.png')):
      with Image.open(path) as image:
        pixels = np.asarray(image.convert('RGB'))
      self._writer.add_image(f'figures/{path.stem}', pixels, dataformats='HWC')


def _find(folders: Sequence[pathlib.Path]) -> Iterator[pathlib.Path]:
  for folder in folders:
    found = sorted(path.parent for path in folder.rglob('config.json'))
    if not found:
      raise errors.InputError(
        f'{folder}: found no run in it, allowed one or more'
      )
    yield from found


def _cleared(folder: pathlib.Path) -> pathlib.Path:
  """Without the events of an earlier time."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob('events.out.tfevents.*'):
      path.unlink()
  except OSError as error:
    raise errors.InputError(
      f'{folder}: cannot be written to ({error.strerror})'
    ) from error
  return folder
