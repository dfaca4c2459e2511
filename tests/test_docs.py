"""The pages do what they say."""

from collections.abc import Iterator
import pathlib
import re
import runpy

import jax
import jax.numpy as jnp
from ml_collections import config_dict
import numpy as np
import optax
import pytest

from common import memory as memory_lib
from common import methods, train_state
from configs import samcl_synthetic, smg_synthetic
from samcl import setup as samcl_setup
from smg import setup as smg_setup
from tests import workdirs

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'own_data.md'
SHAPE = (24, 20, 16)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def _config(title: str, folder: pathlib.Path, monkeypatch):
  """What the configuration below a heading gives, where DATA lies."""
  section = PAGE.read_text('utf-8').partition(f'## {title}')[2]
  code = re.search(r'```python\n(.*?)```', section, re.DOTALL).group(1)
  assert len([line for line in code.splitlines() if line.strip()]) <= 10
  (folder / 'config.py').write_text(code)
  monkeypatch.chdir(folder)
  config = runpy.run_path(str(folder / 'config.py'))['get_config']()
  return config.lock()


def _write(folder: pathlib.Path, name: str, seed: int) -> None:
  image = workdirs.blobs(SHAPE, seed)
  label = (image > 150).astype(np.uint8) + (image > 250)
  workdirs.save(folder / 'images' / f'{name}.nii.gz', image, AFFINE)
  workdirs.save(folder / 'labels' / f'{name}.nii.gz', label, AFFINE)


def test_sites_to_segment(tmp_path, monkeypatch):
  for number, site in enumerate(('leeds', 'porto', 'turin')):
    for case in range(3):
      _write(tmp_path / 'DATA' / site, f'p{case}', 10 * number + case)
  config = _config('Sites to segment', tmp_path, monkeypatch)
  problem = smg_setup.create_problem(config)
  assert problem.stream == ('leeds', 'porto') and problem.unseen == ('turin',)
  assert problem.num_train(0) == 2 * SHAPE[2]
  batch = problem.load_train([(0, 0), (1, 3)])
  assert batch['image'].shape == (2, 128, 128, 1)


def test_pairs_to_register(tmp_path, monkeypatch):
  for task in ('knee', 'hip'):
    for seed, case in enumerate('abcd'):
      _write(tmp_path / 'DATA' / task, case, seed)
    (tmp_path / 'DATA' / task / 'pairs.csv').write_text(
      'fixed,moving,split\na,b,train\nb,a,train\nc,d,val\n'
    )
  config = _config('Pairs to register', tmp_path, monkeypatch)
  problem = samcl_setup.create_problem(config)
  assert problem.stream == ('knee', 'hip')
  batch = problem.load_train([(1, 0)])
  assert batch['fixed'].shape == (1, 64, 64, 64)
  assert set(np.unique(batch['fixed_label'])) >= {0, 1}


@pytest.mark.parametrize(
  'page',
  [*sorted(ROOT.glob('*.md')), *sorted(PAGE.parent.glob('*.md'))],
  ids=str,
)
def test_files_that_are_named_exist(page):
  text = page.read_text('utf-8')
  packages = 'smg|samcl|common|configs|benchmarks|tests'
  for name in re.findall(rf'[`=]((?:{packages})/[\w/]+\.py)\b', text):
    assert (ROOT / name).is_file(), name
  for link in re.findall(r'\]\(([^)#]+)\)', text):
    assert link.startswith('http') or (page.parent / link).exists(), link


def _fields(config, path: str = '') -> Iterator[tuple[str, object]]:
  """Every field with its path, but those of sites and tasks."""
  for name, value in config.items():
    if isinstance(value, config_dict.ConfigDict):
      if name not in ('sites', 'tasks'):
        yield from _fields(value, f'{path}{name}.')
    else:
      yield f'{path}{name}', value


def test_every_field_of_a_config_is_said():
  """With its value in the configs of both main jobs."""
  text = (ROOT / 'docs' / 'config.md').read_text('utf-8')
  said = re.findall(
    r'^\| `(.*?)` \| (.*?) \| (.*?) \| .+ \|$', text, re.MULTILINE
  )
  found = {name: values for name, *values in said}
  assert len(found) == len(said)
  both = [
    dict(_fields(module.get_config()))
    for module in (samcl_synthetic, smg_synthetic)
  ]
  assert set(found) == set().union(*both)
  for name, values in found.items():
    for value, fields in zip(values, both, strict=True):
      if name not in fields:
        assert value == '\N{EN DASH}', name
      elif isinstance(fields[name], float):
        assert float(value) == fields[name], name
      else:
        assert value == str(fields[name]), name


def test_every_method_is_said():
  text = (ROOT / 'docs' / 'extend.md').read_text('utf-8')
  table = text.partition('## The methods')[2].partition('##')[0]
  assert re.findall(r'^\| `(\w+)` ', table, re.MULTILINE) == [*methods.METHODS]


def test_a_method_of_a_config_file(tmp_path, monkeypatch):
  """The one of the page: `er` at radius 0, another step otherwise."""
  monkeypatch.setattr(methods, 'METHODS', dict(methods.METHODS))
  text = (ROOT / 'docs' / 'extend.md').read_text('utf-8')
  code = text.partition('## A method of your own')[2]
  code = re.search(r'```python\n(.*?)```', code, re.DOTALL).group(1)
  (tmp_path / 'config.py').write_text(code)
  config = runpy.run_path(str(tmp_path / 'config.py'))['get_config']()

  def learnt(method: str, rho: float) -> float:
    tx, batch = (
      optax.sgd(0.1),
      {'x': jnp.array([1.0, 2.0]), 'site': jnp.zeros(2)},
    )
    step = methods.get(method).make_step(
      _quadratic, tx, methods.Settings(rho=rho)
    )
    memory = memory_lib.create_memory(batch, 4)
    state = train_state.create_state({'w': jnp.array(0.5)}, tx, memory)
    for number in range(2):
      state, _ = step(state, batch, jax.random.key(number))
    return float(state.params['w'])

  same = learnt('er', 0.0)
  assert learnt(config.method, 0.0) == same
  assert abs(learnt(config.method, 0.1) - same) > 1e-3


def _quadratic(params, batch, key):
  del key
  value = jnp.mean((params['w'] - batch['x']) ** 2)
  return value, {'loss/total': value}
