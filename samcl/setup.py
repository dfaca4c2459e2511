"""From a config to the registration problem that it describes."""

import pathlib
from typing import Any

from ml_collections import config_dict

from common import config_checks, errors, synthetic
from samcl import lku_net
from samcl import problem as problem_lib
from samcl import tasks as tasks_lib
from samcl import transform as transform_lib


def create_problem(
  config: config_dict.ConfigDict,
) -> problem_lib.RegistrationProblem:
  """The tasks, network and loss of a config; every file is read and checked.

  Raises:
    InputError: a field of the config or a file of the data cannot be used.
  """
  check(config)
  tasks = create_tasks(config)
  names = [task.name for task in tasks]
  try:
    transform, network = transform_lib.split(config.model)
    return problem_lib.RegistrationProblem(
      tasks,
      num_unseen=len(config.unseen),
      network=lku_net.create(**network),
      scores=tuple(config.scores),
      native=config.native,
      transform=transform,
      **config.loss.to_dict(),
    )
  except (TypeError, ValueError) as error:
    raise errors.InputError(f'config ({", ".join(names)}): {error}') from error


def write_synthetic(config: config_dict.ConfigDict) -> pathlib.Path:
  """The folder of the data; the embedded tasks are written if not there."""
  folder = config_checks.data_folder(config)
  if config.data.synthetic:
    synthetic.write_stream(
      folder,
      shape=tuple(config.data.shape),
      num_train=config.data.num_train,
      num_test=config.data.num_test,
      seed=config.data.seed,
    )
  return folder


def create_tasks(config: config_dict.ConfigDict) -> tuple[tasks_lib.Task, ...]:
  """The tasks of `stream` and `unseen`; the embedded ones are written first."""
  folder = write_synthetic(config)
  tasks = tasks_lib.load_tasks(
    [
      task_fields(config, name, folder)
      for name in (*config.stream, *config.unseen)
    ],
    shape=tuple(config.data.shape),
    num_unseen=len(config.unseen),
  )
  for task in tasks:
    for split in ('train', 'val'):
      for number in range(len(task.pairs(split))):
        task.load(split, [number])
  return tasks


def task_fields(
  config: config_dict.ConfigDict, name: str, folder: pathlib.Path
) -> dict[str, Any]:
  """The fields of a task, its root within the folder of the data."""
  fields = config.tasks[name].to_dict()
  return {'name': name, **fields, 'root': folder / fields.get('root', name)}


def check(config: config_dict.ConfigDict) -> None:
  """All that a config says besides its data.

  Raises:
    InputError: a value that is not allowed.
  """
  config_checks.check_stations(config, config.tasks)
  for field, found, allowed in (
    ('scores', config.scores, problem_lib.METRICS),
    ('model.weights', [config.model.weights], lku_net.GAINS),
    ('model.conv_dtype', [config.model.conv_dtype], lku_net.CONV_DTYPES),
    ('model.output', [config.model.output], transform_lib.OUTPUTS),
  ):
    config_checks.check_choices(field, found, allowed)
  estimator, output = config.alignment.estimator, config.model.output
  aligns = config.method.startswith('smg') and estimator != 'first_order'
  if aligns and output == 'velocity':
    raise errors.InputError(
      f'config.alignment.estimator: found {estimator!r}, allowed where the '
      "network says velocities: 'first_order'; their flow is derived once"
    )
  window, multiple = config.loss.ncc_window, 2**config.model.num_levels
  if window < 1 or window % 2 == 0:
    raise errors.InputError(
      f'config.loss.ncc_window: found {window}, allowed: odd numbers from 1'
    )
  if config.loss.landmark_refinement != 1:
    raise errors.InputError(
      'config.loss.landmark_refinement: found '
      f'{config.loss.landmark_refinement}, allowed: 1; landmarks of files on a '
      'finer grid have config.tasks.NAME.landmark_refinement'
    )
  for field, least in (
    ('num_levels', 1),
    ('num_channels', 1),
    ('num_squarings', 0),
  ):
    if config.model[field] < least:
      raise errors.InputError(
        f'config.model.{field}: found {config.model[field]}, must be >= {least}'
      )
  kernel = config.model.large_kernel
  if kernel < 3 or kernel % 2 == 0:
    raise errors.InputError(
      f'config.model.large_kernel: found {kernel}, allowed: odd numbers from 3'
    )
  for field in ('image_sigma', 'label_sigma'):
    if not config.loss[field] >= 0:
      raise errors.InputError(
        f'config.loss.{field}: found {config.loss[field]}, must be >= 0, voxels'
      )
  if any(side < 1 or side % multiple for side in config.data.shape):
    raise errors.InputError(
      f'config.data.shape: found {tuple(config.data.shape)}, allowed: '
      f'multiples of 2**config.model.num_levels = {multiple}'
    )
