"""A compiled function in one file: it needs jax to be called, and none of us.

    found = artifact.load(pathlib.Path('model.zip'))
    found.about, found.call(images)

The file is a zip with `function.bin`, which `jax.export.deserialize` reads, and
`about.json`. Writing and reading need flatbuffers, the extra [export].
"""

from collections.abc import Callable, Mapping, Sequence
import io
import json
import pathlib
from typing import Any, NamedTuple
import zipfile

import jax
from jax import export

from common import errors, extras, files

_FUNCTION, _ABOUT = 'function.bin', 'about.json'


class Artifact(NamedTuple):
  """A function that was exported, and what was said about it."""

  call: Callable[..., Any]
  about: dict[str, Any]


def save(
  path: pathlib.Path,
  function: Callable[..., Any],
  arguments: Sequence[jax.ShapeDtypeStruct],
  about: Mapping[str, Any],
) -> None:
  """Writes a function for the kind of device that is used now.

  Args:
    path: a .zip file.
    function: of arrays, with all other values in it.
    arguments: shapes and types of its arrays; sizes may be symbols.
    about: what a caller has to know, as JSON can hold it.

  Raises:
    InputError: flatbuffers is not installed, no .zip suffix, or the file cannot
      be written.
  """
  if path.suffix.lower() != '.zip':
    raise errors.InputError(
      f"{path}: suffix: found {path.suffix!r}, allowed '.zip'"
    )
  extras.load('flatbuffers', 'export', path)
  exported = export.export(jax.jit(function))(*arguments)
  about = dict(about) | {'platforms': list(exported.platforms)}
  content = io.BytesIO()
  with zipfile.ZipFile(content, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr(_FUNCTION, bytes(exported.serialize()))
    archive.writestr(_ABOUT, json.dumps(about, indent=2) + '\n')
  files.write_bytes(path, content.getvalue())


def load(path: pathlib.Path) -> Artifact:
  """Reads what `save` wrote.

  Raises:
    InputError: flatbuffers is not installed, or the file is no such one.
  """
  extras.load('flatbuffers', 'export', path)
  try:
    with zipfile.ZipFile(path) as archive:
      function = export.deserialize(bytearray(archive.read(_FUNCTION)))
      about = json.loads(archive.read(_ABOUT))
  except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
    raise errors.InputError(
      f'{path}: file: found no exported function ({type(error).__name__})'
    ) from error
  return Artifact(function.call, about)
