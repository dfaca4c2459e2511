"""The smallest sweep: two methods and seeds on both problems, minutes.

python -m common.sweep --config=configs/sweep_tiny.py --workdir=runs/tiny_sweep
"""

from ml_collections import config_dict

from configs import _sweep


def get_config() -> config_dict.ConfigDict:
  """A group for each problem."""
  config = _sweep.create_sweep()
  config.groups.segmentation = {
    'problem': 'smg',
    'base': 'configs/smg_tiny.py',
    'methods': ('smg', 'er'),
    'seeds': (0, 1),
  }
  config.groups.registration = {
    'problem': 'samcl',
    'base': 'configs/samcl_tiny.py',
    'methods': ('samcl', 'er'),
    'seeds': (0, 1),
  }
  return config
