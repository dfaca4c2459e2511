"""Site-modulated diffusion as the generator of a stream.

SMG-Learning, arXiv 2406.18037: one diffusion model with a prompt per site
replays past sites. What leaves a site is its prompt and adapters, the weights,
and the range of foreground that its labels had; no image and no label.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from common import errors
from common import memory as memory_lib
from common import problem as problem_lib
from common import train_state as ts
from smg import denoiser, diffusion, gate, pairs
from smg import settings as settings_lib

# Every stage begins with a moment estimate of nothing and a site that is new.
_WARMUP = 20  # steps
_MAX_NORM = 1.0  # of the gradient


@flax.struct.dataclass
class GeneratorState:
  """Arrays of the generator.

  `teacher` is the average of the former stages; `areas` (sites, 2) the least
  and the greatest share of foreground met at a site.
  """

  params: Any
  average: Any
  teacher: Any
  opt_state: optax.OptState
  step: jax.Array
  areas: jax.Array


class SiteModulatedDiffusion:
  """Learns image-label pairs of each site in turn and draws them again.

  Args:
    network: the score network, with a row for each site.
    segment: (params of the segmenter, images) -> classes (b, *s).
    shape: of an image, (*s, c).
    classes: of labels beside 0.
    settings: of training and sampling.
  """

  def __init__(
    self,
    network: denoiser.Denoiser,
    segment: Callable[[ts.Params, jax.Array], jax.Array],
    *,
    shape: Sequence[int],
    classes: Sequence[int],
    settings: settings_lib.Settings,
  ):
    self.num_steps, self.batch_size = settings.num_steps, settings.batch_size
    self.num_kept = settings.num_kept
    self._settings, self._segment = settings, segment
    self._network, self._classes = network, tuple(classes)
    self._codec = pairs.Codec(classes, with_labels=settings.labels == 'joint')
    self._shape = (*shape[:-1], shape[-1] + self._codec.num_bits)
    self._tx = optax.chain(
      optax.clip_by_global_norm(_MAX_NORM), optax.scale_by_adam(b2=0.99)
    )
    common = {'null_site': network.num_sites, 'prediction': settings.prediction}
    self._losses = {
      trunk: diffusion.make_loss(
        self._apply, drop_prompt=settings.drop_prompt * trunk, **common
      )
      for trunk in (True, False)
    }
    self._sample = diffusion.Sampler(self._apply, eta=settings.eta, **common)
    self._create_params = problem_lib.make_create_params(network)
    self._update = jax.jit(self._train, static_argnames='first')

  def init(self, key: jax.Array) -> GeneratorState:
    x, t = jnp.zeros((1, *self._shape)), jnp.zeros(1)
    params = self._create_params(key, x, t, jnp.zeros(1, int))
    return self._fresh(
      params, jnp.tile(jnp.array([[1.0, 0.0]]), (self._network.num_sites, 1))
    )

  def begin(self, state: ts.TrainState, stage: int) -> ts.TrainState:
    """Starts from the average; a new site from the prompt of the last one."""
    held = state.generator
    if stage == 0:
      return state
    params = denoiser.copy_site(held.average, stage - 1, stage)
    return state.replace(generator=self._fresh(params, held.areas))

  def step(
    self, state: ts.TrainState, batch: ts.Batch, key: jax.Array, stage: int
  ) -> tuple[ts.TrainState, ts.Metrics]:
    generator, metrics = self._update(
      state.generator, state.memory, batch, key, stage, first=stage == 0
    )
    return state.replace(generator=generator), metrics

  def sample(
    self, generator: GeneratorState, site: int, num: int, key: jax.Array
  ) -> tuple[jax.Array, jax.Array | None]:
    """Images (num, *s, c) in [0, 1] and labels of a site, ungated."""
    x = self._sample(
      generator.average,
      key,
      jnp.full(num, site),
      shape=self._shape,
      num_steps=self._settings.sample_steps,
      guidance=self._settings.guidance,
      chunk=min(self._settings.chunk, num),
    )
    return self._codec.decode(x)

  def sample_pairs(
    self, state: ts.TrainState, site: int, num: int, key: jax.Array
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Images, their labels, and what the segmenter finds on them, ungated.

    Both are the same where no labels are generated.
    """
    image, label = self.sample(state.generator, site, num, key)
    found = self._segment(state.params, image)
    return image, found if label is None else label, found

  def sample_cases(
    self, state: ts.TrainState, site: int, num_cases: int, key: jax.Array
  ) -> tuple[ts.Batch, Mapping[str, float]]:
    """Cases that pass the gate; without any that does, ungated ones.

    The gate: all values finite, foreground within the range of the site, and
    a label that the segmenter agrees with.

    Raises:
      InputError: no sample is finite.
    """
    num = int(np.ceil(num_cases * self._settings.oversample))
    image, label, found = map(
      np.asarray, self.sample_pairs(state, site, num, key)
    )
    verdict = gate.judge(
      image,
      label,
      found,
      classes=self._classes,
      area=np.asarray(state.generator.areas[site]),
      area_margin=self._settings.area_margin,
      agreement=self._settings.agreement,
    )
    if not verdict.finite.any():
      raise errors.InputError(
        f'replay of site {site + 1}: found no finite sample among {num}; try a '
        'smaller config.diffusion.lr'
      )
    if not verdict.passed.any():
      logging.warning(
        'replay of site %d: the gate rejects all %d samples (100 %%); going on '
        'with ungated ones',
        site + 1,
        num,
      )
    chosen = verdict.choose(num_cases)
    batch = {
      'image': image[chosen],
      'label': label[chosen].astype(np.uint8),
    }
    return batch, verdict.to_metrics()

  def _apply(
    self, params: Any, x: jax.Array, t: jax.Array, site: jax.Array
  ) -> jax.Array:
    return self._network.apply({'params': params}, x, t, site)

  def _fresh(self, params: Any, areas: jax.Array) -> GeneratorState:
    copy = jax.tree.map(jnp.copy, params)
    teacher = None
    if self._settings.trunk == 'distill':
      teacher = jax.tree.map(jnp.copy, params)
    return GeneratorState(
      params=params,
      average=copy,
      teacher=teacher,
      opt_state=self._tx.init(params),
      step=jnp.zeros((), jnp.int32),
      areas=areas,
    )

  def _train(
    self,
    generator: GeneratorState,
    memory: memory_lib.Memory,
    batch: ts.Batch,
    key: jax.Array,
    stage: int,
    *,
    first: bool,
  ) -> tuple[GeneratorState, ts.Metrics]:
    settings = self._settings
    trunk = first or settings.trunk != 'frozen'
    x = self._codec.encode(batch['image'], batch['label'])
    new_key, old_key = jax.random.split(key)
    loss_fn = self._losses[trunk]

    def total(params):
      loss, metrics = loss_fn(params, {'x': x, 'site': batch['site']}, new_key)
      if first or settings.trunk != 'distill':
        return loss, metrics
      kept = self._distillation(params, generator.teacher, memory, old_key)
      loss += settings.distill_weight * kept
      return loss, metrics | {'loss/total': loss, 'loss/distill': kept}

    grads, metrics = jax.grad(total, has_aux=True)(generator.params)
    updates, opt_state = self._tx.update(grads, generator.opt_state)
    length = jnp.asarray(settings.num_steps)[stage]
    rate = settings.lr * 0.5 * (1 + jnp.cos(jnp.pi * generator.step / length))
    rate *= jnp.minimum(1, (generator.step + 1) / _WARMUP)
    allowed = denoiser.trainable(generator.params, stage, trunk)
    params = jax.tree.map(
      lambda p, u, m: p - rate * m * u, generator.params, updates, allowed
    )
    average = diffusion.ema(
      generator.average, params, settings.ema_decay, generator.step
    )
    return generator.replace(
      params=params,
      average=average,
      opt_state=opt_state,
      step=generator.step + 1,
      areas=self._widen(generator.areas, batch['label'], stage),
    ), {f'generator/{name}': value for name, value in metrics.items()}

  def _distillation(
    self,
    params: Any,
    teacher: Any,
    memory: memory_lib.Memory,
    key: jax.Array,
  ) -> jax.Array:
    """Mean squared distance to the teacher on generated cases of the past."""
    draw_key, time_key, noise_key = jax.random.split(key, 3)
    num = max(1, self.batch_size // 2)
    past = memory_lib.sample(memory, num, draw_key)
    x = self._codec.encode(past['image'], past['label'])
    t = diffusion.stratified_times(time_key, len(x))
    x = diffusion.diffuse(x, jax.random.normal(noise_key, x.shape), t)
    wanted = self._apply(teacher, x, t, past['site'])
    return jnp.mean((self._apply(params, x, t, past['site']) - wanted) ** 2)

  def _widen(self, areas: jax.Array, label: jax.Array, stage: int) -> jax.Array:
    shares = jnp.mean(label > 0, axis=tuple(range(1, label.ndim)))
    low = jnp.minimum(areas[stage, 0], shares.min())
    high = jnp.maximum(areas[stage, 1], shares.max())
    return areas.at[stage].set(jnp.stack([low, high]))
