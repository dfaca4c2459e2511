"""SMG-Learning on the embedded stream of six synthetic prostate MR sites.

The main job: four sites learnt one after the other with no image of a past one
kept, and two that are only scored. Volumes are written as NIfTI on first use
and read back like any other data.

    python -m smg.train --config=configs/smg_synthetic.py --workdir=DIR
"""

from ml_collections import config_dict

from configs import _rules


def get_config() -> config_dict.ConfigDict:
  """The config; every field can be overridden with --config.<field>=..."""
  config = config_dict.ConfigDict()
  config.method = 'smg'
  config.seed = 0
  config.stream = ('site_a', 'site_b', 'site_c', 'site_d')
  config.unseen = ('site_e', 'site_f')
  config.scores = ('dice', 'assd', 'hd95')

  config.data = config_dict.ConfigDict()
  config.data.synthetic = True
  config.data.folder = 'runs/data/smg_synthetic'
  config.data.shape = (48, 48)
  config.data.classes = (1, 2)
  config.data.num_slices = 6
  config.data.num_train = 16
  config.data.num_test = 8
  config.data.seed = 0

  config.sites = config_dict.ConfigDict(
    {
      name: {'format': 'nifti', 'spacing': (2.0, 2.0)}
      for name in (*config.stream, *config.unseen)
    }
  )

  config.model = config_dict.ConfigDict()
  config.model.num_levels = 3
  config.model.num_channels = 16

  config.loss = config_dict.ConfigDict()
  config.loss.dice_weight = 1.0
  config.loss.cross_entropy_weight = 1.0

  _rules.add_rules(config)
  config.optim.lr = 2e-3
  config.alignment.fixed_length = True
  config.alignment.alpha = 0.1
  config.alignment.orientational_weight = 0.75
  config.alignment.arbitrary_weight = 0.25
  config.memory.capacity = 96
  config.memory.num_kept = 72

  config.appearance = config_dict.ConfigDict()
  config.appearance.contrast = 0.5
  config.appearance.invert = 0.1
  config.appearance.bias = 0.2
  config.appearance.noise = 0.04
  config.appearance.blur = 1.0
  config.appearance.mix = 0.25

  config.diffusion = config_dict.ConfigDict()
  config.diffusion.num_steps = (1400, 400)
  config.diffusion.batch_size = 8
  config.diffusion.lr = 3e-3
  config.diffusion.ema_decay = 0.99
  config.diffusion.prediction = 'v'
  config.diffusion.drop_prompt = 0.1
  config.diffusion.trunk = 'distill'
  config.diffusion.distill_weight = 1.0
  config.diffusion.labels = 'joint'
  config.diffusion.sample_steps = 50
  config.diffusion.guidance = 1.0
  config.diffusion.chunk = 45
  config.diffusion.oversample = 1.25
  config.diffusion.agreement = 0.5
  config.diffusion.area_margin = 0.2
  config.diffusion.network = config_dict.ConfigDict()
  config.diffusion.network.num_channels = 32
  config.diffusion.network.num_levels = 3
  config.diffusion.network.num_blocks = 1
  config.diffusion.network.patch = 2
  config.diffusion.network.num_tokens = 4
  config.diffusion.network.token_dim = 64
  config.diffusion.network.num_heads = 4
  config.diffusion.network.adapter_rank = 4

  config.train = config_dict.ConfigDict()
  config.train.batch_size = 8
  config.train.accumulate = False
  config.train.num_steps = (600, 200)
  config.train.log_every = 20
  config.train.checkpoint_every = 200
  return config
