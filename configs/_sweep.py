"""What all sweeps have in common."""

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
