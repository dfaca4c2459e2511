"""Sections of a config that one method alone reads.

They are no part of what a run of another method is.
"""

# Section -> method.
OWNERS = {
  'ewc': 'ewc',
  'si': 'si',
  'lwf': 'lwf',
  'gpm': 'gpm',
  'der': 'der',
  'diffusion': 'smg',
}


def owner(field: str) -> str | None:
  """The one method that reads a field like 'ewc.weight', None for others."""
  return OWNERS.get(field.partition('.')[0])


def is_read(field: str, method: str) -> bool:
  """Whether a run of a method may depend on a field."""
  return owner(field) in (None, method)
