"""The runs of a sweep, and what happens to them."""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

from ml_collections import config_dict
import pytest

from common import app, claim, errors, grid, launchers, sweep
from configs import sweep_realdata, sweep_samcl, sweep_smg, sweep_tiny
from tests import binaries

ROOT = pathlib.Path(__file__).resolve().parent.parent

OUT = pathlib.Path('out')
CACHE = 'JAX_COMPILATION_CACHE_DIR'
GROUP = {
  'problem': 'smg',
  'base': 'configs/smg_tiny.py',
  'methods': ('er', 'smg'),
  'seeds': (0, 1),
  'orders': (('site_a', 'site_b'), ('site_b', 'site_a')),
  'variants': ('', 'optim.lr=1e-3 sam.rho=0.0'),
  'flags': 'train.batch_size=2',
}


def test_the_product_of_all_fields_seeds_first():
  runs = grid.list_runs({'one': GROUP}, OUT)
  assert len(runs) == 2**4
  assert len({run.folder for run in runs}) == 16
  assert [run.name for run in runs[:4]] == [
    'smg_tiny/er-o0-s0',
    'smg_tiny/smg-o0-s0',
    'smg_tiny/er+optim.lr=1e-3+sam.rho=0.0-o0-s0',
    'smg_tiny/smg+optim.lr=1e-3+sam.rho=0.0-o0-s0',
  ]
  assert runs[4].name == 'smg_tiny/er-o1-s0'
  assert runs[-1].name.endswith('-o1-s1')
  command = ' '.join(runs[6].command[1:])
  assert command == (
    '-m smg.train --config=configs/smg_tiny.py --config.method=er '
    "--config.seed=0 --config.stream=('site_b','site_a',) "
    '--config.train.batch_size=2 --config.optim.lr=1e-3 --config.sam.rho=0.0 '
    f'--workdir=out/{runs[6].name}'
  )


def test_the_same_run_of_two_groups_is_one():
  other = GROUP | {'methods': ('er',), 'variants': ('',)}
  assert len(grid.list_runs({'one': GROUP, 'two': other}, OUT)) == 16
  with pytest.raises(errors.InputError, match='also the folder of another'):
    grid.list_runs({'one': GROUP, 'two': other | {'flags': ''}}, OUT)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'problem': 'x'}, "groups.one.problem: found 'x', allowed: smg, samcl"),
    ({'base': 'no.py'}, 'groups.one.base: no such file: no.py'),
    ({'methods': 'er'}, "groups.one.methods: found 'er', allowed a tuple"),
    ({'seeds': ()}, r'groups.one.seeds: found \(\)'),
    ({'seeds': 5}, 'groups.one.seeds: found 5, allowed a tuple'),
    ({'metods': ()}, 'groups.one.metods: unknown field, allowed: problem'),
    ({'methods': None}, 'groups.one.methods: missing'),
    (
      {'methods': ('er', 3)},
      'groups.one.methods: found 3 in it, allowed te',
    ),
    ({'orders': ('a', 'b')}, "groups.one.orders: found 'a' in it, allowed tup"),
    ({'variants': (5,)}, 'groups.one.variants: found 5 in it'),
    ({'flags': ('a=1',)}, 'groups.one.flags: found .*, allowed a text'),
  ],
)
def test_bad_groups_are_refused(change, message):
  with pytest.raises(errors.InputError, match=message):
    grid.list_runs({'one': GROUP | change}, OUT)


def test_a_group_that_is_none_is_refused():
  with pytest.raises(errors.InputError, match=r'groups\.one: found 3, allowed'):
    grid.list_runs({'one': 3}, OUT)


def test_a_folder_may_have_a_space_in_its_name():
  flags = 'data.folder=/data/My Data optim.lr=1e-3'
  run = grid.list_runs({'one': GROUP | {'flags': flags}}, OUT)[0]
  assert run.command[7:9] == (
    '--config.data.folder=/data/My Data',
    '--config.optim.lr=1e-3',
  )


@pytest.mark.parametrize(
  ('module', 'count'),
  [
    (sweep_tiny, 8),
    (sweep_smg, 394),
    (sweep_samcl, 265),
    (sweep_realdata, 114),
  ],
)
def test_the_sweeps_that_come_with_it(module, count):
  runs = grid.list_runs(module.get_config().groups.to_dict(), OUT)
  assert len(runs) == count
  assert {run.command[2] for run in runs} <= {'smg.train', 'samcl.train'}


def _run(folder: pathlib.Path, code: str) -> grid.PlannedRun:
  """A process that is no training."""
  return grid.PlannedRun(folder, (sys.executable, '-c', code))


def _ends_well(folder: pathlib.Path) -> str:
  path = str(folder)
  return (
    f'import pathlib; p = pathlib.Path({path!r}); p.mkdir(parents=True); '
    "(p / 'results.json').write_text('x'); print('fine')"
  )


def _config(**fields) -> config_dict.ConfigDict:
  config = sweep_tiny.get_config()
  config.update(fields)
  return config


@pytest.fixture
def three_runs(tmp_path, monkeypatch):
  """One that ends well, one that fails, one that was finished before."""
  good, bad, done = (tmp_path / 'base' / n for n in ('good', 'bad', 'done'))
  done.mkdir(parents=True)
  (done / 'results.json').write_text('x')
  runs = [
    _run(good, _ends_well(good)),
    _run(bad, "raise SystemExit('error: it is broken')"),
    _run(done, "raise SystemExit('never started')"),
  ]
  monkeypatch.setattr(grid, 'list_runs', lambda *_: runs)
  return tmp_path


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_failed_run_stops_no_other_and_finished_ones_are_skipped(
  three_runs, jobs, capsys
):
  assert sweep.main(_config(jobs=jobs), three_runs) == 1
  said = capsys.readouterr().out
  assert '3 runs, 1 of them finished' in said
  assert '[2/2]' in said and 'base/good: done' in said
  assert 'failed: base/bad: exit code 1; error: it is broken' in said
  assert (three_runs / 'base' / 'good.log').read_text() == 'fine\n'
  assert 'never' not in said
  lines = (three_runs / 'runs.txt').read_text().splitlines()
  assert len(lines) == 3 and shlex.split(lines[0])[1] == '-c'


def test_started_again_only_what_is_missing_runs(three_runs, capsys):
  sweep.main(_config(), three_runs)
  capsys.readouterr()
  assert sweep.main(_config(), three_runs) == 1
  assert '[1/1] base/bad: FAILED' in capsys.readouterr().out


def test_the_list_alone(three_runs):
  assert sweep.main(_config(launcher='none'), three_runs) == 0
  assert not (three_runs / 'base' / 'good').exists()
  assert (three_runs / 'runs.txt').exists()


# How ml_collections loads a file of configs/.
@pytest.mark.filterwarnings('ignore:the load_module:DeprecationWarning')
def test_a_finished_run_of_another_config_is_not_taken_for_done(tmp_path):
  config = _config(launcher='none')
  assert sweep.main(config, tmp_path) == 0
  run = grid.list_runs(config.groups.to_dict(), tmp_path)[-1]
  asked = app.read_config([w for w in run.command if w.startswith('--')])
  assert run.name == f'smg_tiny/{asked.method}-o0-s{asked.seed}'
  claim.take(run.folder, asked)
  (run.folder / 'results.json').write_text('x')
  moved = '--config.data.folder=/elsewhere'
  claimed = app.read_config([*run.command[3:-1], moved, run.command[-1]])
  (run.folder / 'config.json').unlink()
  claim.take(run.folder, claimed)
  assert sweep.main(config, tmp_path) == 0
  (run.folder / 'results.json').unlink()
  with pytest.raises(errors.InputError, match=r'config\.data\.folder: found'):
    sweep.main(config, tmp_path)
  (run.folder / 'results.json').write_text('x')
  other = json.loads((run.folder / 'config.json').read_text())
  other['optim']['lr'] *= 2
  (run.folder / 'config.json').write_text(json.dumps(other))
  message = f'{run.name}/config.json: .*another config; config.optim.lr: found'
  with pytest.raises(errors.InputError, match=message):
    sweep.main(config, tmp_path)


_SAVES = """
import pathlib, signal, sys, time

def save(*_):
  pathlib.Path({path!r}).write_text('saved')
  sys.exit()

signal.signal(signal.SIGTERM, save)
pathlib.Path({path!r} + '.on').write_text('')
time.sleep(120)
"""


def test_who_stops_early_lets_runs_save_and_starts_no_more(tmp_path):
  folder = tmp_path / 'a'
  code = _SAVES.format(path=str(folder / 'state'))
  runs = [_run(folder / 'first', code), _run(folder / 'second', code)]
  quick = _run(folder / 'quick', 'pass')
  start = time.monotonic()
  ended = launchers.local([runs[0], quick, runs[1]], 2)
  assert next(ended)[0] is quick
  while not (folder / 'state.on').exists():
    time.sleep(0.05)
  ended.close()
  assert (folder / 'state').read_text() == 'saved'
  assert time.monotonic() - start < 60


_SUSPENDED = """
import pathlib, signal, sys
from common import grid, launchers, sweep

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # These tests may run under nohup.
folder = pathlib.Path(sys.argv[1])
run = grid.PlannedRun(folder / 'a', (sys.executable, '-c', sys.argv[2]))
with sweep._signals_interrupt():
  list(launchers.local([run], 1))
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_that_is_ended_while_suspended_lets_its_run_save(
  tmp_path, number
):
  path = tmp_path / 'state'
  code = _SAVES.format(path=str(path))
  sweeping = subprocess.Popen(
    [sys.executable, '-c', _SUSPENDED, tmp_path, code],
    cwd=binaries.ROOT,
    stderr=subprocess.DEVNULL,
  )
  try:
    while not path.with_name('state.on').exists():
      assert sweeping.poll() is None
      time.sleep(0.05)
    for sent in (signal.SIGSTOP, number, signal.SIGCONT):
      sweeping.send_signal(sent)
      time.sleep(0.2)
    assert sweeping.wait(timeout=60) != 0
  finally:
    sweeping.kill()
    sweeping.wait()
  assert path.read_text() == 'saved'


def test_a_run_that_cannot_be_started_is_one_that_failed(tmp_path):
  run = grid.PlannedRun(tmp_path / 'a' / 'b', ('no-such-program',))
  ((found, _, problem),) = launchers.local([run], 1)
  assert found is run and not run.finished and problem == 'not started'
  assert 'not started' in launchers.log_path(run).read_text()


@pytest.mark.parametrize(
  ('end', 'problem'),
  [
    ('pass', ''),
    ('raise SystemExit(3)', 'exit code 3'),
    ('import os; os.kill(os.getpid(), 9)', 'killed by SIGKILL'),
  ],
)
def test_how_a_run_ended_counts_beside_its_results(tmp_path, end, problem):
  folder = tmp_path / 'a'
  run = _run(folder, f'{_ends_well(folder)}; {end}')
  ((_, _, found),) = launchers.local([run], 1)
  assert found == problem
  assert run.finished


def test_runs_share_what_they_compile(tmp_path, monkeypatch):
  said = tmp_path / 'said'
  code = (
    'import os, pathlib; '
    f"pathlib.Path({str(said)!r}).write_text(os.environ['{CACHE}'])"
  )
  for mine, expected in ((None, tmp_path / 'compiled'), ('/mine', '/mine')):
    monkeypatch.delenv(CACHE, raising=False)
    if mine:
      monkeypatch.setenv(CACHE, mine)
    list(launchers.local([_run(tmp_path / 'a', code)], 1))
    assert said.read_text() == str(expected)


_ON_RAY = """
import pathlib, sys
from common import grid, sweep
from configs import sweep_tiny

out = pathlib.Path(sys.argv[1])
runs = [
  grid.PlannedRun(out / name, (sys.executable, '-c', code))
  for name, code in zip(('good', 'bad'), sys.argv[2:])
]
grid.list_runs = lambda *_: runs
config = sweep_tiny.get_config()
config.launcher, config.num_cpus = 'ray', 1.0
sys.exit(sweep.main(config, out))
"""


def test_a_cluster_runs_them_too(tmp_path):
  """In a process of its own: ray forks, and jax has threads here."""
  pytest.importorskip('ray')
  good = tmp_path / 'good'
  done = subprocess.run(
    [
      sys.executable,
      '-c',
      _ON_RAY,
      tmp_path,
      _ends_well(good),
      "raise SystemExit('error: it is broken')",
    ],
    cwd=binaries.ROOT,
    capture_output=True,
    encoding='utf-8',
    timeout=240,
  )
  assert done.returncode == 1, done.stderr
  assert '/good: done' in done.stdout
  assert '/bad: exit code 1; error: it is broken' in done.stdout


def test_ray_that_is_not_there_is_named(three_runs, monkeypatch):
  monkeypatch.setitem(sys.modules, 'ray', None)
  with pytest.raises(errors.InputError, match=r"pip install '\.\[ray\]'"):
    sweep.main(_config(launcher='ray'), three_runs)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [({'launcher': 'x'}, "found 'x', allowed: local"), ({'jobs': 0}, 'found 0')],
)
def test_bad_fields_are_refused(fields, message, tmp_path):
  with pytest.raises(errors.InputError, match=message):
    sweep.main(_config(**fields), tmp_path)
  assert not list(tmp_path.iterdir())


def test_a_line_of_the_list_is_a_run_of_an_array(three_runs):
  """As the README has it for Slurm, which counts from 1."""
  assert sweep.main(_config(launcher='none'), three_runs) == 0
  readme = (ROOT / 'README.md').read_text('utf-8')
  (wrapped,) = re.findall(r"--wrap='(.*?)'", readme)
  line = wrapped.replace('runs/sweep', str(three_runs))
  subprocess.run(
    line,
    shell=True,
    check=True,
    executable='/bin/bash',
    env=os.environ | {'SLURM_ARRAY_TASK_ID': '1'},
  )
  ended = [path.parent.name for path in three_runs.rglob('results.json')]
  assert sorted(ended) == ['done', 'good']


def test_the_binary_names_what_it_cannot_use():
  assert '--workdir' in binaries.refused(
    'common.sweep', '--config=configs/sweep_tiny.py'
  )
