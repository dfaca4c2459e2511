"""Segmentation as a problem of the stream loop."""

from collections.abc import Callable, Sequence
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from common import augment
from common import metrics as metrics_lib
from common import problem as problem_lib
from common import train_state as ts
from smg import cases, figures, inference, losses, replay, sites, unet

METRICS = ('dice', 'assd', 'hd95', 'surface_dice')
SURFACE = METRICS[1:]
_APPEARANCE = augment.Appearance()

MakeGenerator = Callable[
  ['SegmentationProblem'], replay.SiteModulatedDiffusion | None
]


class SegmentationProblem:
  """A stream of sites learnt by one U-Net.

  Args:
    all_sites: in order of the stream, then those that are only scored.
    num_unseen: how many of the last ones are only scored.
    network: gives logits.
    scores: metrics to compute, among `METRICS`; distances in mm, in pixels
      where files have no spacing.
    appearance: the shift that alignment simulates.
    make_generator: (this problem) -> what replays its past sites.
    chunk: images segmented at once.
    loss: keywords of `losses.make_objective`.
  """

  name = 'segmentation'
  distance = staticmethod(losses.distance)

  def __init__(
    self,
    all_sites: Sequence[sites.Site],
    *,
    num_unseen: int = 0,
    network: unet.UNet,
    scores: Sequence[str] = METRICS,
    appearance: augment.Appearance = _APPEARANCE,
    make_generator: MakeGenerator = lambda problem: None,
    chunk: int = 8,
    **loss: float,
  ):
    num_stream = len(all_sites) - num_unseen
    self.sites, self._network = tuple(all_sites), network
    self._chunk, first = chunk, all_sites[0]
    self.classes, self.image_shape = (
      first.classes,
      (*first.shape, first.channels),
    )
    self.stream = tuple(site.name for site in all_sites[:num_stream])
    self.unseen = tuple(site.name for site in all_sites[num_stream:])
    self.metrics = {name: self._spec(name) for name in scores}
    self.objective = losses.make_objective(classes=self.classes, **loss)
    self.loss = problem_lib.make_loss(self.output, self.objective)
    self.shift = _on_images(augment.make_shift(appearance))
    self._create_params = problem_lib.make_create_params(network)
    self._segment = jax.jit(self._classify)
    self._make_generator = make_generator

  @functools.cached_property
  def generator(self) -> replay.SiteModulatedDiffusion | None:
    """Made when a method asks for it; no other needs its settings."""
    return self._make_generator(self)

  def init(self, key: jax.Array) -> ts.Params:
    x = jnp.zeros((1, *self.image_shape))
    return self._create_params(key, x)

  def output(self, params: ts.Params, batch: ts.Batch) -> jax.Array:
    """Logits (b, *s, 1 + classes)."""
    return self._network.apply({'params': params}, batch['image'])

  def num_train(self, site: int) -> int:
    return self.sites[site].num_train()

  def load_train(self, items: Sequence[tuple[int, int]]) -> ts.Batch:
    parts = [self.sites[site].load_train([case]) for site, case in items]
    return {
      name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }

  def real_images(self, site: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of a site that are trained on and others, (n, *s, c) each."""
    station = self.sites[site]
    training = station.load_train(range(station.num_train()))['image']
    return training, station.load_held_out()

  def segment(self, params: ts.Params, images: np.ndarray) -> np.ndarray:
    """Classes (n, *s) of images (n, *s, c), a chunk at a time."""
    segment = functools.partial(self._segment, params)
    return inference.in_chunks(segment, images, min(self._chunk, len(images)))

  def evaluate(
    self, params: ts.Params, site: int
  ) -> list[problem_lib.CaseScore]:
    """Scores of whole cases: the slices of a volume are put together again."""
    station, rows = self.sites[site], []
    for case in station.test:
      prepared = station.prepared(case)
      found = self.segment(params, prepared.image) * prepared.mask
      values = self._scores(prepared, found)
      units = _unit(station)
      rows += [
        problem_lib.CaseScore(
          case.name,
          str(label),
          name,
          float(value),
          '1' if self.metrics[name].unit == '1' else units,
        )
        for name, scored in values.items()
        for label, value in zip(self.classes, scored, strict=True)
      ]
    return rows

  def draw(
    self, state: ts.TrainState, folder: pathlib.Path, stage: int
  ) -> None:
    """Segmentations of every site, and generated beside real pairs."""
    rows = []
    for site in self.sites:
      prepared = site.prepared(site.test[0])
      first = figures.fullest(prepared.label)
      one = slice(first, first + 1)
      image, mask = prepared.image[one], prepared.mask[one]
      found = self.segment(state.params, image) * mask
      shown = [_shown(site, x) for x in (image, prepared.label[one], found)]
      rows.append((site.name, *(x[0] for x in shown)))
    figures.draw_segmentations(
      folder / f'segmentations_stage{stage}.png',
      rows,
      num_seen=stage,
      num_stream=len(self.stream),
    )
    if state.generator is not None:
      rows = [self._gallery_row(state, site) for site in range(stage)]
      figures.draw_gallery(folder / f'gallery_stage{stage}.png', rows, stage)

  def _gallery_row(
    self, state: ts.TrainState, number: int
  ) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Name, real and generated pairs of a site; the real ones are test cases.

    So no image that was trained on is in the workdir, not even as a picture.
    """
    site = self.sites[number]
    tested = [site.prepared(case) for case in site.test]
    real = {
      name: np.concatenate([getattr(case, name) for case in tested])
      for name in ('image', 'label')
    }
    chosen = figures.spread(real['label'])
    real = {name: array[chosen] for name, array in real.items()}
    image, label, _ = self.generator.sample_pairs(
      state, number, figures.NUM_SHOWN, jax.random.key(number)
    )
    generated = {'image': np.asarray(image), 'label': np.asarray(label)}
    return site.name, *(
      {name: _shown(site, array) for name, array in batch.items()}
      for batch in (real, generated)
    )

  def _classify(self, params: ts.Params, images: jax.Array) -> jax.Array:
    logits = inference.logits(self._network, params, images)
    index = jnp.argmax(logits, axis=-1)
    return jnp.asarray((0, *self.classes), jnp.uint8)[index]

  def _scores(
    self, prepared: cases.Prepared, found: np.ndarray
  ) -> dict[str, np.ndarray]:
    truth = prepared.label * prepared.mask
    a, b = (_as_volume(label) for label in (truth, found))
    values = {}
    if 'dice' in self.metrics:
      values['dice'] = metrics_lib.dice_per_label(a, b, self.classes)
    if set(SURFACE) & set(self.metrics):
      # An axis of one voxel is no axis: all of a mask would be its surface.
      thick = [axis for axis, side in enumerate(a.shape) if side > 1]
      spacing = [prepared.spacing[axis] for axis in thick]
      surfaces = metrics_lib.surface_scores_per_label(
        a.squeeze(),
        b.squeeze(),
        self.classes,
        spacing=spacing,
        tolerance=max(spacing),
      )
      values |= {k: v for k, v in surfaces.items() if k in self.metrics}
    return values

  def _spec(self, name: str) -> metrics_lib.MetricSpec:
    spec = metrics_lib.METRICS[name]
    units = {_unit(site) for site in self.sites}
    if spec.unit != 'mm' or 'mm' in units:
      return spec
    return metrics_lib.MetricSpec(spec.higher_is_better, 'px')


def _unit(site: sites.Site) -> str:
  return 'px' if site.spec.format == 'png' else 'mm'


def _as_volume(label: np.ndarray) -> np.ndarray:
  """(n, *s) -> slices last in 2-D, the volume itself in 3-D."""
  return np.moveaxis(label, 0, -1) if label.ndim == 3 else label[0]


def _shown(site: sites.Site, arrays: np.ndarray) -> np.ndarray:
  """Images or labels as they are looked at, (n, rows, columns, ...)."""
  if len(site.shape) == 3:
    arrays = arrays[:, :, :, arrays.shape[3] // 2]
  if site.spec.format == 'png':
    return arrays
  return figures.radiological(arrays)


def _on_images(
  shift: Callable[[jax.Array, jax.Array], jax.Array],
) -> Callable[[ts.Batch, jax.Array], ts.Batch]:
  return lambda batch, key: batch | {'image': shift(batch['image'], key)}
