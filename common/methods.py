"""name -> Method: a named choice of rule and memory, for any loss.

sequential   plain descent on the site at hand
joint        plain descent on all sites at once (upper reference)
independent  plain descent, one model per site (reference of each site)
er           descent on the batch together with a batch from the memory
mer          steps on the batch and on the memory, Reptile interpolation
sam          descent with sharpness-aware gradients
samcl        mer with sharpness-aware steps
ewc          descent, held where the Fisher information of past sites is large
si           descent, held where the path of past sites was worth most
lwf          descent, outputs held to those of the network of the last site
agem         descent that does not contradict the gradient of the memory
gpm          descent orthogonal to what gradients of past sites span
der          er with the outputs of remembered cases held where they were
smg          parallel gradient alignment with generated cases of past sites
smg_er       parallel gradient alignment with real cases of past sites
smg_none     arbitrary gradient alignment alone, nothing kept of past sites
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import optax

from common import compositions, errors
from common import settings as settings_lib
from common import train_state as ts
from common.rules import distillation, gpm, penalty

Settings = settings_lib.Settings


@dataclasses.dataclass(frozen=True)
class Method:
  """How to learn a stream.

  Attributes:
    build: (gradient, optimizer, settings) -> step.
    memory: '' for none; 'reservoir', real cases as the step meets them; 'kept',
      real cases of every past site; 'generated', drawn by the generator of the
      problem when a site is left.
    build_probe: (gradient, settings) -> what is measured beside logged steps.
    create_rule: (params, settings) -> the first `TrainState.rule`.
    build_consolidation: (gradient, settings) -> what happens to it when a site
      is left.
    build_annotation: settings -> (params, batch) -> the batch as the memory
      holds it.
    all_sites: batches come from every site of the stream at every stage.
    one_model_per_site: parameters and optimizer start anew at every stage and
      a site keeps the score of its own model.
  """

  build: Callable[
    [ts.GradFn, optax.GradientTransformation, Settings], ts.StepFn
  ]
  memory: str = ''
  build_probe: Callable[[ts.GradFn, Settings], ts.ProbeFn] | None = None
  create_rule: Callable[[ts.Params, Settings], Any] | None = None
  build_consolidation: (
    Callable[[ts.GradFn, Settings], ts.ConsolidateFn] | None
  ) = None
  build_annotation: (
    Callable[[Settings], Callable[[ts.Params, ts.Batch], ts.Batch]] | None
  ) = None
  all_sites: bool = False
  one_model_per_site: bool = False

  def make_step(
    self,
    loss_fn: ts.LossFn,
    tx: optax.GradientTransformation,
    settings: Settings,
  ) -> ts.StepFn:
    """The pure step of this method on a loss; it counts `state.step` up."""
    step = self.build(
      compositions.make_gradient(loss_fn, settings), tx, settings
    )

    def counted(state, batch, key):
      state, metrics = step(state, batch, key)
      return state.replace(step=state.step + 1), metrics

    return counted

  def make_probe(
    self, loss_fn: ts.LossFn, settings: Settings
  ) -> ts.ProbeFn | None:
    """What the method measures about itself, given the arguments of a step."""
    if self.build_probe is None:
      return None
    return self.build_probe(
      compositions.make_gradient(loss_fn, settings), settings
    )

  def make_consolidation(
    self, loss_fn: ts.LossFn, settings: Settings
  ) -> ts.ConsolidateFn | None:
    """What the method keeps of a site when it is left."""
    if self.build_consolidation is None:
      return None
    return self.build_consolidation(
      compositions.make_gradient(loss_fn, settings), settings
    )


METHODS = {
  'sequential': Method(compositions.plain),
  'joint': Method(compositions.plain, all_sites=True),
  'independent': Method(compositions.plain, one_model_per_site=True),
  'er': Method(compositions.er, memory='reservoir'),
  'mer': Method(compositions.mer, memory='reservoir'),
  'sam': Method(compositions.sam),
  'samcl': Method(compositions.samcl, memory='reservoir'),
  'ewc': Method(
    compositions.ewc,
    create_rule=lambda params, settings: penalty.create_anchor(params),
    build_consolidation=compositions.ewc_consolidation,
  ),
  'si': Method(
    compositions.si,
    create_rule=lambda params, settings: penalty.create_anchor(
      params, with_path=True
    ),
    build_consolidation=compositions.si_consolidation,
  ),
  'lwf': Method(
    compositions.lwf,
    create_rule=lambda params, settings: distillation.create_teacher(params),
    build_consolidation=lambda gradient, settings: (
      distillation.make_teacher_consolidation()
    ),
  ),
  'agem': Method(compositions.agem, memory='kept'),
  'gpm': Method(
    compositions.gpm,
    create_rule=lambda params, settings: gpm.create_bases(
      params, settings.num_consolidated * settings.num_stages
    ),
    build_consolidation=lambda gradient, settings: gpm.make_consolidation(
      gradient, settings.gpm
    ),
  ),
  'der': Method(
    compositions.der,
    memory='reservoir',
    build_annotation=lambda settings: distillation.make_annotate(
      settings.output
    ),
  ),
  'smg': Method(
    compositions.smg, memory='generated', build_probe=compositions.smg_probe
  ),
  'smg_er': Method(
    compositions.smg, memory='kept', build_probe=compositions.smg_probe
  ),
  'smg_none': Method(
    compositions.smg_none, build_probe=compositions.smg_none_probe
  ),
}


def get(name: str) -> Method:
  """The method of that name.

  Raises:
    InputError: there is none; the message lists those that exist.
  """
  if name not in METHODS:
    allowed = ', '.join(METHODS)
    raise errors.InputError(
      f'config.method: found {name!r}, allowed: {allowed}'
    )
  return METHODS[name]
