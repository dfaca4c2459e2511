"""Fields that the configs of both problems have."""

import pathlib

from ml_collections import config_dict
import pytest

from common import config_checks, errors


def _config(stream=('a',), unseen=(), synthetic=False, folder='x'):
  return config_dict.ConfigDict(
    {
      'stream': stream,
      'unseen': unseen,
      'data': {'synthetic': synthetic, 'folder': folder},
    }
  )


@pytest.mark.parametrize(
  ('stream', 'unseen', 'expected'),
  [
    ((), ('a',), 'config.stream: found none'),
    (('a', 'a'), (), 'allowed each once of a, b'),
    (('a',), ('a',), 'allowed each once of a, b'),
    (('a',), ('c',), r"found \('a', 'c'\), allowed each once of a, b"),
  ],
)
def test_stations_are_known_and_named_once(stream, unseen, expected):
  with pytest.raises(errors.InputError, match=expected):
    config_checks.check_stations(_config(stream, unseen), ('a', 'b'))
  config_checks.check_stations(_config(('b',), ('a',)), ('a', 'b'))


@pytest.mark.parametrize(
  ('found', 'expected'), [((), 'found none'), (('p', 'r'), "found 'r'")]
)
def test_choices(found, expected):
  with pytest.raises(errors.InputError, match=rf'config\.f: {expected}.*p, q'):
    config_checks.check_choices('f', found, ('p', 'q'))
  config_checks.check_choices('f', ('q',), ('p', 'q'))


def test_real_data_have_a_folder():
  with pytest.raises(errors.InputError, match=r'--config\.data\.folder=DIR'):
    config_checks.data_folder(_config(folder=''))
  here = config_checks.data_folder(_config(folder='~/x'))
  assert here == pathlib.Path.home() / 'x'
  config_checks.data_folder(_config(folder='', synthetic=True))
