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
  'samcl',
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


def get_config() -> config_dict.ConfigDict:
  """The comparison, and what each part of it is due to."""
  config = _sweep.create_sweep()
  groups, values = config.groups, _sweep.values
  group = _sweep.make_group('samcl', 'configs/samcl_small.py', _ORDERS)
  groups.main = group(_COMPARED, seeds=range(5), orders=_ORDERS)
  # As SAMCL's authors run it: one step on the batch; sample by sample it is
  # samcl with rho 0.
  groups.mer = group(
    ('mer',), seeds=range(5), orders=_ORDERS, flags='reptile.per_sample=False'
  )
  groups.beside = group(_BESIDE)
  groups.capacity = group(
    ('samcl', 'er'), variants=values('memory.capacity', 5, 20, 50)
  )
  groups.sharpness = group(
    ('samcl',), variants=('sam.rho=0.0', 'sam.adaptive=False')
  )
  groups.reptile = group(('samcl',), variants=values('reptile.beta', 0.25, 1.0))
  groups.alpha = group(
    ('smg_er',), variants=values('alignment.alpha', 0.0, 0.01, 0.1)
  )
  return config
