"""How a prediction of the network deforms, and where images can be compared.

Section 2 of Wang et al., arXiv 2406.17575.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from common import spatial

Batch = Mapping[str, jax.Array]

OUTPUTS = ('velocity', 'displacement')


class Deformation(NamedTuple):
  """Fields (b, *s, d) in voxels; the mask is (b, *s) bool without gradient.

  `half` pulls the moving image and `half_inverse` the fixed image to where
  they are compared; `displacement` pulls the moving image to the fixed one.
  One-sided deformations have `half = displacement`, `half_inverse = 0`.
  """

  half: jax.Array
  half_inverse: jax.Array
  displacement: jax.Array
  mask: jax.Array


@dataclasses.dataclass(frozen=True)
class Transform:
  """From a prediction (b, *s, d), in voxels, to displacements and their mask.

  Attributes:
    output: 'velocity' integrates the prediction, 'displacement' takes it as
      the (one-sided) displacement itself.
    symmetric: images meet half way, `half = exp(v)`, `half_inverse = exp(-v)`,
      `displacement = half o half`; else `displacement = exp(v)`.
    num_squarings: of the exponential.

  Raises:
    ValueError: for another `output`.
  """

  output: str = 'velocity'
  symmetric: bool = True
  num_squarings: int = 7

  def __post_init__(self) -> None:
    if self.output not in OUTPUTS:
      raise ValueError(f'output is {self.output!r}, allowed: {OUTPUTS}')

  @property
  def one_sided(self) -> bool:
    """Whether only the moving image is warped."""
    return self.output == 'displacement' or not self.symmetric

  def deform(self, prediction: jax.Array, batch: Batch) -> Deformation:
    """The batch has `fixed_mask` and `moving_mask`, (b, *s)."""
    if self.one_sided:
      field = self._integrate(prediction)
      mask = _moved(batch['moving_mask'], field) & (batch['fixed_mask'] > 0)
      return Deformation(field, jnp.zeros_like(field), field, mask)
    both = self._integrate(jnp.concatenate([prediction, -prediction]))
    half, half_inverse = jnp.split(both, 2)
    mask = _moved(batch['moving_mask'], half)
    mask = mask & _moved(batch['fixed_mask'], half_inverse)
    return Deformation(half, half_inverse, spatial.compose(half, half), mask)

  def inverse(
    self, prediction: jax.Array, deformation: Deformation
  ) -> jax.Array:
    """What pulls the fixed image to the moving one, (b, *s, d), voxels.

    Exact up to interpolation where velocities are integrated; of a predicted
    displacement it is the first guess, its negative.
    """
    if self.one_sided:
      return self._integrate(-prediction)
    half = deformation.half_inverse
    return spatial.compose(half, half)

  def _integrate(self, prediction: jax.Array) -> jax.Array:
    if self.output == 'displacement':
      return prediction
    return spatial.exponentiate(prediction, self.num_squarings)


# As in the paper.
SYMMETRIC = Transform()


def split(model: Mapping[str, Any]) -> tuple[Transform, dict[str, Any]]:
  """The transform of `config.model`, and the fields that the network has.

  Raises:
    ValueError: as `Transform`.
  """
  rest = dict(model)
  names = [field.name for field in dataclasses.fields(Transform)]
  return Transform(**{name: rest.pop(name) for name in names}), rest


def _moved(mask: jax.Array, displacement: jax.Array) -> jax.Array:
  displacement = jax.lax.stop_gradient(displacement)
  moved = spatial.warp(mask[..., None], displacement, order=0)[..., 0]
  return (moved > 0) & spatial.inside(displacement)
