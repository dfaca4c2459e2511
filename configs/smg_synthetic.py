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

  config.data = _data()
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
  config.ewc.weight = 1e5
  config.si.weight = 10.0
  config.der.alpha = 0.1
  config.der.beta = 1.0
  config.memory.capacity = 96
  config.memory.num_kept = 72

  config.appearance = config_dict.ConfigDict(
    {
      'contrast': 0.5,
      'invert': 0.1,
      'bias': 0.2,
      'noise': 0.04,
      'blur': 1.0,
      'mix': 0.25,
    }
  )
  config.diffusion = _diffusion()

  config.train = config_dict.ConfigDict()
  config.train.batch_size = 8
  config.train.accumulate = False
  config.train.num_steps = (600, 200)
  config.train.shift_share = 0.0
  config.train.log_every = 20
  config.train.checkpoint_every = 200
  return config


def _data() -> config_dict.ConfigDict:
  """Which volumes are written, and the grid that they are read on."""
  data = config_dict.ConfigDict()
  data.synthetic = True
  data.folder = 'runs/data/smg_synthetic'
  data.shape = (48, 48)
  data.classes = (1, 2)
  data.num_slices = 6
  data.num_train = 16
  data.num_test = 8
  data.seed = 0
  return data


def _diffusion() -> config_dict.ConfigDict:
  """The generator: training, samples and their gate, network."""
  diffusion = config_dict.ConfigDict()
  diffusion.num_steps = (1000, 250)
  diffusion.num_kept = 72
  diffusion.batch_size = 8
  diffusion.lr = 3e-3
  diffusion.ema_decay = 0.99
  diffusion.prediction = 'v'
  diffusion.drop_prompt = 0.1
  diffusion.trunk = 'distill'
  diffusion.distill_weight = 1.0
  # Labels that are generated beside the image ('joint') are rougher than those
  # that the segmenter gives before it goes on.
  diffusion.labels = 'pseudo'
  # Ancestral sampling, whose images are less grainy than DDIM's; in 16 steps it
  # draws slices that are too much alike.
  diffusion.sample_steps = 64
  diffusion.eta = 1.0
  diffusion.guidance = 1.0
  diffusion.chunk = 45
  diffusion.oversample = 1.25
  diffusion.agreement = 0.5
  diffusion.area_margin = 0.2
  diffusion.network = config_dict.ConfigDict()
  diffusion.network.num_channels = 32
  diffusion.network.num_levels = 3
  diffusion.network.num_blocks = 1
  diffusion.network.patch = 2
  diffusion.network.num_tokens = 4
  diffusion.network.token_dim = 64
  diffusion.network.num_heads = 4
  diffusion.network.adapter_rank = 4
  return diffusion
