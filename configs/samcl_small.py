"""The embedded registration tasks with few voxels, one of them never learnt.

24^3 voxels; brain MR, lung CT and abdomen MR-CT are learnt, abdomen CT is only
scored, so that generalisation to a new task has a number too. Batches of two,
as in the default file of SAMCL's authors, and a memory of ten pairs where the
tasks have 72: one that held them all would make every method train jointly.

    python -m common.sweep --config=configs/sweep_samcl.py --workdir=DIR
"""

from ml_collections import config_dict

from configs import samcl_synthetic


def get_config() -> config_dict.ConfigDict:
  """The synthetic config with fewer voxels and a task held back."""
  config = samcl_synthetic.get_config()
  config.stream = ('brain_mr', 'lung_ct', 'abdomen_mr_ct')
  config.unseen = ('abdomen_ct',)
  config.scores = ('dice', 'tre', 'folding_fraction')
  config.data.folder = 'runs/data/samcl_small'
  config.data.shape = (24, 24, 24)
  # Of six cases no paired test can tell fourteen methods apart: 14 * 2 / 2^6.
  config.data.num_test = 12
  config.memory.capacity = 10
  # As many of two past tasks as the memory holds.
  config.memory.num_kept = 5
  config.memory.batch_size = 2
  config.memory.num_draws = 1
  config.train.batch_size = 2
  config.train.num_steps = (80,)
  return config
