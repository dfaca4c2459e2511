"""Sections of a config that are no part of other methods' runs."""

import json

from ml_collections import config_dict
import pytest

from common import claim, errors, methods, ownership
from common.comparison import grouping
from configs import samcl_synthetic, smg_synthetic
from tests import run_folders


def _config(method: str, **fields) -> config_dict.ConfigDict:
  config = smg_synthetic.get_config()
  config.method = method
  config.update_from_flattened_dict(fields)
  return config


def test_every_section_is_there():
  for module in (samcl_synthetic, smg_synthetic):
    sections = set(module.get_config()) | {'diffusion'}
    assert set(ownership.OWNERS) <= sections
  assert set(ownership.OWNERS.values()) <= set(methods.METHODS)


def test_only_the_owner_has_a_generator():
  generated = {
    name
    for name, method in methods.METHODS.items()
    if method.memory == 'generated'
  }
  assert generated == {ownership.OWNERS['diffusion']}


@pytest.mark.parametrize('section', ['ewc', 'lwf', 'diffusion'])
def test_a_folder_is_held_by_what_its_method_reads(tmp_path, section):
  field = {'ewc': 'weight', 'lwf': 'weight', 'diffusion': 'num_kept'}[section]
  change = {f'{section}.{field}': 7}
  for method in ('er', ownership.OWNERS[section]):
    claim.take(tmp_path / method, _config(method))
  claim.take(tmp_path / 'er', _config('er', **change))
  found = json.loads((tmp_path / 'er' / 'config.json').read_text('utf-8'))
  assert found[section][field] != 7
  with pytest.raises(errors.InputError, match=r'config\.optim\.lr: found'):
    claim.take(tmp_path / 'er', _config('er', **{'optim.lr': 7.0}))
  owner = ownership.OWNERS[section]
  with pytest.raises(errors.InputError, match=rf'{section}\.{field}: found'):
    claim.take(tmp_path / owner, _config(owner, **change))


def test_rows_are_not_told_apart_by_what_they_do_not_read(tmp_path):
  for seed, num in enumerate((5, 5, 9)):
    for method in ('er', 'smg'):
      folder = run_folders.write(
        tmp_path / f'{method}{seed}', method, seed=seed
      )
      path = folder / 'config.json'
      config = json.loads(path.read_text('utf-8'))
      config['diffusion'] = {'num_kept': num}
      path.write_text(json.dumps(config))
  (study,), _ = grouping.find([tmp_path])
  assert [row.name for row in study.rows] == [
    'er',
    'smg',
    'smg diffusion.num_kept=9',
  ]
