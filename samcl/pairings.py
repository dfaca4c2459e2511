"""Which images of a folder are registered to which."""

from collections.abc import Iterable
import random

from common import errors
from samcl import cases, specs

Pairs = tuple[cases.Pair, ...]

_SEED = 42  # of the pairs that are drawn, as in the authors' code


def _is_cross(fixed: str, moving: str) -> bool:
  return fixed.endswith('_0000') and moving.endswith('_0001')


def _is_subject(fixed: str, moving: str) -> bool:
  same = fixed.rsplit('_', 1)[0] == moving.rsplit('_', 1)[0]
  return same and _is_cross(fixed, moving)


_RULES = {
  'all': lambda fixed, moving: True,
  'ordered': lambda fixed, moving: fixed != moving,
  'subject': _is_subject,
  'cross': _is_cross,
}


def pair(
  spec: specs.Spec, pairing: str | None, images: Iterable[cases.Case]
) -> Pairs:
  """The pairs of these images, the moving image changing fastest.

  Args:
    spec: of the task, for messages.
    pairing: 'all' ordered pairs with an image and itself, 'ordered' pairs of
      different images, 'subject' NAME_0000 with NAME_0001, 'cross' every 0000
      with every 0001.
    images: in the order of the pairs.

  Raises:
    InputError: no such pairing, or 'listed', which needs a list.
  """
  if pairing not in _RULES:
    raise errors.InputError(
      f'tasks ({spec.name}): pairing: found {pairing!r} for {spec.root},'
      f' allowed {tuple(_RULES)}'
    )
  images = tuple(images)
  return tuple(
    cases.Pair(fixed, moving)
    for fixed in images
    for moving in images
    if _RULES[pairing](fixed.name, moving.name)
  )


def cap(pairs: Pairs, maximum: int | None) -> Pairs:
  """At most `maximum` pairs, drawn without replacement, always the same."""
  if maximum is None or len(pairs) <= maximum:
    return pairs
  return tuple(random.Random(_SEED).sample(pairs, maximum))


def images_of(pairs: Iterable[cases.Pair]) -> dict[cases.Case, None]:
  """Every image once, in the order in which the pairs name them."""
  return dict.fromkeys(
    case for pair in pairs for case in (pair.fixed, pair.moving)
  )
