"""Real sites and tasks: six methods on each, three seeds.

    python -m common.sweep --config=configs/sweep_realdata.py --workdir=DIR \\
      --config.groups.hippocampus.flags=data.folder=HIPPOCAMPUS \\
      --config.groups.retina.flags=data.folder=RETINA \\
      --config.groups.registration.flags=data.folder=REGISTRATION \\
      --config.groups.registration_longer.flags=data.folder=REGISTRATION
    python -m common.report DIR --out=DIR/report

The heads of the base configs say what the folders hold.
"""

from ml_collections import config_dict

from configs import _sweep

_METHODS = ('smg', 'smg_er', 'er', 'joint', 'independent', 'sequential')


def get_config() -> config_dict.ConfigDict:
  """A group for each base config."""
  config = _sweep.create_sweep()
  groups, seeds = config.groups, range(3)
  orders = (('washu', 'vanderbilt'), ('vanderbilt', 'washu'))
  group = _sweep.make_group('smg', 'configs/smg_hippocampus.py', orders)
  groups.hippocampus = group(_METHODS, seeds=seeds, orders=orders)

  group = _sweep.make_group('smg', 'configs/smg_retina.py', ((),))
  groups.retina = group(
    _METHODS,
    seeds=seeds,
    variants=(
      "stream=('hrf','chase') unseen=('lesav',)",
      "stream=('chase','lesav') unseen=('hrf',)",
      "stream=('lesav','hrf') unseen=('chase',)",
    ),
  )

  group = _sweep.make_group('samcl', 'configs/samcl_realdata.py', ((),))
  groups.registration = group(
    ('samcl', 'mer', 'er', 'joint', 'independent', 'sequential'), seeds=seeds
  )
  # As many updates as samcl and mer make.
  groups.registration_longer = group(
    ('er', 'joint'), seeds=seeds, variants=('train.num_steps=(800,400,400)',)
  )
  return config
