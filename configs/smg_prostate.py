"""SMG-Learning on prostate MRI of six centres.

    python -m smg.train --config=configs/smg_prostate.py \\
      --config.data.folder=DIR --workdir=runs/prostate

DIR holds RUNMC, BMC, I2CVB, UCL, BIDMC and HK, each with CaseNN.nii.gz and
CaseNN_segmentation.nii.gz, as collected by Liu et al. (IEEE TMI 2020) from
public challenges. Both zones that some centres label are merged. Published at
256 x 256 (arXiv 2605.06160; Dice at the end, relative backward transfer):
sequential .676, -.237; replay of real cases .750, -.100; joint .830. Not rerun
by us: the data are not ours to pass on, and this size wants a GPU. To hold a
centre out: --config.stream="('RUNMC',…)" --config.unseen="('HK',)".
"""

from ml_collections import config_dict

from configs import smg_synthetic

CENTRES = ('RUNMC', 'BMC', 'I2CVB', 'UCL', 'BIDMC', 'HK')


def get_config() -> config_dict.ConfigDict:
  """Slices of the whole field of view."""
  config = smg_synthetic.get_config()
  config.stream, config.unseen = CENTRES, ()
  config.data.synthetic = False
  config.data.folder = ''
  config.data.shape = (256, 256)
  config.data.classes = (1,)
  config.sites = config_dict.ConfigDict({name: _centre() for name in CENTRES})
  config.model.num_levels = 5
  config.diffusion.num_steps = (40_000, 20_000)
  config.diffusion.sample_steps = 50
  config.diffusion.eta = 0.0
  config.diffusion.batch_size = 16
  config.diffusion.ema_decay = 0.999
  config.diffusion.network.num_channels = 64
  config.diffusion.network.num_levels = 5
  config.diffusion.network.num_blocks = 2
  config.memory.capacity = 480
  config.memory.num_kept = 120
  config.diffusion.num_kept = 120
  config.train.num_steps = (4_000,)
  config.train.log_every = 50
  config.train.checkpoint_every = 500
  return config


def _centre() -> config_dict.ConfigDict:
  return config_dict.ConfigDict(
    {
      'format': 'nifti',
      'images': '.',
      'labels': '.',
      'label_suffix': '_segmentation',
      'label_values': ((1, 1), (2, 1)),
      'train_slices': 'labelled',
    }
  )
