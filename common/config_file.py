"""What is said of a config file that cannot be used, in one line."""

from collections.abc import Sequence
import itertools
import pathlib
import traceback

from common import errors

# What is made of a config with a field of this name.
BINARIES = {
  'tasks': 'samcl.train',
  'sites': 'smg.train',
  'groups': 'common.sweep',
}


def names(argv: Sequence[str]) -> list[str]:
  """FILE of --config=FILE, --config FILE and --config=FILE:ARGUMENT."""
  found = []
  for word, next_word in itertools.zip_longest(argv, argv[1:], fillvalue=''):
    name, given, value = word.partition('=')
    if name in ('--config', '-config'):
      found.append((value if given else next_word).partition(':')[0])
  return found


def explain(error: Exception, argv: Sequence[str]) -> str:
  """What is wrong, and where in the config file if it is that which failed."""
  for name in names(argv):
    if not pathlib.Path(name).is_file():
      return f'--config={name}: no such file, there are {", ".join(_known())}'
  paths = {pathlib.Path(name).resolve() for name in names(argv)}
  one: BaseException | None = error
  while one is not None:
    places = [
      (frame.filename, frame.lineno)
      for frame in traceback.extract_tb(one.__traceback__)
    ]
    if isinstance(one, SyntaxError):
      places.append((one.filename or '', one.lineno))
    for name, line in reversed(places):
      if pathlib.Path(name).resolve() in paths:
        kind = type(one).__name__
        return f'{name}, line {line}: {kind}: {errors.in_one_line(one)}'
    one = one.__cause__ or one.__context__
  return ' '.join(str(error).split()) or type(error).__name__


def _known() -> list[str]:
  folder = pathlib.Path(__file__).resolve().parent.parent / 'configs'
  return sorted(f'configs/{path.name}' for path in folder.glob('[a-z]*.py'))
