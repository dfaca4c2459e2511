"""Parameters in the layout of the authors' implementation, and back.

A layout lists `[name, shape, offset]` of each parameter within one flat vector.
Convolution kernels are `[out, in, k, k, k]` there, transposed ones
`[in, out, k, k, k]`; here both are `(k, k, k, in, out)`. Weights trained with
the released PyTorch code are loaded through this module.
"""

from collections.abc import Sequence
from typing import Any

from flax import traverse_util
import numpy as np

Params = Any
Layout = Sequence[tuple[str, Sequence[int], int]]

_LARGE = {
  'activation': ('act', 'slope'),
  'conv_regular': ('regular', ''),
  'conv_one': ('one', ''),
  'conv_large': ('large', ''),
}


def from_flat(vector: np.ndarray, layout: Layout) -> Params:
  """Parameters of `LKUNet` from a flat vector (num_params,), same dtype.

  Raises:
    ValueError: a name of the layout is not one of the network's.
  """
  flat = {}
  for name, shape, offset in layout:
    values = vector[offset : offset + int(np.prod(shape))].reshape(shape)
    flat[_path(name)] = np.transpose(values, _to_ours(name, len(shape)))
  return traverse_util.unflatten_dict(flat)


def to_flat(params: Params, layout: Layout) -> np.ndarray:
  """The flat vector of `params`; the inverse of `from_flat`."""
  flat = traverse_util.flatten_dict(params)
  parts = []
  for name, shape, _ in layout:
    values = np.asarray(flat[_path(name)])
    inverse = np.argsort(_to_ours(name, len(shape)))
    parts.append(np.transpose(values, inverse).ravel())
  return np.concatenate(parts)


def _to_ours(name: str, rank: int) -> tuple[int, ...]:
  if rank == 1:
    return (0,)
  return (2, 3, 4, 0, 1) if 'deconv' in name else (2, 3, 4, 1, 0)


def _path(name: str) -> tuple[str, ...]:
  """'encoder.init_conv.2.bias' -> ('stem_1', 'bias')."""
  part, block, *rest = name.split('.')
  kind = {'weight': 'kernel', 'bias': 'bias'}[rest[-1]]
  match part, block:
    case 'encoder', 'init_conv':
      return _conv_or_slope(f'stem_{int(rest[0]) // 2}', int(rest[0]), kind)
    case 'encoder', 'conv_blks':
      return _conv_or_slope(f'down_{rest[0]}', int(rest[1]), kind)
    case 'encoder', 'LKconv_blks':
      module, leaf = _LARGE[rest[1]]
      path = (module, leaf) if leaf else (f'{module}_{kind}',)
      return (f'large_kernel_{rest[0]}', *path)
    case 'decoder', 'conv_blks':
      layer = int(rest[1])
      return _conv_or_slope(f'merge_{rest[0]}_{layer // 2}', layer, kind)
    case 'decoder', 'deconv_blks':
      if rest[1] == '1':
        return (f'up_{rest[0]}_act', 'slope')
      return (f'up_{rest[0]}_{kind}',)
    case 'decoder', 'out_conv':
      return (f'flow_{kind}',)
  raise ValueError(f'layout: found {name!r}, which LKUNet does not have')


def _conv_or_slope(module: str, layer: int, kind: str) -> tuple[str, str]:
  """Even layers are convolutions, odd ones their activation."""
  return (f'{module}_act', 'slope') if layer % 2 else (module, kind)
