"""Registration as a problem of the stream loop."""

from collections.abc import Sequence
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from common import metrics as metrics_lib
from common import problem as problem_lib
from common import spatial
from common import train_state as ts
from samcl import figures, lku_net, losses
from samcl import native as native_lib
from samcl import tasks as tasks_lib
from samcl import transform as transform_lib

METRICS = (
  'dice',
  'tre',
  'assd',
  'hd95',
  'surface_dice',
  'folding_fraction',
  'sd_log_jacobian',
)
Scores = list[tuple[str, float]]
SURFACE = ('assd', 'hd95', 'surface_dice')


class RegistrationProblem:
  """A stream of registration tasks learnt by one LKU-Net.

  Args:
    tasks: in order of the stream, then those that are only scored.
    num_unseen: how many of the last ones are only scored.
    network: predicts the velocity.
    scores: metrics to compute, among `METRICS`.
    native: score labels on the grid of the fixed image instead of the
      network's.
    transform: how a velocity deforms.
    loss: weights of its terms, and other keywords of `losses.make_objective`.
  """

  name = 'registration'
  shift = None
  generator = None
  distance = staticmethod(losses.distance)

  def __init__(
    self,
    tasks: Sequence[tasks_lib.Task],
    *,
    num_unseen: int = 0,
    network: lku_net.LKUNet,
    scores: Sequence[str] = METRICS,
    native: bool = False,
    transform: transform_lib.Transform = transform_lib.SYMMETRIC,
    **loss: float,
  ):
    num_stream = len(tasks) - num_unseen
    self._tasks, self._network, self._scores = tuple(tasks), network, scores
    self._native = native
    self.stream = tuple(task.name for task in tasks[:num_stream])
    self.unseen = tuple(task.name for task in tasks[num_stream:])
    self.metrics = {name: metrics_lib.METRICS[name] for name in scores}
    largest = max((max(task.labels, default=1) for task in tasks), default=1)
    self.objective = losses.make_objective(
      transform, num_classes=largest + 1, **loss
    )
    self.loss = problem_lib.make_loss(self.output, self.objective)
    self._transform = transform
    self.register = jax.jit(self._register)
    self._create_params = problem_lib.make_create_params(network)

  def init(self, key: jax.Array) -> ts.Params:
    shape = (1, *self._tasks[0].shape, 2)
    return self._create_params(key, jnp.zeros(shape))

  def num_train(self, site: int) -> int:
    return len(self._tasks[site].train)

  def load_train(self, items: Sequence[tuple[int, int]]) -> ts.Batch:
    parts = [self._tasks[site].load('train', [case]) for site, case in items]
    return {
      name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }

  def evaluate(
    self, params: ts.Params, site: int
  ) -> list[problem_lib.CaseScore]:
    task, rows = self._tasks[site], []
    for number, pair in enumerate(task.val):
      batch = task.load('val', [number])
      registered = jax.device_get(self.register(params, batch))
      field = registered['displacement'][0]
      spacing = task.spacing
      fixed, warped = batch['fixed_label'][0], registered['label'][0]
      if self._native and task.metric == 'dice':
        fixed, warped = native_lib.warp_label(task, number, field)
        spacing = task.native(pair).original.spacing
      values = {
        **self._label_scores(task, fixed, warped, spacing),
        **self._field_scores(task, batch, registered),
      }
      rows += [
        problem_lib.CaseScore(
          pair.name, label, name, float(value), self.metrics[name].unit
        )
        for name, scored in values.items()
        for label, value in scored
      ]
    return rows

  def draw(
    self, state: ts.TrainState, folder: pathlib.Path, stage: int
  ) -> None:
    """For each task one pair before and after, once the stream is learnt."""
    if stage < len(self.stream):
      return
    for task in self._tasks:
      batch = task.load('val', [0])
      registered = jax.device_get(self.register(state.params, batch))
      figures.draw_registration(
        folder / f'pair_{task.name}.png',
        fixed=batch['fixed'][0],
        moving=batch['moving'][0],
        warped=registered['warped'][0],
        displacement=registered['displacement'][0],
        spacing=task.spacing,
        title=f'{task.name}: {task.val[0].name}',
        fixed_label=batch['fixed_label'][0] if task.labels else None,
        moving_label=batch['moving_label'][0] if task.labels else None,
        warped_label=registered['label'][0] if task.labels else None,
      )

  def output(self, params: ts.Params, batch: ts.Batch) -> jax.Array:
    """Velocity (b, *s, d), voxels."""
    inputs = losses.network_inputs(batch)
    return self._network.apply({'params': params}, inputs)

  def _register(self, params: ts.Params, batch: ts.Batch) -> dict:
    """Displacement, warped image and label, Jacobian of a batch of pairs."""
    velocity = self.output(params, batch)
    displacement = self._transform.deform(velocity, batch).displacement
    label = batch['moving_label'][..., None].astype(velocity.dtype)
    return {
      'displacement': displacement,
      'warped': spatial.warp(batch['moving'][..., None], displacement)[..., 0],
      'label': spatial.warp(label, displacement, order=0, outside='border')[
        ..., 0
      ].astype(jnp.uint8),
      'determinant': spatial.jacobian_determinant(displacement),
    }

  def _label_scores(
    self,
    task: tasks_lib.Task,
    fixed: np.ndarray,
    warped: np.ndarray,
    spacing: Sequence[float],
  ) -> dict[str, Scores]:
    """Overlap and surface distances; lung masks of a TRE task only train it."""
    if task.metric != 'dice':
      return {}
    values = {}
    if 'dice' in self._scores:
      values['dice'] = metrics_lib.dice_per_label(fixed, warped, task.labels)
    if set(SURFACE) & set(self._scores):
      values |= metrics_lib.surface_scores_per_label(
        fixed, warped, task.labels, spacing=spacing, tolerance=max(spacing)
      )
    return {
      name: [
        (str(label), value)
        for label, value in zip(task.labels, found, strict=True)
      ]
      for name, found in values.items()
      if name in self._scores
    }

  def _field_scores(
    self,
    task: tasks_lib.Task,
    batch: ts.Batch,
    registered: dict[str, np.ndarray],
  ) -> dict[str, Scores]:
    """Landmark distance and regularity of the displacement."""
    values = {}
    real = batch['landmark_weight'][0] > 0
    if 'tre' in self._scores and real.any():
      values['tre'] = metrics_lib.tre(
        registered['displacement'][0],
        batch['fixed_landmarks'][0][real],
        batch['moving_landmarks'][0][real],
        task.spacing,
      ).mean()
    jacobian, mask = registered['determinant'][0], batch['fixed_mask'][0]
    for name in ('folding_fraction', 'sd_log_jacobian'):
      if name in self._scores:
        values[name] = getattr(metrics_lib, name)(jacobian, mask)
    return {name: [('', value)] for name, value in values.items()}
