"""Files that are whole or absent, and one process at a time per folder."""

from collections.abc import Iterable, Iterator
import contextlib
import fcntl
import os
import pathlib

from common import errors

# What a name ends with that says no more than how the file is written.
_TYPES = ('.nii.gz', '.mrk.json')


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes UTF-8 text as `write_bytes` does."""
  write_bytes(path, text.encode('utf-8'))


def write_bytes(path: pathlib.Path, content: bytes) -> None:
  """Writes beside `path` and renames, so a reader never sees half a file.

  Raises:
    InputError: it cannot be written; nothing is left.
  """
  partial = path.with_name(f'.{path.name}.partial')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(partial, 'wb') as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(partial, path)
  except OSError as error:
    with contextlib.suppress(OSError):
      partial.unlink(missing_ok=True)
    raise errors.InputError(
      f'{path}: not written ({error.strerror})'
    ) from error


def stem(path: pathlib.Path) -> str:
  """A file's name without its type; dots within it stay, as in a UID.

  The whole name of a folder, which is a DICOM series.
  """
  if path.is_dir():
    return path.name
  for suffix in _TYPES:
    if path.name.lower().endswith(suffix):
      return path.name[: -len(suffix)]
  return path.stem


def require_apart(
  targets: Iterable[pathlib.Path], inputs: Iterable[pathlib.Path]
) -> None:
  """Makes sure, before work, that no result takes the place of an input.

  Raises:
    InputError: one would.
  """
  taken = {path.resolve() for path in inputs}
  for target in targets:
    if target.resolve() in taken:
      raise errors.InputError(
        f'{target}: found an input of this name, which would be overwritten, '
        'allowed another --out'
      )


def require_writable(folder: pathlib.Path) -> None:
  """Makes sure, before long work, that files can be written to a folder.

  Raises:
    InputError: they cannot; the message names the folder.
  """
  probe = folder / '.writable'
  write_bytes(probe, b'')
  probe.unlink()


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
  """Holds `folder` for this process; the lock goes with the process.

  Raises:
    InputError: another process holds it, or it cannot be written to.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
    file = open(folder / '.lock', 'a+', encoding='utf-8')  # noqa: SIM115
  except OSError as error:
    raise errors.InputError(
      f'--workdir={folder}: cannot be written to ({error.strerror})'
    ) from error
  with file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      file.truncate(0)
      file.write(f'{os.getpid()}\n')
      file.flush()
    except BlockingIOError:
      file.seek(0)
      holder = file.read().strip() or 'unknown'
      raise errors.InputError(
        f'--workdir={folder}: in use by another process (pid {holder}); wait '
        'for it or name another folder'
      ) from None
    except OSError as error:
      raise errors.InputError(
        f'--workdir={folder}: cannot be locked ({error.strerror})'
      ) from error
    yield
