import subprocess
import sys

import pytest

from common import errors, files


def test_text_is_whole_or_absent(tmp_path, monkeypatch):
  path = tmp_path / 'folder' / 'results.json'
  files.write_text(path, 'first')

  def full(_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(files.os, 'fsync', full)
  with pytest.raises(errors.InputError, match='No space left on device'):
    files.write_text(path, 'second')
  assert path.read_text() == 'first'
  assert [p.name for p in path.parent.iterdir()] == ['results.json']


def test_a_lock_is_held_by_one_process_and_goes_with_it(tmp_path):
  code = (
    'import pathlib, sys\n'
    'from common import files\n'
    'with files.locked(pathlib.Path(sys.argv[1])):\n'
    '  print("held", flush=True)\n'
    '  sys.stdin.read()\n'
  )
  holder = subprocess.Popen(
    [sys.executable, '-c', code, str(tmp_path)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    encoding='utf-8',
  )
  assert holder.stdout.readline() == 'held\n'
  with (
    pytest.raises(errors.InputError, match=f'pid {holder.pid}'),
    files.locked(tmp_path),
  ):
    pass
  holder.kill()
  holder.communicate()
  with files.locked(tmp_path):
    pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with (
    pytest.raises(errors.InputError, match='cannot be written'),
    files.locked(tmp_path / 'file' / 'run'),
  ):
    pass
