import pathlib

import pytest

from common import errors
from samcl import cases, folders, pairings, specs

NAMES = ('a_0000', 'a_0001', 'b_0000', 'b_0001')


def _spec(root, **fields) -> specs.Spec:
  given = {'name': 'brain', 'format': 'pairs', 'root': str(root)} | fields
  return specs.parse(given, 0)


def _names(pairs) -> list[tuple[str, str]]:
  return [(pair.fixed.name, pair.moving.name) for pair in pairs]


@pytest.mark.parametrize(
  ('pairing', 'expected'),
  [
    ('all', [(f, m) for f in NAMES for m in NAMES]),
    ('ordered', [(f, m) for f in NAMES for m in NAMES if f != m]),
    ('subject', [('a_0000', 'a_0001'), ('b_0000', 'b_0001')]),
    ('cross', [(f, m) for f in NAMES[::2] for m in NAMES[1::2]]),
  ],
)
def test_rules(tmp_path, pairing, expected):
  images = [cases.Case(name, pathlib.Path(name)) for name in NAMES]
  found = pairings.pair(_spec(tmp_path), pairing, iter(images))
  assert _names(found) == expected


def test_a_list_cannot_be_made_of_images(tmp_path):
  with pytest.raises(errors.InputError, match=r'brain.*listed.*all.*cross'):
    pairings.pair(_spec(tmp_path), 'listed', [])


def _write(root, rows: str) -> None:
  (root / 'pairs.csv').write_text(f'fixed,moving,split,landmarks\n{rows}')


def test_a_listed_folder_can_be_paired_anew(tmp_path):
  """With the images of the train pairs that no val pair has: not c."""
  _write(tmp_path, 'a,b,train,\nb,c,train,\nd,a,train,\nc,e,val,\n')
  listed = folders.read_pairs(_spec(tmp_path))
  assert _names(listed.train) == [('a', 'b'), ('b', 'c'), ('d', 'a')]
  anew = folders.read_pairs(_spec(tmp_path, pairing='ordered'))
  assert _names(anew.train) == [(f, m) for f in 'abd' for m in 'abd' if f != m]
  assert _names(anew.val) == [('c', 'e')]


def test_pairs_are_capped_the_same_way_every_time(tmp_path):
  _write(tmp_path, 'a,b,train,\nb,d,train,\nc,e,val,\ne,c,val,\n')
  spec = _spec(tmp_path, pairing='ordered', max_pairs=4, max_val_pairs=1)
  found = folders.read_pairs(spec)
  assert len(set(_names(found.train))) == 4
  assert len(found.val) == 1
  assert folders.read_pairs(spec) == found


def test_landmarks_belong_to_listed_pairs(tmp_path):
  _write(tmp_path, 'a,b,train,ab.csv\nc,e,val,\n')
  with pytest.raises(errors.InputError, match=r"pairs\.csv.*'ordered'.*listed"):
    folders.read_pairs(_spec(tmp_path, pairing='ordered'))
