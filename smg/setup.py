"""From a config to the segmentation problem that it describes."""

import pathlib
from typing import Any

from ml_collections import config_dict

from common import augment, config_checks, errors, synthetic, trainer
from smg import denoiser, replay, settings, sites, unet
from smg import problem as problem_lib


def create_problem(
  config: config_dict.ConfigDict,
) -> problem_lib.SegmentationProblem:
  """The sites, network, loss and generator of a config; all files are read.

  Raises:
    InputError: a field of the config or a file of the data cannot be used.
  """
  check(config)
  appearance = create_appearance(config)
  all_sites = create_sites(config)
  num_classes = 1 + len(config.data.classes)
  try:
    return problem_lib.SegmentationProblem(
      all_sites,
      num_unseen=len(config.unseen),
      network=unet.UNet(num_classes=num_classes, **config.model),
      scores=tuple(config.scores),
      appearance=appearance,
      make_generator=lambda problem: create_generator(config, problem),
      **config.loss,
    )
  except (TypeError, ValueError) as error:
    raise errors.InputError(f'config: {error}') from error


def write_synthetic(config: config_dict.ConfigDict) -> pathlib.Path:
  """The folder of the data; the embedded sites are written if not there."""
  folder = config_checks.data_folder(config)
  if config.data.synthetic:
    synthetic.write_sites(
      folder,
      shape=tuple(config.data.shape),
      num_slices=config.data.num_slices,
      num_train=config.data.num_train,
      num_test=config.data.num_test,
      seed=config.data.seed,
    )
  return folder


def create_sites(config: config_dict.ConfigDict) -> tuple[sites.Site, ...]:
  """The sites of `stream` and `unseen`; the embedded ones are written first."""
  folder = write_synthetic(config)
  return sites.load_sites(
    {name: site_fields(config, name, folder) for name in config.stream},
    {name: site_fields(config, name, folder) for name in config.unseen},
    shape=tuple(config.data.shape),
    classes=tuple(config.data.classes),
  )


def site_fields(
  config: config_dict.ConfigDict, name: str, folder: pathlib.Path
) -> dict[str, Any]:
  """The fields of a site, its root within the folder of the data."""
  fields = config.sites[name].to_dict()
  return fields | {'root': folder / fields.get('root', name)}


def create_appearance(config: config_dict.ConfigDict) -> augment.Appearance:
  """The shift of `config.appearance`, checked before any file is read.

  Raises:
    InputError: a value that is not allowed.
  """
  try:
    return augment.Appearance(**config.appearance)
  except ValueError as error:
    raise errors.InputError(f'config.{error}') from error


def create_generator(
  config: config_dict.ConfigDict, problem: problem_lib.SegmentationProblem
) -> replay.SiteModulatedDiffusion:
  """The diffusion model of `config.diffusion`.

  Raises:
    InputError: a value that is not allowed.
  """
  num_stages, fields = len(problem.stream), config.diffusion.to_dict()
  network = fields.pop('network')
  _check_denoiser(config, network)
  steps = trainer.fill_stages(
    'config.diffusion.num_steps', fields.pop('num_steps'), num_stages
  )
  try:
    return replay.SiteModulatedDiffusion(
      denoiser.Denoiser(num_sites=num_stages, **network),
      problem.segment,
      shape=problem.image_shape,
      classes=problem.classes,
      settings=settings.Settings(num_steps=steps, **fields),
    )
  except (TypeError, ValueError) as error:
    raise errors.InputError(f'config: {error}') from error


def _check_denoiser(
  config: config_dict.ConfigDict, network: dict[str, int]
) -> None:
  where = 'config.diffusion.network'
  for field, found in network.items():
    if found < 1:
      raise errors.InputError(f'{where}.{field}: found {found}, must be >= 1')
  scale = 2 ** (network['num_levels'] - 1)
  _check_sides(config, 'diffusion.network', network['patch'] * scale)
  features, heads = network['num_channels'] * scale, network['num_heads']
  if features % heads:
    raise errors.InputError(
      f'{where}.num_heads: found {heads}, allowed: divisors of {features}, the '
      'channels of the coarsest level'
    )


def check(config: config_dict.ConfigDict) -> None:
  """What a config says of sites, scores and the segmenter.

  Raises:
    InputError: a value that is not allowed.
  """
  config_checks.check_stations(config, config.sites)
  config_checks.check_choices('scores', config.scores, problem_lib.METRICS)
  _check_sides(config, 'model', 2**config.model.num_levels)
  if config.model.num_channels < 4 or config.model.num_channels % 4:
    raise errors.InputError(
      f'config.model.num_channels: found {config.model.num_channels}, allowed: '
      'multiples of 4'
    )


def _check_sides(
  config: config_dict.ConfigDict, network: str, multiple: int
) -> None:
  if any(side < multiple or side % multiple for side in config.data.shape):
    raise errors.InputError(
      f'config.data.shape: found {tuple(config.data.shape)}, allowed: '
      f'multiples of {multiple} (config.{network}), at least one each'
    )
