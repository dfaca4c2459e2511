"""The embedded registration tasks with few pairs, one of them never learnt.

24^3 voxels; brain MR, lung CT and abdomen MR-CT are learnt, abdomen CT is only
scored, so that generalisation to a new task has a number too. Eight pairs a
task, as many labelled ones as Learn2Reg has of abdomen MR-CT, and twice the
steps: with 24 pairs mer still gained .026 ACC from the second half.

    python -m common.sweep --config=configs/sweep_samcl.py --workdir=DIR
"""

from ml_collections import config_dict

from configs import samcl_synthetic


def get_config() -> config_dict.ConfigDict:
  """The synthetic config with fewer voxels and pairs and a task held back."""
  config = samcl_synthetic.get_config()
  config.stream = ('brain_mr', 'lung_ct', 'abdomen_mr_ct')
  config.unseen = ('abdomen_ct',)
  config.scores = ('dice', 'tre', 'folding_fraction')
  config.data.folder = 'runs/data/samcl_small'
  config.data.shape = (24, 24, 24)
  config.data.num_train = 8
  # Of six cases no paired test can tell fourteen methods apart: 14 * 2 / 2^6.
  config.data.num_test = 12
  config.train.num_steps = (80,)
  return config
