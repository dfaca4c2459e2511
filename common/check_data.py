"""Looks at all data of a config: `python -m common.check_data --help`.

    python -m common.check_data configs/smg_synthetic.py --workdir=DIR

reads every file that the config names and prints a line for each site or task:
cases, shapes, spacings, orientations, labels, values. All in them that would
stop a run is listed at once, with exit code 2; what is merely odd is listed
too. DIR receives one picture for each. Fields of the config are flags as
everywhere: --config.data.folder=DATA.
"""

import importlib
import pathlib
import sys

from ml_collections import config_dict

from common import app


def main(config: config_dict.ConfigDict, workdir: pathlib.Path) -> int:
  """Prints the table; 2 if a run would be refused, else 0.

  Raises:
    InputError: the config names neither sites nor tasks, or a picture cannot
      be written.
  """
  from common import errors, inspection

  packages = {'sites': 'smg', 'tasks': 'samcl'}
  found = [name for name in packages if name in config]
  if not found:
    raise errors.InputError(
      f'--config: found neither of the fields {", ".join(packages)}'
    )
  module = importlib.import_module(f'{packages[found[0]]}.inspection')
  stations = module.inspect(config)
  print('\n'.join(inspection.table(stations)))
  for station in stations:
    for line in station.odd:
      print(f'odd: {station.name}: {line}')
    if station.draw is not None:
      station.draw(workdir / f'{station.name}.png')
  problems = [
    f'{station.name}: {line}'
    for station in stations
    for line in station.problems
  ]
  for line in problems:
    print(f'error: {line}', file=sys.stderr)
  seen = sum(len(station.seen) for station in stations)
  if not problems:
    print(f'done: {seen} images, nothing stops a run; pictures: {workdir}')
  return 2 if problems else 0


def _with_config(arguments: list[str]) -> list[str]:
  """The config may be given without its flag."""
  first, *rest = arguments or ['']
  if not first or first.startswith('-'):
    return arguments
  return [f'--config={first}', *rest]


if __name__ == '__main__':
  sys.argv = [sys.argv[0], *_with_config(sys.argv[1:])]
  app.run(main)
