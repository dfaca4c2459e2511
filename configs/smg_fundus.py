"""SMG-Learning on optic disc and cup in fundus photographs of four sites.

    python -m smg.train --config=configs/smg_fundus.py \\
      --config.data.folder=DIR --workdir=runs/fundus

DIR holds Domain1 to Domain4 (Drishti-GS, RIM-ONE-r3, two parts of REFUGE), as
collected by Wang et al. (DoFE, IEEE TMI 2020), each with the region around the
disc in images/*.png (RGB) and, under the same names, labels/*.png (grey: cup
0, disc 128, everything else 255). Class 1 is the rim, class 2 the cup. Not
rerun by us: the data are not ours to pass on, and this size wants a GPU.
"""

from ml_collections import config_dict

from configs import smg_prostate


def get_config() -> config_dict.ConfigDict:
  """Three domains in turn, the fourth only scored; sizes of the prostate."""
  config = smg_prostate.get_config()
  config.stream = ('Domain1', 'Domain2', 'Domain3')
  config.unseen = ('Domain4',)
  config.data.classes = (1, 2)
  config.sites = config_dict.ConfigDict(
    {
      name: {
        'format': 'png',
        'channels': 3,
        'label_values': ((255, 0), (128, 1), (0, 2)),
      }
      for name in (*config.stream, *config.unseen)
    }
  )
  config.memory.capacity = 300
  config.memory.num_kept = 120
  config.diffusion.num_kept = 120
  return config
