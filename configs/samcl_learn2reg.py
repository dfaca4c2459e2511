"""The stream of the SAMCL paper: OASIS, AbdomenCTCT, NLST, AbdomenMRCT.

    python -m samcl.train --config=configs/samcl_learn2reg.py \\
      --config.data.folder=DIR --workdir=runs/learn2reg

DIR holds the four data sets, each in the layout of the challenge or as the
authors sort it (train/ and valid/ with images/, labels/, masks/, keypoints/).
Table 1 of arXiv 2406.17575, at the end of the stream: Dice .697, Dice .352,
TRE 3.855 mm, Dice .563; BWT -.037, -.039, +.306 mm. Not rerun by us: the data
are not ours to pass on, and 40 000 steps of this size want a GPU.
"""

from ml_collections import config_dict

from configs import samcl_synthetic

STREAM = ('OASIS', 'AbdomenCTCT', 'NLST', 'AbdomenMRCT')


def get_config() -> config_dict.ConfigDict:
  """Sizes and strengths of the paper and the released code."""
  config = samcl_synthetic.get_config()
  config.stream = STREAM
  config.scores = ('dice', 'tre', 'assd', 'folding_fraction', 'sd_log_jacobian')
  config.data.synthetic = False
  config.data.folder = ''
  config.data.shape = (112, 96, 112)
  config.tasks = config_dict.ConfigDict(
    {name: {'format': 'learn2reg', 'dataset': name} for name in STREAM}
  )
  config.model.num_levels = 4
  config.model.num_channels = 16
  config.model.weights = 'torch'
  config.model.num_squarings = 7
  config.loss.ncc_window = 3
  config.loss.dice_weight = 1.0
  config.optim.lr = 1e-4
  config.optim.schedule = 'constant'
  config.optim.weight_decay = 1e-5
  config.reptile.beta = 0.25
  config.memory.capacity = 200
  config.memory.batch_size = 0
  config.memory.num_draws = 1
  config.train.batch_size = 4
  config.train.accumulate = False
  config.train.num_steps = (10_000,)
  config.train.log_every = 50
  config.train.checkpoint_every = 500
  return config
