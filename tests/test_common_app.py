"""Binaries as a user starts them: one line and exit code 2 on bad input."""

import pathlib
import subprocess
import sys

import pytest

from common import app, errors, trainer
from configs import samcl_tiny, smg_tiny
from samcl import setup
from smg import setup as smg_setup
from tests import binaries


def _refused(*arguments: str) -> str:
  return binaries.refused('samcl.train', *arguments)


TINY = '--config=configs/samcl_tiny.py'


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    ([TINY], '--workdir: missing'),
    (['--workdir=x'], '--config: missing'),
    (['--config=configs/none.py', '--workdir=x'], 'configs/samcl_tiny.py'),
    ([TINY, '--workdir=x', '--config.optim.rate=1'], 'rate'),
    ([TINY, '--workdir=x', '--config.optim.lr=fast'], 'lr'),
    ([TINY, '--workdir=x', '--speed=1'], 'speed'),
    ([TINY, '--workdir=x', 'more'], "found ['more']"),
  ],
)
def test_flags_that_cannot_be_used(arguments, expected):
  assert expected in _refused(*arguments)


@pytest.mark.parametrize(
  ('binary', 'config', 'expected'),
  [
    ('samcl.train', 'smg_tiny', "no field 'tasks'"),
    ('smg.evaluate', 'samcl_tiny', 'this one is for samcl.train'),
    ('common.sweep', 'samcl_tiny', "no field 'groups'"),
    ('smg.train', 'sweep_tiny', 'this one is for common.sweep'),
  ],
)
def test_a_config_of_another_binary(binary, config, expected, tmp_path):
  assert expected in binaries.refused(
    binary, f'--config=configs/{config}.py', f'--workdir={tmp_path / "run"}'
  )


@pytest.mark.parametrize(
  ('line', 'expected'),
  [
    ('import nothing_of_this_name', 'line 2: ModuleNotFoundError'),
    ('return (', 'line 2: SyntaxError'),
    ('return 1 / 0', 'line 2: ZeroDivisionError: division by zero'),
    ('return int("x")', 'line 2: ValueError: invalid literal'),
    ('return Config()', "line 2: NameError: name 'Config' is not defined"),
    ('assert False', 'line 2: AssertionError'),
  ],
)
def test_a_config_file_that_fails_is_told_by_its_line(line, expected, tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(f'def get_config():\n  {line}\n')
  for words in ([f'--config={path}'], ['--config', str(path)]):
    assert f'{path}, {expected}' in _refused(*words, '--workdir=x')


def test_a_config_file_that_returns_nothing(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text('def get_config():\n  pass\n')
  done = binaries.run('samcl.train', f'--config={path}', '--workdir=x')
  assert done.returncode == 2
  last = done.stderr.strip().splitlines()[-1]
  assert last == f'error: {path}: get_config() returns nothing'


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> pathlib.Path:
  return tmp_path_factory.mktemp('app') / 'data'


@pytest.mark.parametrize(
  ('field', 'value', 'expected'),
  [
    ('method', 'ewd', "config.method: found 'ewd', allowed: sequential"),
    ('stream', ('brain_mr', 'heart'), 'config.stream'),
    ('stream', ('brain_mr', 'brain_mr'), 'allowed each once'),
    ('stream', (), 'config.stream: found none'),
    ('scores', ('dics',), "config.scores: found 'dics', allowed"),
    ('model.output', 'flow', "config.model.output: found 'flow', allowed"),
    ('model.conv_dtype', 'half', "config.model.conv_dtype: found 'half'"),
    ('model.weights', 'zeros', "config.model.weights: found 'zeros'"),
    ('optim.name', 'lion', "config.optim.name: found 'lion', allowed"),
    ('optim.schedule', 'step', "config.optim.schedule: found 'step'"),
    ('train.batch_size', 0, 'config.train.batch_size: found 0'),
    ('train.num_steps', (1,) * 5, 'config.train.num_steps: found 5 numbers'),
    ('memory.capacity', 1, 'config.memory.capacity: found 1'),
    ('memory.batch_size', -1, 'config.memory.batch_size: found -1'),
    ('memory.num_draws', 0, 'config.memory.num_draws: found 0'),
    ('memory.batch_size', 9, 'config.memory.capacity: found 4'),
    ('reptile.beta', 2.0, 'reptile.beta: found 2.0'),
    ('sam.rho', -1.0, 'sam.rho: found -1.0'),
    ('loss.ncc_window', 4, 'config.loss.ncc_window: found 4'),
    ('loss.image_sigma', -1.0, 'config.loss.image_sigma: found -1.0'),
    ('data.shape', (15, 16, 16), 'config.data.shape: found (15, 16, 16)'),
    ('data.num_train', 0, 'num_train'),
    ('model.large_kernel', 4, 'config.model.large_kernel: found 4'),
    ('model.num_channels', 0, 'config.model.num_channels: found 0'),
    ('model.num_squarings', -1, 'config.model.num_squarings: found -1'),
    ('loss.landmark_refinement', 2, 'config.tasks.NAME.landmark_refinement'),
  ],
)
def test_configs_that_cannot_be_used(field, value, expected, tmp_path, data):
  config = samcl_tiny.get_config()
  config.data.folder = str(data if 'data' not in field else tmp_path / 'data')
  with config.ignore_type():
    config.update_from_flattened_dict({field: value})
  with pytest.raises(errors.InputError) as caught:
    trainer.train(setup.create_problem, config, tmp_path / 'run')
  assert expected in str(caught.value)
  assert not (tmp_path / 'run').exists()


def test_an_alignment_that_registration_cannot_have(tmp_path, data):
  config = samcl_tiny.get_config()
  config.data.folder, config.method = str(data), 'smg_er'
  config.alignment.estimator = 'meta'
  with pytest.raises(errors.InputError, match="estimator: found 'meta', allow"):
    setup.create_problem(config)


@pytest.mark.parametrize(
  ('module', 'problem'), [(samcl_tiny, setup), (smg_tiny, smg_setup)]
)
def test_a_network_without_such_a_field(module, problem, tmp_path, data):
  config = module.get_config()
  config.data.folder = str(data if module is samcl_tiny else tmp_path / 'data')
  config.model.depth = 3
  with pytest.raises(errors.InputError, match='depth'):
    problem.create_problem(config)


BINARIES = sorted(
  f'{path.parent.name}.{path.stem}'
  for package in ('common', 'samcl', 'smg')
  for path in (binaries.ROOT / package).glob('*.py')
  if '\nif __name__ ==' in path.read_text('utf-8')
)


@pytest.mark.parametrize('module', BINARIES)
def test_help_waits_for_no_library(module):
  """Neither jax nor matplotlib is imported before the flags are parsed."""
  done = subprocess.run(
    [sys.executable, '-X', 'importtime', '-m', module, '--help'],
    cwd=binaries.ROOT,
    capture_output=True,
    encoding='utf-8',
    timeout=120,
  )
  assert '--help' in done.stdout
  names = {line.rpartition('|')[2].strip() for line in done.stderr.split('\n')}
  assert 'absl.app' in names
  assert not names & {'jax', 'matplotlib', 'pandas', 'tensorboardX'}


@pytest.mark.filterwarnings('ignore:the load_module:DeprecationWarning')
@pytest.mark.parametrize('flag', ['optim.lrr=1', 'optim.lr=abc'])
def test_a_config_that_cannot_be_read_back_names_the_flag(flag):
  with pytest.raises(errors.InputError, match=f'--config.{flag}'):
    app.read_config(['--config=configs/smg_tiny.py', f'--config.{flag}'])
