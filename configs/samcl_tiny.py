"""The smallest run of everything: 16^3 phantoms, a minute on two CPU cores.

python -m samcl.train --config=configs/samcl_tiny.py --workdir=runs/tiny
"""

from ml_collections import config_dict

from configs import samcl_synthetic


def get_config() -> config_dict.ConfigDict:
  """The synthetic config with small numbers."""
  config = samcl_synthetic.get_config()
  config.data.folder = 'runs/data/samcl_tiny'
  config.data.shape = (16, 16, 16)
  config.data.num_train = 4
  config.data.num_test = 2
  config.model.num_channels = 4
  config.memory.capacity = 4
  config.memory.batch_size = 0
  config.memory.num_draws = 1
  config.train.batch_size = 2
  config.train.num_steps = (4,)
  config.train.log_every = 2
  config.train.checkpoint_every = 2
  return config
