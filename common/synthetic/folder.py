"""A synthetic stream as a folder: whole or absent, and written only once."""

from collections.abc import Callable, Mapping, Sequence
import csv
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

import numpy as np

from common import errors, volumes

_MANIFEST = 'stream.json'


def write_once(
  root: pathlib.Path,
  manifest: Mapping[str, Any],
  write: Callable[[pathlib.Path], None],
) -> None:
  """Lets `write` fill a folder beside `root`, which then becomes `root`.

  Args:
    root: the folder; it must not exist, be empty, or have this manifest.
    manifest: what the stream was made from, kept as `root/stream.json`.
    write: called with an empty folder, or not at all if `root` is complete.

  Raises:
    InputError: `root` holds something else or cannot be written.
  """
  root = pathlib.Path(root)
  if _is_complete(root, manifest):
    return
  partial = _partial_folder(root)
  try:
    write(partial)
    text = json.dumps(manifest, indent=2) + '\n'
    (partial / _MANIFEST).write_text(text, encoding='utf-8')
    partial.chmod(0o755)
    _publish(partial, root, manifest)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def check_counts(*, num_train: int, num_test: int, seed: int) -> dict[str, int]:
  """The three as a mapping; InputError where one is out of range."""
  for name, value in {'num_train': num_train, 'num_test': num_test}.items():
    if not 1 <= value <= 999:
      raise errors.InputError(f'{name}: found {value}, allowed 1 to 999')
  if seed < 0:
    raise errors.InputError(f'seed: found {seed}, allowed 0 or more')
  return {'num_train': num_train, 'num_test': num_test, 'seed': seed}


def save_table(
  path: pathlib.Path, header: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
  """Writes a .csv file."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, 'w', encoding='utf-8', newline='') as file:
    writer = csv.DictWriter(file, header, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)


def save_oriented(
  path: pathlib.Path, array: np.ndarray, affine: np.ndarray, orientation: str
) -> None:
  """Writes an array in RAS order with the axes that a scanner stores.

  Args:
    path: a .nii.gz file.
    array: (x, y, z), axes closest to right, anterior, superior.
    affine: (4, 4), voxel of `array` to scanner, mm; may be oblique.
    orientation: three letters, e.g. 'LPS', of the axes of the file.
  """
  order, flips = layout(orientation)
  stored = np.flip(
    np.transpose(array, order), [i for i, flip in enumerate(flips) if flip]
  )
  change = np.zeros((4, 4))
  change[3, 3] = 1.0
  for column, (axis, flip) in enumerate(zip(order, flips, strict=True)):
    change[axis, column] = -1.0 if flip else 1.0
    change[axis, 3] = array.shape[axis] - 1 if flip else 0.0
  volumes.save_volume(
    path, np.ascontiguousarray(stored), affine=affine @ change
  )


def layout(orientation: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
  """For each stored axis: which RAS axis it is, and whether it runs back."""
  order = tuple(
    next(i for i, pair in enumerate(('RL', 'AP', 'SI')) if code in pair)
    for code in orientation
  )
  return order, tuple(code in 'LPI' for code in orientation)


def _is_complete(root: pathlib.Path, manifest: Mapping[str, Any]) -> bool:
  """Whether the stream is there; InputError if something else is."""
  if not root.exists() or (root.is_dir() and not any(root.iterdir())):
    return False
  try:
    found = json.loads((root / _MANIFEST).read_text(encoding='utf-8'))
  except (OSError, ValueError):
    found = 'files without a readable stream.json'
  if found != manifest:
    raise errors.InputError(
      f'{root}: synthetic stream: found {found}, allowed {dict(manifest)}:'
      ' name another folder or remove this one'
    )
  return True


def _partial_folder(root: pathlib.Path) -> pathlib.Path:
  try:
    root.parent.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(
      tempfile.mkdtemp(prefix=f'.{root.name}.', dir=root.parent)
    )
  except OSError as error:
    raise errors.InputError(
      f'{root}: folder: found {error.strerror}, allowed a writable place'
    ) from error


def _publish(
  partial: pathlib.Path, root: pathlib.Path, manifest: Mapping[str, Any]
) -> None:
  try:
    os.replace(partial, root)
  except OSError:
    # Another process may have finished the same stream in the meantime.
    if not _is_complete(root, manifest):
      raise
