"""Every method on the embedded registration tasks: seeds, orders, ablations.

python -m common.sweep --config=configs/sweep_samcl.py --workdir=DIR
python -m common.report DIR --out=DIR/report --reference=samcl
"""

from ml_collections import config_dict

from configs import _sweep

_ORDERS = (
  ('brain_mr', 'lung_ct', 'abdomen_mr_ct'),
  ('abdomen_mr_ct', 'brain_mr', 'lung_ct'),
  ('lung_ct', 'abdomen_mr_ct', 'brain_mr'),
)
# Between these a difference is claimed; of the others two runs show the place.
_COMPARED = (
  'er',
  'sequential',
  'joint',
  'ewc',
  'si',
  'lwf',
  'gpm',
  'der',
)
_BESIDE = ('independent', 'agem', 'sam', 'smg_er')
# The steps on remembered pairs are as many as those on new ones. With one step
# on both, ACC of samcl is .009 lower, of mer .004 (seed 100, all orders).
_SINGLY = 'memory.num_draws=2 memory.batch_size=1'
# mer as SAMCL's authors run it: one step on the batch; sample by sample it is
# samcl with rho 0.
_AS_AUTHORS = f'{_SINGLY} reptile.per_sample=False'


def get_config() -> config_dict.ConfigDict:
  """The comparison, and what each part of it is due to."""
  config = _sweep.create_sweep()
  groups, values = config.groups, _sweep.values
  group = _sweep.make_group('samcl', 'configs/samcl_small.py', _ORDERS)
  compared = {'seeds': range(5), 'orders': _ORDERS}
  groups.main = group(_COMPARED, **compared)
  groups.samcl = group(('samcl',), **compared, flags=_SINGLY)
  groups.mer = group(('mer',), **compared, flags=_AS_AUTHORS)
  groups.beside = group(_BESIDE)
  sizes = values('memory.capacity', 5, 20, 50)
  groups.er_capacity = group(('er',), variants=sizes)
  groups.samcl_parts = group(
    ('samcl',),
    variants=(
      *sizes,
      *values('sam.rho', 0.0, 0.2, 0.5),
      'sam.adaptive=False',
      *values('reptile.beta', 0.25, 1.0),
    ),
    flags=_SINGLY,
  )
  # A step of samcl is four updates, of er and joint it is one.
  longer = 'train.num_steps=(320,)'
  groups.longer = group(('joint',), variants=(longer,))
  groups.longer_er = group(('er',), **compared, variants=(longer,))
  # One run of each order, enough to see a large gap.
  groups.longer_others = group(
    ('sequential', 'ewc', 'si', 'lwf', 'gpm'),
    orders=_ORDERS,
    seeds=range(1),
    variants=(longer,),
  )
  groups.longer_samcl = group(
    ('samcl',),
    **compared,
    variants=(longer, f'{longer} sam.rho=0.0'),
    flags=_SINGLY,
  )
  groups.longer_mer = group(
    ('mer',), **compared, variants=(longer,), flags=_AS_AUTHORS
  )
  groups.alpha = group(
    ('smg_er',), variants=values('alignment.alpha', 0.0, 0.01, 0.1)
  )
  return config
