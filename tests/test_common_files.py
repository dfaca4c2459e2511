import fcntl
import pathlib
import subprocess
import sys

import pytest

from common import errors, files, metric_log


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


def test_a_folder_that_cannot_be_locked_is_refused(tmp_path, monkeypatch):
  def refuse(*_):
    raise OSError(37, 'No locks available')

  monkeypatch.setattr(fcntl, 'flock', refuse)
  with (
    pytest.raises(errors.InputError, match=r'be locked \(No locks available\)'),
    files.locked(tmp_path),
  ):
    pass


def test_a_log_on_a_full_disk_is_named(tmp_path):
  log = metric_log.MetricLog(tmp_path / 'metrics.jsonl')
  (tmp_path / 'metrics.jsonl').unlink()
  (tmp_path / 'metrics.jsonl').symlink_to('/dev/full')
  with pytest.raises(errors.InputError, match=r'jsonl: not written \(No space'):
    log.write(stage=1, site='a', step=0, split='train', metrics={'x': 1.0})


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with (
    pytest.raises(errors.InputError, match='cannot be written'),
    files.locked(tmp_path / 'file' / 'run'),
  ):
    pass


@pytest.mark.parametrize(
  ('name', 'wanted'),
  [
    ('a.nii.gz', 'a'),
    ('a.NII.GZ', 'a'),
    ('p.01.nii', 'p.01'),
    ('x.mrk.json', 'x'),
    ('1.2.840.113619.nrrd', '1.2.840.113619'),
  ],
)
def test_names_without_their_type(name, wanted):
  assert files.stem(pathlib.Path(name)) == wanted


def test_the_name_of_a_folder_is_whole(tmp_path):
  (tmp_path / '1.2.3').mkdir()
  assert files.stem(tmp_path / '1.2.3') == '1.2.3'
