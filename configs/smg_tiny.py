"""The smallest run of everything: 16 x 16 phantoms, a minute on two CPU cores.

python -m smg.train --config=configs/smg_tiny.py --workdir=runs/smg_tiny
"""

from ml_collections import config_dict

from configs import smg_synthetic


def get_config() -> config_dict.ConfigDict:
  """The synthetic config with small numbers."""
  config = smg_synthetic.get_config()
  config.stream = ('site_a', 'site_b')
  config.unseen = ('site_e',)
  config.data.folder = 'runs/data/smg_tiny'
  config.data.shape = (16, 16)
  config.data.num_slices = 2
  config.data.num_train = 4
  config.data.num_test = 2
  for site in config.sites.values():
    site.spacing = (6.0, 6.0)
  config.model.num_levels = 2
  config.model.num_channels = 4
  config.diffusion.num_steps = (6,)
  config.diffusion.batch_size = 4
  config.diffusion.sample_steps = 4
  config.diffusion.network.num_channels = 8
  config.diffusion.network.num_levels = 2
  config.diffusion.network.token_dim = 8
  config.diffusion.network.num_heads = 2
  config.memory.capacity = 8
  config.memory.num_kept = 4
  config.diffusion.num_kept = 4
  config.train.batch_size = 4
  config.train.num_steps = (6,)
  config.train.log_every = 2
  config.train.checkpoint_every = 4
  return config
