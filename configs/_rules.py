"""What both problems' configs say about optimizer, rules and memory."""

from ml_collections import config_dict


def add_rules(config: config_dict.ConfigDict) -> None:
  """Adds optim, the strengths of all methods, and memory."""
  config.optim = config_dict.ConfigDict()
  config.optim.name = 'adam'
  config.optim.lr = 1e-3
  config.optim.schedule = 'cosine'
  config.optim.final_ratio = 0.05
  config.optim.warmup = 0
  config.optim.weight_decay = 0.0
  config.optim.clip_norm = 0.0

  config.sam = config_dict.ConfigDict({'rho': 0.05, 'adaptive': True})
  config.reptile = config_dict.ConfigDict({'beta': 0.5, 'per_sample': True})

  config.alignment = config_dict.ConfigDict()
  config.alignment.estimator = 'first_order'
  config.alignment.alpha = 0.1
  config.alignment.fixed_length = False
  config.alignment.normalize = False
  config.alignment.orientational_weight = 0.5
  config.alignment.arbitrary_weight = 0.5
  config.alignment.arbitrary_order = 'random'
  config.alignment.pseudo_domains = 'both'

  config.consolidation = config_dict.ConfigDict({'num_cases': 16})
  config.ewc = config_dict.ConfigDict({'weight': 1.0, 'gamma': 1.0})
  config.si = config_dict.ConfigDict({'weight': 1.0, 'damping': 1e-3})
  config.lwf = config_dict.ConfigDict({'weight': 1.0})
  config.gpm = config_dict.ConfigDict({'threshold': 0.975, 'growth': 0.005})
  config.der = config_dict.ConfigDict({'alpha': 0.5, 'beta': 0.5})

  config.memory = config_dict.ConfigDict()
  config.memory.capacity = 64
  config.memory.batch_size = 0
  config.memory.num_draws = 1
  config.memory.num_kept = 8
