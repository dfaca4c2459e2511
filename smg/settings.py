"""What may be chosen about the generator: `config.diffusion`."""

import dataclasses

import numpy as np

from smg import diffusion

_CHOICES = {
  'trunk': ('frozen', 'distill', 'finetune'),
  'labels': ('joint', 'pseudo'),
  'prediction': diffusion.PREDICTIONS,
}
_LEAST = {
  'num_steps': 1,
  'batch_size': 1,
  'num_kept': 1,
  'sample_steps': 1,
  'chunk': 1,
  'oversample': 1,
  'lr': 0,
  'agreement': 0,
  'area_margin': 0,
  'eta': 0,
  'distill_weight': 0,
  'drop_prompt': 0,
  'ema_decay': 0,
}
_MOST = {'eta': 1, 'drop_prompt': 1, 'ema_decay': 1}


@dataclasses.dataclass(frozen=True)
class Settings:
  """How the generator is trained and sampled.

  Attributes:
    num_steps: of each stage.
    batch_size: cases per step.
    num_kept: cases drawn of each past site at the start of a stage.
    lr: of Adam, falling to 0 over a stage as a cosine.
    ema_decay: of the averaged weights, which draw the samples.
    prediction: 'v' or 'eps'.
    drop_prompt: share of samples trained on without their prompt.
    trunk: what happens to shared weights after the first stage: 'frozen' keeps
      them, so that past sites are drawn as ever; 'distill' trains them, held to
      their former output on generated cases of past sites; 'finetune' trains
      them freely.
    distill_weight: of the former output.
    labels: 'joint' generates them with the image; 'pseudo' takes those of the
      segmenter.
    sample_steps: evaluations of the network per sample.
    eta: 0 is DDIM, 1 is DDPM; values between interpolate.
    guidance: weight of the prompt, 1 for none.
    chunk: samples drawn at once.
    oversample: candidates per case wanted.
    agreement: least mean Dice of a generated label with the segmenter's; says
      nothing where labels are 'pseudo'.
    area_margin: share by which the foreground may leave the range of the site.

  Raises:
    ValueError: a value that is not allowed.
  """

  num_steps: tuple[int, ...]
  batch_size: int = 16
  num_kept: int = 8
  lr: float = 1e-3
  ema_decay: float = 0.99
  prediction: str = 'v'
  drop_prompt: float = 0.1
  trunk: str = 'frozen'
  distill_weight: float = 1.0
  labels: str = 'joint'
  sample_steps: int = 50
  eta: float = 0.0
  guidance: float = 1.0
  chunk: int = 32
  oversample: float = 1.5
  agreement: float = 0.5
  area_margin: float = 0.2

  def __post_init__(self):
    for field, allowed in _CHOICES.items():
      found = getattr(self, field)
      if found not in allowed:
        raise ValueError(
          f'diffusion.{field}: found {found!r}, allowed: {", ".join(allowed)}'
        )
    for field, least in _LEAST.items():
      found = getattr(self, field)
      if np.min(found) < least:
        raise ValueError(
          f'diffusion.{field}: found {found}, must be >= {least}'
        )
    for field, most in _MOST.items():
      found = getattr(self, field)
      if found > most:
        raise ValueError(f'diffusion.{field}: found {found}, must be <= {most}')
