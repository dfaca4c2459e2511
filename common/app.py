"""Flags and start-up of every binary: the only place that defines flags."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
import pathlib
import sys
import types

from absl import app, flags, logging
from ml_collections import config_dict, config_flags

from common import config_file, errors, malloc

Main = Callable[[config_dict.ConfigDict, pathlib.Path], int | None]
OnPaths = Callable[..., int | None]

EXIT_INPUT = 2


def run(
  main: Main, argv: Sequence[str] | None = None, *, section: str = ''
) -> None:
  """Parses `--config` and `--workdir` and calls `main` with them.

  Whatever the user can mend (`InputError`, a flag or config field that does not
  exist, a config file that fails) ends in one line on stderr and exit code 2,
  without a traceback. jax is not imported before the flags are parsed, so
  `--help` is immediate.

  Args:
    main: what the binary does.
    argv: the command line, for that of the process.
    section: a field without which the config is one for another binary.
  """
  _define_flags()
  app.run(
    lambda _: sys.exit(_start(main, section)),
    argv=list(sys.argv if argv is None else argv),
    flags_parser=_parse,
  )


@dataclasses.dataclass(frozen=True)
class Option:
  """A flag of a tool.

  Attributes:
    meaning: what `--help` says.
    default: its value if it is not given, and with it its type: text, whole
      number, or True and False.
    allowed: the values that a text may have; () for any.
  """

  meaning: str
  default: str | int | bool = ''
  allowed: tuple[str, ...] = ()

  def define(self, name: str) -> None:
    """Adds the flag."""
    if self.allowed:
      flags.DEFINE_enum(name, self.default, self.allowed, self.meaning)
    else:
      add = _DEFINE[type(self.default)]
      add(name, self.default, self.meaning)
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])


_DEFINE = {
  str: flags.DEFINE_string,
  int: flags.DEFINE_integer,
  bool: flags.DEFINE_boolean,
}
DEVICE = Option(
  'What to compute on; auto is an accelerator where there is one.',
  'auto',
  ('auto', 'cpu', 'gpu', 'tpu'),
)


def run_on_paths(
  main: OnPaths,
  argv: Sequence[str] | None = None,
  *,
  wanted: str = 'one folder of a run or more',
  least: int = 1,
  options: Mapping[str, Option] = types.MappingProxyType({}),
) -> None:
  """Calls `main` with the paths of the command line; errors as in `run`.

  Each of `options` goes to `main` by its name. `wanted` says what paths there
  must be, and `least` how many. An option `device` is not for `main`: it is
  made sure of before jax is imported, which `main` therefore does itself.
  """
  for name, option in options.items():
    option.define(name)

  def parse(argv: list[str]) -> list[str]:
    try:
      rest = flags.FLAGS(argv)
    except flags.Error as error:
      _fail(f'{error} (see --help)')
    if len(rest) <= least and not _wants_help():
      _fail(f'arguments: found {rest[1:] or "none"}, allowed {wanted}')
    return rest

  def start(rest: list[str]) -> None:
    paths = [pathlib.Path(name).expanduser() for name in rest[1:]]
    chosen = {name: flags.FLAGS[name].value for name in options}
    if 'device' in chosen:
      device = chosen.pop('device')
      _prepare_jax(device)
      _require_device(device)
    sys.exit(_guarded(lambda: main(paths, **chosen)))

  app.run(
    start,
    argv=list(sys.argv if argv is None else argv),
    flags_parser=parse,
  )


def require_out(out: str) -> pathlib.Path:
  """The value of a flag `--out`.

  Raises:
    InputError: it was not given.
  """
  if not out:
    raise errors.InputError('--out: missing, must be given')
  return pathlib.Path(out).expanduser()


def read_config(arguments: Sequence[str]) -> config_dict.ConfigDict:
  """The config that a binary started with these arguments works with.

  Raises:
    InputError: a field that the config has not, or a value of another kind.
  """
  values, argv = flags.FlagValues(), ['', *arguments]
  try:
    _define_in(values, argv)
    values(argv)
    return values.config
  except Exception as error:  # a config is a program, which may raise anything
    said = ' '.join([*arguments, config_file.explain(error, argv)])
    raise errors.InputError(f'flags: {said}') from error


def _define_in(
  values: flags.FlagValues, argv: Sequence[str] | None = None
) -> None:
  config_flags.DEFINE_config_file(
    'config',
    None,
    'Configuration: a file of configs/.',
    flag_values=values,
    sys_argv=argv,
  )
  flags.DEFINE_string(
    'workdir', None, 'Folder that the run lives in.', flag_values=values
  )


def _define_flags() -> None:
  if 'workdir' in flags.FLAGS:
    return
  _define_in(flags.FLAGS)
  for name in ('config', 'workdir'):
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])


def _parse(argv: list[str]) -> list[str]:
  try:
    rest = flags.FLAGS(argv)
    if flags.FLAGS.config is not None:
      flags.FLAGS.config.keys()  # a file that failed to load says so here
  except flags.UnrecognizedFlagError as error:
    _fail(f'{error} (see --help)')
  except Exception as error:  # a config is a program, which may raise anything
    _fail(f'flags: {config_file.explain(error, argv)}')
  if not _wants_help():
    _require_given(argv)
  if len(rest) > 1:
    _fail(f'arguments: found {rest[1:]!r}, only flags are allowed')
  return rest


def _require_given(argv: Sequence[str]) -> None:
  config, workdir = flags.FLAGS.config, flags.FLAGS.workdir
  if config is None and config_file.names(argv):
    _fail(f'{config_file.names(argv)[0]}: get_config() returns nothing')
  for name, value in (('config', config), ('workdir', workdir)):
    if value is None:
      _fail(f'--{name}: missing, must be given')


def _wants_help() -> bool:
  names = ('help', 'helpfull', 'helpshort', 'helpxml')
  return any(n in flags.FLAGS and flags.FLAGS[n].value for n in names)


def _prepare_jax(device: str = 'auto') -> None:
  malloc.restart()
  # Preallocation would take three quarters of a GPU that may be shared.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  if device != 'auto':
    # jax calls a GPU by its maker.
    os.environ['JAX_PLATFORMS'] = {'gpu': 'cuda'}.get(device, device)
  logging.set_verbosity(logging.WARNING)


def _require_device(device: str) -> None:
  """Ends the process where jax does not find what was asked for."""
  import jax

  try:
    jax.devices()
  except RuntimeError as error:
    reason = errors.in_one_line(error)
    _fail(f'--device={device}: not found ({reason}), allowed: auto, cpu')


def _start(main: Main, section: str) -> int | None:
  config, workdir = flags.FLAGS.config, flags.FLAGS.workdir
  if section and section not in config:
    binaries = config_file.BINARIES
    others = [name for field, name in binaries.items() if field in config]
    _fail(
      f'--config: found no field {section!r} in it, allowed: a config of '
      f'{binaries[section]}' + ''.join(f'; this one is for {x}' for x in others)
    )
  _prepare_jax()
  return _guarded(lambda: main(config, pathlib.Path(workdir).expanduser()))


def _guarded(main: Callable[[], int | None]) -> int | None:
  try:
    return main()
  except errors.InputError as error:
    _fail(str(error))
  except KeyboardInterrupt:
    _fail('interrupted; start the same command again to go on', code=130)


def _fail(message: str, code: int = EXIT_INPUT) -> None:
  print(f'error: {message}', file=sys.stderr)
  sys.exit(code)
