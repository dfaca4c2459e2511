"""Hippocampus in T1-weighted MR of two sites, whole volumes.

    python -m smg.train --config=configs/smg_hippocampus_3d.py \\
      --config.data.folder=DIR --workdir=runs/hippocampus_3d

DIR is that of `smg_hippocampus.py`. Both networks are three-dimensional because
`config.data.shape` has three numbers; nothing else says so.
"""

from ml_collections import config_dict

from configs import smg_hippocampus


def get_config() -> config_dict.ConfigDict:
  """Voxels of 1 mm; an hour on two CPU cores, minutes on a GPU."""
  config = smg_hippocampus.get_config()
  config.data.shape = (48, 64, 48)
  for site in config.sites.values():
    site.spacing = (1.0, 1.0, 1.0)
    with site.unlocked():
      del site.slice_axis, site.train_slices
  config.train.batch_size = 2
  config.diffusion.batch_size = 2
  config.diffusion.chunk = 5
  config.memory.capacity = 16
  config.memory.num_kept = 16
  config.diffusion.num_kept = 16
  return config
