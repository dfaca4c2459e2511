"""Checkpoints that are whole or absent: the only module that knows orbax.

A checkpoint is written beside its place and renamed into it, so a process
killed at any moment leaves the previous ones as they were. It carries a digest
of its arrays; one that does not match, or cannot be read, is passed over.
"""

from collections.abc import Callable
import errno
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from common import errors

Progress = dict[str, Any]
_PREFIX = 'step_'
_PARTIAL = '.partial_'


class Checkpoints:
  """The newest few checkpoints of a run, in `folder/step_<number>`.

  Args:
    folder: made when the first checkpoint is saved.
    keep: how many are kept.
    say: receives one line for every checkpoint passed over.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    *,
    keep: int = 2,
    say: Callable[[str], None] = print,
  ):
    self._folder = folder.absolute()
    self._keep = keep
    self._say = say
    self._orbax = ocp.Checkpointer(ocp.CompositeCheckpointHandler())

  def steps(self) -> list[int]:
    """Steps that have a checkpoint, oldest first."""
    names = [p.name for p in self._folder.glob(f'{_PREFIX}*')]
    numbers = [n.removeprefix(_PREFIX) for n in names]
    return sorted(int(n) for n in numbers if n.isdigit())

  def save(self, step: int, state: Any, progress: Progress) -> None:
    """Writes one checkpoint and drops those beyond `keep`.

    Args:
      step: names it.
      state: pytree of arrays.
      progress: what JSON can hold.

    Raises:
      InputError: the disk is full or not writable; earlier checkpoints stay.
    """
    # From the host orbax writes many small arrays twice as fast.
    arrays = flatten(jax.device_get(state))
    progress = progress | {'digest': _digest(arrays, progress)}
    partial = self._folder / f'{_PARTIAL}{step}'
    try:
      self._folder.mkdir(parents=True, exist_ok=True)
      self._remove_partial()
      _require_space(self._folder, arrays)
      self._orbax.save(
        partial,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(arrays),
          progress=ocp.args.JsonSave(progress),
        ),
      )
      _replace(partial, self._folder / f'{_PREFIX}{step}')
    except Exception as error:
      # tensorstore reports a full disk as a ValueError, the rest as OSError.
      self._remove_partial()
      reason = errors.in_one_line(error)
      raise errors.InputError(
        f'{partial.parent}: checkpoint of step {step} not written ({reason}); '
        f'kept: {self.steps() or "none"}. Free some space and start again.'
      ) from error
    for old in self.steps()[: -self._keep]:
      shutil.rmtree(self._folder / f'{_PREFIX}{old}', ignore_errors=True)

  def _remove_partial(self) -> None:
    for leftover in self._folder.glob(f'{_PARTIAL}*'):
      shutil.rmtree(leftover, ignore_errors=True)

  def load_latest(self, like: Any) -> tuple[Any, Progress] | None:
    """The newest checkpoint that is whole, or None if there is none.

    Args:
      like: a state of the same structure and shapes; its values do not matter.

    Raises:
      InputError: there are checkpoints, and none of them can be read.
    """
    template = flatten(like)
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
    found = self._newest(ocp.args.StandardRestore(shapes))
    if found is None:
      return None
    leaves = [found[0][name] for name in template]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), found[1]

  def load_arrays(self) -> dict[str, np.ndarray] | None:
    """The arrays of the newest checkpoint that is whole, by their paths.

    For who wants a few of them and does not know the rest: the parameters of a
    network are 'params.layer.kernel' and so on. Raises as `load_latest`.
    """
    found = self._newest(ocp.args.StandardRestore())
    return None if found is None else found[0]

  def _newest(
    self, state: ocp.args.StandardRestore
  ) -> tuple[dict[str, Any], Progress] | None:
    found = self.steps()
    for step in reversed(found):
      try:
        return self._load(step, state)
      except Exception as error:  # whatever a damaged file makes orbax raise
        reason = errors.in_one_line(error)
        self._say(
          f'checkpoint {self._folder / f"{_PREFIX}{step}"} is damaged '
          f'({reason}); falling back to the previous one'
        )
    if found:
      raise errors.InputError(
        f'{self._folder}: none of the checkpoints {found} can be read; remove '
        'the folder to start anew'
      )
    return None

  def _load(
    self, step: int, state: ocp.args.StandardRestore
  ) -> tuple[dict[str, Any], Progress]:
    restored = self._orbax.restore(
      self._folder / f'{_PREFIX}{step}',
      args=ocp.args.Composite(state=state, progress=ocp.args.JsonRestore()),
    )
    arrays, progress = dict(restored['state']), dict(restored['progress'])
    expected = progress.pop('digest', None)
    if _digest(arrays, progress) != expected:
      raise ValueError('the digest does not match')
    return arrays, progress


def flatten(state: Any) -> dict[str, Any]:
  """Every leaf under the name of its path."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {
    jax.tree_util.keystr(path, simple=True, separator='.'): leaf
    for path, leaf in leaves
  }


def _digest(arrays: dict[str, Any], progress: Progress) -> str:
  total = hashlib.sha256(json.dumps(progress, sort_keys=True).encode())
  for name in sorted(arrays):
    total.update(name.encode())
    total.update(np.ascontiguousarray(arrays[name]).data)
  return total.hexdigest()


def _require_space(folder: pathlib.Path, arrays: dict[str, Any]) -> None:
  """Compression aside: orbax answers a disk that fills up with pages of logs.

  Raises:
    OSError: the disk has less space than the arrays take.
  """
  needed = sum(array.nbytes for array in arrays.values())
  free = shutil.disk_usage(folder).free
  if free < needed:
    raise OSError(
      errno.ENOSPC,
      f'needs {needed / 1e6:.1f} MB, the disk has {free / 1e6:.1f}',
    )


def _replace(source: pathlib.Path, target: pathlib.Path) -> None:
  """Renames a folder over another; a target there is an equal older one."""
  if target.exists():
    shutil.rmtree(target)
  os.replace(source, target)
