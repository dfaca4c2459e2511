"""Retina vessels in colour photographs of three cameras, one of them unseen.

    python -m smg.train --config=configs/smg_retina.py \\
      --config.data.folder=DIR --workdir=runs/retina

DIR holds `hrf/`, `chase/` and `lesav/`, each with images/*.png (RGB),
labels/*.png (255 is vessel) and fov/*.png (255 is inside the field of view;
scores are taken there, on the network grid): the High-Resolution Fundus
database (Budai et al. 2013), CHASE_DB1 (Fraz et al. 2012) and LES-AV (Orlando
et al., MICCAI 2018), each cropped to its field of view and 512 x 512. Both eyes
of a child of `chase` stay on one side of the split. Another site unseen:
--config.stream="('chase','lesav')" --config.unseen="('hrf',)".
"""

from ml_collections import config_dict

from configs import smg_synthetic


def get_config() -> config_dict.ConfigDict:
  """Resized to 128 x 128, for two CPU cores."""
  config = smg_synthetic.get_config()
  config.stream, config.unseen = ('hrf', 'chase'), ('lesav',)
  config.scores = ('dice',)
  config.data.synthetic = False
  config.data.folder = ''
  config.data.shape = (128, 128)
  config.data.classes = (1,)
  site = {
    'format': 'png',
    'channels': 3,
    'masks': 'fov',
    'label_values': ((255, 1),),
    'test_fraction': 0.34,
  }
  config.sites = config_dict.ConfigDict(
    {
      'hrf': site,
      'chase': site | {'group_pattern': r'Image_(\d+)'},
      'lesav': site,
    }
  )
  config.optim.lr, config.optim.warmup = 8e-3, 60
  # So short, on so few images, the generator draws a retina and no vessel: what
  # the replay keeps of one is what the segmenter says is there.
  config.diffusion.num_steps = (400, 200)
  config.diffusion.sample_steps = 50
  config.diffusion.eta = 0.0
  config.diffusion.chunk = 20
  config.diffusion.network.patch = 4
  config.memory.capacity = 16
  config.memory.num_kept = 32
  config.diffusion.num_kept = 32
  config.train.batch_size = 4
  config.train.num_steps = (200, 150)
  return config
