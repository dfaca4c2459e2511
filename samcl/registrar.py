"""A trained network that registers any two volumes, compiled once.

    registrar = Registrar.load(pathlib.Path('runs/demo'))
    found = registrar.register(scans.load(fixed), scans.load(moving))
    warped = found.displacement.warp(moving_volume)

It needs the working directory of a run and nothing of what the run was trained
on, and no matplotlib.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from common import artifact, displacements, errors, grids, trained
from common import train_state as ts
from samcl import learn2reg, lku_net, losses, placement, scans, specs
from samcl import transform as transform_lib

_REFINEMENT_RATE = 0.1  # voxels, Adam
# Without labels to hold it a single pair is fitted to its noise: smoothness
# counts so many times what it does in training.
_STIFFNESS = 10.0
# Width in voxels of the ramp over which refinement fades to none at the border
# of the grid: beyond it nothing moves, so what is pushed across it folds.
_TAPER = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Registration:
  """How two volumes fit together.

  Attributes:
    displacement: on the grid of the fixed image, from its points to those of
      the moving one: it pulls the moving image to the fixed one.
    inverse: on the grid of the moving image, the other way.
    similarity: mean squared local correlation of the network's images where
      both are known, before and after, 0 to 1; nan where no place is.
    covered: share of the fixed image on the network's grid; beyond it the
      displacement is that of the grid's edge.
  """

  displacement: displacements.Field
  inverse: displacements.Field
  similarity: tuple[float, float]
  covered: float


class Registrar:
  """Registers volumes on the grid of a network.

  Args:
    network: (b, *s, 2) images -> (b, *s, 3), see `lku_net`.
    params: of the network.
    shape: of its grid.
    transform: how what the network says deforms.
    energy: further keywords of `losses.make_objective`.
    tasks: how the images of each task are prepared.
  """

  def __init__(
    self,
    network: nn.Module,
    params: ts.Params,
    *,
    shape: tuple[int, int, int],
    transform: transform_lib.Transform,
    energy: Mapping[str, Any],
    tasks: Mapping[str, specs.Spec],
  ):
    self._network, self._params = network, jax.device_put(params)
    self.shape, self.tasks = shape, dict(tasks)
    self._transform = transform
    # Labels and landmarks, where somebody has them, are kept for judging.
    alone = {'dice_weight': 0.0, 'landmark_weight': 0.0}
    stiff = {
      name: _STIFFNESS * energy.get(name, 1.0)
      for name in ('membrane_weight', 'bending_weight')
    }
    self._cost, self._similarity = (
      losses.make_objective(
        transform, num_classes=1, **{**energy, **alone, **fields}
      )
      for fields in (stiff, {'ncc_weight': 1.0})
    )
    self._tx = optax.adam(_REFINEMENT_RATE)
    self._predict = jax.jit(self._apply)
    self._refine = jax.jit(self._descend)
    self._finish = jax.jit(self._fields)

  @classmethod
  def load(cls, workdir: pathlib.Path) -> 'Registrar':
    """The network of a run of `samcl.train`.

    Raises:
      InputError: as `trained.load`.
    """
    found = trained.load(workdir, 'tasks')
    transform, fields = transform_lib.split(found.config['model'])
    return cls(
      lku_net.create(**fields),
      found.params,
      shape=tuple(found.config['data']['shape']),
      transform=transform,
      energy=found.config['loss'],
      tasks={
        name: _spec(name, spec, workdir)
        for name, spec in found.config['tasks'].items()
      },
    )

  def spec(self, name: str = '') -> specs.Spec | None:
    """How images are prepared; None where the run has several ways.

    Raises:
      InputError: the run has no such task.
    """
    if not name and len(self.tasks) == 1:
      return next(iter(self.tasks.values()))
    if name and name not in self.tasks:
      raise errors.InputError(
        f'--task={name}: the run has {", ".join(self.tasks)}'
      )
    return self.tasks.get(name)

  def register(
    self,
    fixed: scans.Scan,
    moving: scans.Scan,
    *,
    task: str = '',
    align: str = 'world',
    refine: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
  ) -> Registration:
    """Registers `moving` to `fixed`.

    Args:
      fixed, moving: the two images.
      task: of the run, whose images are prepared as these are to be; where ''
        the only one, or none of several, see `placement.place`.
      align: see there.
      refine: steps of descent on the similarity of these images and the
        smoothness, from the network's answer, which the border of the grid
        keeps (instance optimisation).
      progress: called with the steps that are done and all of them.

    Raises:
      InputError: an unknown task or alignment; the images have no place in
        common.
    """
    batch, fixed_grid, moving_grid = placement.place(
      fixed, moving, shape=self.shape, spec=self.spec(task), align=align
    )
    velocity = self._predict(self._params, batch)
    if refine:
      velocity = self._refined(velocity, batch, refine, progress)
    found = jax.device_get(self._finish(velocity, batch))
    there = self._restore(
      found['displacement'], fixed_grid, moving_grid, fixed.volume.grid
    )
    # exp(-v) undoes exp(v) up to interpolation, which has been done to both.
    back = self._restore(
      found['inverse'], moving_grid, fixed_grid, moving.volume.grid
    )
    back = there.inverse(moving.volume.grid, back.vectors)
    before, after = (float(value) for value in found['similarity'])
    return Registration(
      there, back, (before, after), grids.covered(fixed.volume.grid, fixed_grid)
    )

  def export(self, path: pathlib.Path) -> None:
    """Writes the network as `samcl.export` says.

    Raises:
      InputError: as `artifact.save`.
    """

    def function(fixed, moving, fixed_mask, moving_mask):
      batch = {
        'fixed': fixed,
        'moving': moving,
        'fixed_mask': fixed_mask,
        'moving_mask': moving_mask,
      }
      velocity = self._apply(self._params, batch)
      return self._both_ways(velocity, batch)

    image = jax.ShapeDtypeStruct((1, *self.shape), jnp.float32)
    about = {'problem': 'registration', 'shape': self.shape}
    about |= {'tasks': {name: _said(spec) for name, spec in self.tasks.items()}}
    artifact.save(path, function, [image] * 4, about)

  def _restore(
    self,
    displacement: np.ndarray,
    here: grids.Grid,
    there: grids.Grid,
    original: grids.Grid,
  ) -> displacements.Field:
    vectors = grids.restore_displacement(displacement[0], here, there, original)
    return displacements.Field(vectors, original)

  def _apply(self, params: ts.Params, batch: ts.Batch) -> jax.Array:
    return self._network.apply({'params': params}, losses.network_inputs(batch))

  def _refined(
    self,
    velocity: jax.Array,
    batch: ts.Batch,
    num_steps: int,
    progress: Callable[[int, int], None],
  ) -> jax.Array:
    """The best that descent meets on its way from a velocity."""
    start = self._tx.init(velocity)
    carry = velocity, start, velocity, jnp.float32(jnp.inf)
    for step in range(num_steps + 1):  # the last one judges only
      carry = self._refine(*carry, batch)
      progress(min(step + 1, num_steps), num_steps)
    return carry[2]

  def _descend(
    self,
    velocity: jax.Array,
    state: optax.OptState,
    best: jax.Array,
    least: jax.Array,
    batch: ts.Batch,
  ) -> tuple[jax.Array, optax.OptState, jax.Array, jax.Array]:
    value, slope = jax.value_and_grad(lambda v: self._cost(v, batch)[0])(
      velocity
    )
    best = jnp.where(value < least, velocity, best)
    updates, state = self._tx.update(slope, state)
    updates *= _taper(self.shape)[None, ..., None]
    velocity = optax.apply_updates(velocity, updates)
    return velocity, state, best, jnp.minimum(value, least)

  def _both_ways(
    self, velocity: jax.Array, batch: ts.Batch
  ) -> tuple[jax.Array, jax.Array]:
    """Displacement and inverse, (b, *s, 3), voxels."""
    found = self._transform.deform(velocity, batch)
    return found.displacement, self._transform.inverse(velocity, found)

  def _fields(self, velocity: jax.Array, batch: ts.Batch) -> dict[str, Any]:
    displacement, back = self._both_ways(velocity, batch)
    return {
      'displacement': displacement,
      'inverse': back,
      'similarity': [
        self._agreement(v, batch) for v in (jnp.zeros_like(velocity), velocity)
      ],
    }

  def _agreement(self, velocity: jax.Array, batch: ts.Batch) -> jax.Array:
    """nan where no place is known of both images any more."""
    known = self._transform.deform(velocity, batch).mask.any()
    loss = self._similarity(velocity, batch)[1]['loss/ncc']
    return jnp.where(known, 1 - loss, jnp.nan)


def _taper(shape: Sequence[int]) -> jax.Array:
  """0 at the border of a grid, 1 from `_TAPER` voxels inwards, linear."""
  depths = [
    jnp.minimum(jnp.arange(side), jnp.arange(side)[::-1]) for side in shape
  ]
  depth = functools.reduce(jnp.minimum, jnp.ix_(*depths))
  return jnp.minimum(depth / _TAPER, 1)


def _said(spec: specs.Spec) -> dict[str, Any]:
  """What somebody has to know who prepares images alone."""
  return {
    'spacing': spec.spacing,
    'clip': spec.clip,
    'upper_percentile': spec.upper_percentile,
    'intensity': {
      ending: dataclasses.asdict(one)
      for ending, one in (spec.intensity or {}).items()
    },
    'mask': spec.mask,
    'axes': spec.axes,
  }


def _spec(
  name: str, fields: Mapping[str, Any], root: pathlib.Path
) -> specs.Spec:
  """How the images of a task are prepared; its data need not be here."""
  spec = specs.parse({'name': name, **fields, 'root': root}, 0)
  known = learn2reg.LEARN2REG if spec.format == 'learn2reg' else {}
  folder = pathlib.PurePath(fields.get('root') or name).name
  return spec.with_defaults(known.get(spec.dataset or folder, {}))
