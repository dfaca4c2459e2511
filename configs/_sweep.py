"""What all sweeps have in common."""

from collections.abc import Callable

from ml_collections import config_dict


def create_sweep() -> config_dict.ConfigDict:
  """A sweep without runs, on this machine.

  launcher: 'local' runs `jobs` processes side by side; 'ray' gives each run
  `num_cpus` and `num_gpus` of a cluster; 'none' only writes the list.
  """
  config = config_dict.ConfigDict()
  config.launcher = 'local'
  config.jobs = 2
  config.num_cpus = 2.0
  config.num_gpus = 0.0
  config.groups = config_dict.ConfigDict()
  return config


def make_group(problem: str, base: str, orders: tuple) -> Callable[..., dict]:
  """(methods, ...) -> a group of runs; few of them unless more is asked for."""

  def group(
    methods: tuple,
    *,
    orders: tuple = orders[:1],
    seeds: range = range(2),
    variants: tuple = ('',),
    flags: str = '',
  ) -> dict:
    return {
      'problem': problem,
      'base': base,
      'methods': tuple(methods),
      'seeds': tuple(seeds),
      'orders': tuple(orders),
      'variants': tuple(variants),
      'flags': flags,
    }

  return group


def values(field: str, *found: float | str) -> tuple[str, ...]:
  """A variant for each value of a field."""
  return tuple(f'{field}={value}' for value in found)
