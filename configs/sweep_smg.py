"""Every method on the embedded sites: five seeds, three orders, ablations.

python -m common.sweep --config=configs/sweep_smg.py --workdir=DIR
python -m common.report DIR --out=DIR/report
"""

from ml_collections import config_dict

from configs import _sweep

_ORDERS = (
  ('site_a', 'site_b', 'site_c', 'site_d'),
  ('site_c', 'site_a', 'site_d', 'site_b'),
  ('site_d', 'site_c', 'site_b', 'site_a'),
)
# At which of two rates a method ends better, 8e-3 or 2e-3, on the first seed
# and order.
_FAST = ('smg', 'smg_er', 'joint', 'er', 'mer', 'ewc', 'si', 'gpm', 'der')
_SLOW = (
  'samcl',
  'agem',
  'lwf',
  'smg_none',
  'sequential',
  'sam',
)
_SLOWLY = 'optim.lr=2e-3'


def get_config() -> config_dict.ConfigDict:
  """The comparison, and what each part of it is due to."""
  config = _sweep.create_sweep()
  groups, values = config.groups, _sweep.values
  group = _sweep.make_group('smg', 'configs/smg_small.py', _ORDERS)
  groups.fast = group(_FAST, seeds=range(5), orders=_ORDERS)
  groups.slow = group(_SLOW, seeds=range(5), orders=_ORDERS, flags=_SLOWLY)
  # A network that learns its site alone starts from nothing at every stage.
  groups.independent = group(
    ('independent',),
    seeds=range(5),
    orders=_ORDERS,
    flags='train.num_steps=(500,)',
  )
  # What a simulated appearance does without any alignment.
  groups.shift = group(
    ('joint', 'er'),
    seeds=range(5),
    orders=_ORDERS,
    variants=('train.shift_share=0.5',),
  )
  groups.alpha = group(
    ('smg_er',), variants=values('alignment.alpha', 0.0, 0.05, 0.2, 0.5)
  )
  groups.order = group(
    ('smg_er',),
    variants=values('alignment.arbitrary_order', 'forward', 'symmetric'),
  )
  groups.parts = group(
    ('smg_er',),
    variants=(
      'alignment.orientational_weight=1.0 alignment.arbitrary_weight=0.0',
      'alignment.orientational_weight=0.0 alignment.arbitrary_weight=1.0',
      'alignment.orientational_weight=0.0 alignment.arbitrary_weight=0.0',
    ),
  )
  groups.generated = group(
    ('smg',), variants=values('diffusion.num_kept', 5, 10, 20)
  )
  groups.kept = group(
    ('smg_er',), variants=values('memory.num_kept', 5, 10, 48)
  )
  capacities = values('memory.capacity', 15, 30, 60)
  groups.capacity = group(('er',), variants=capacities)
  groups.samcl = group(
    ('samcl',),
    variants=(*capacities, *_sweep.SAMCL_PARTS),
    flags=_SLOWLY,
  )
  return config
