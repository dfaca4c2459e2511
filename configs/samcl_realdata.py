"""Three real registration tasks in turn: brain, hippocampus and liver MR.

    python -m samcl.train --config=configs/samcl_realdata.py \\
      --config.data.folder=DIR --workdir=runs/realdata

DIR holds `brain_mr/` (between subjects, 35 labels), `hippocampus_mr/` (between
subjects, 2 labels) and `liver_mr_breathing/` (within subjects, landmarks), each
with images/, labels/ or landmarks/ and pairs.csv, and `brain_mr/` with
label_names.csv: the MICCAI 2012 multi-atlas labelling challenge (OASIS scans,
labels by Neuromorphometrics, Inc.), Task04 of the Medical Segmentation
Decathlon (Simpson et al. 2019), and liver MR of ETH Zurich (von Siebenthal et
al. 2007) with the landmarks of Vishnevskiy et al. (TMI 2017). Dice is taken on
the grid of the files; pairs of the split `val`, and one liver subject, are
never trained on. Unregistered: Dice 0.609, 0.562; landmark distance 7.96 mm for
subject23.
"""

from ml_collections import config_dict

from configs import samcl_synthetic


def get_config() -> config_dict.ConfigDict:
  """Sized for two CPU cores; larger shapes and more steps help."""
  config = samcl_synthetic.get_config()
  config.stream = ('brain_mr', 'hippocampus_mr', 'liver_mr')
  config.native = True
  config.data.synthetic = False
  config.data.folder = ''
  config.data.shape = (32, 40, 32)
  config.model.num_levels = 3
  config.loss.image_sigma = 1.0
  config.loss.dice_weight = 1.0
  config.optim.lr = 3e-3
  config.optim.clip_norm = 1.0
  config.train.num_steps = (200, 100, 100)
  config.tasks = config_dict.ConfigDict()
  config.tasks.brain_mr = config_dict.ConfigDict(
    {
      'format': 'pairs',
      'pairing': 'ordered',
      'spacing': (4.8, 4.8, 4.8),
      'mask': 'nonzero',
    }
  )
  config.tasks.hippocampus_mr = config_dict.ConfigDict(
    {
      'format': 'pairs',
      'spacing': (1.5, 1.6, 1.5),
      'mask': 'nonzero',
      'labels': (1, 2),
    }
  )
  config.tasks.liver_mr = config_dict.ConfigDict(
    {
      'format': 'pairs',
      'root': 'liver_mr_breathing',
      'spacing': (7.2, 7.2, 7.2),
      'mask': 'ones',
      'val_pattern': 'subject23*',
    }
  )
  return config
