"""Every method on the embedded sites: five seeds, three orders, ablations.

python -m common.sweep --config=configs/sweep_smg.py --workdir=DIR
python -m common.report DIR/smg_small/* --out=DIR/report
"""

from ml_collections import config_dict

from configs import _sweep

_ORDERS = (
  ('site_a', 'site_b', 'site_c', 'site_d'),
  ('site_c', 'site_a', 'site_d', 'site_b'),
  ('site_d', 'site_c', 'site_b', 'site_a'),
)
_METHODS = (
  'smg',
  'smg_er',
  'joint',
  'independent',
  'sequential',
  'er',
  'mer',
  'ewc',
  'si',
  'lwf',
  'agem',
  'gpm',
  'der',
  'sam',
  'samcl',
)


def get_config() -> config_dict.ConfigDict:
  """The comparison, and what each part of it is due to."""
  config = _sweep.create_sweep()
  groups = config.groups
  groups.main = _group(_METHODS, seeds=range(5), orders=_ORDERS)
  # What a simulated appearance does without any alignment.
  groups.shift = _group(
    ('joint', 'er'),
    seeds=range(5),
    orders=_ORDERS,
    variants=('train.shift_share=0.5',),
  )
  groups.alpha = _group(
    ('smg_er',), variants=_values('alignment.alpha', 0.0, 0.05, 0.2, 0.5)
  )
  groups.order = _group(
    ('smg_er',),
    variants=_values('alignment.arbitrary_order', 'forward', 'symmetric'),
  )
  groups.parts = _group(
    ('smg_er',),
    variants=(
      'alignment.orientational_weight=1.0 alignment.arbitrary_weight=0.0',
      'alignment.orientational_weight=0.0 alignment.arbitrary_weight=1.0',
      'alignment.orientational_weight=0.0 alignment.arbitrary_weight=0.0',
    ),
  )
  groups.kept = _group(
    ('smg', 'smg_er'), variants=_values('memory.num_kept', 5, 10, 20)
  )
  groups.capacity = _group(
    ('er', 'samcl'), variants=_values('memory.capacity', 15, 30, 60)
  )
  groups.sharpness = _group(
    ('samcl',), variants=('sam.rho=0.0', 'sam.adaptive=False')
  )
  groups.reptile = _group(
    ('samcl',), variants=_values('reptile.beta', 0.25, 1.0)
  )
  return config


def _group(methods, *, seeds=range(2), orders=_ORDERS[:1], variants=('',)):
  return {
    'problem': 'smg',
    'base': 'configs/smg_small.py',
    'methods': tuple(methods),
    'seeds': tuple(seeds),
    'orders': tuple(orders),
    'variants': tuple(variants),
  }


def _values(field: str, *values) -> tuple[str, ...]:
  return tuple(f'{field}={value}' for value in values)
