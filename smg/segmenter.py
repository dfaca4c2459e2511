"""A trained network that segments any image, compiled once.

    segmenter = Segmenter.load(pathlib.Path('runs/smg_demo'))
    found = segmenter.segment(pathlib.Path('mr.nii.gz'))
    volumes.save_volume('label.nii.gz', found.label.data, like=found.label)

It needs the working directory of a run and nothing of what the run was trained
on, and no matplotlib.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import pathlib

from flax import linen as nn
import jax
from jax import export
import jax.numpy as jnp
import numpy as np

from common import artifact, errors, files, grids, trained
from common import train_state as ts
from smg import cases, folders, inference, specs, unet

# What of a site's fields decides how an image is brought to the network.
_PREPARATION = (
  'format',
  'channels',
  'label_values',
  'spacing',
  'slice_axis',
  'percentiles',
)


@dataclasses.dataclass(frozen=True, eq=False)
class Segmentation:
  """What is found in an image, on the grid of its file.

  Attributes:
    label: (x, y, z) in the values of the site's files; a png has one slice.
    probabilities: (x, y, z, 1 + classes), float32, 0 throughout beyond the
      network's grid.
    values: that labels have in the site's files, of each class they tell.
    covered: share of the image that the network saw.
    image: what the network saw, (n, *s, c) in [0, 1], and `found`, the class
      numbers there, (n, *s).
  """

  label: grids.Volume
  probabilities: grids.Volume
  values: tuple[int, ...]
  covered: float
  image: np.ndarray
  found: np.ndarray


class Segmenter:
  """Segments images on the grid of a network.

  Args:
    network: (b, *s, c) images -> (b, *s, 1 + classes) logits, see `unet`.
    params: of the network.
    shape: of its grid, two numbers for slices, three for volumes.
    classes: in the order of the logits, after the background.
    sites: how the images of each site are prepared.
    chunk: images at once.
  """

  def __init__(
    self,
    network: nn.Module,
    params: ts.Params,
    *,
    shape: Sequence[int],
    classes: Sequence[int],
    sites: Mapping[str, specs.Spec],
    chunk: int = 8,
  ):
    self._network, self._params = network, jax.device_put(params)
    self.shape, self.classes = tuple(shape), tuple(classes)
    self.sites, self._chunk = dict(sites), chunk
    self._predict = jax.jit(self._apply)

  @classmethod
  def load(cls, workdir: pathlib.Path) -> 'Segmenter':
    """The network of a run of `smg.train`.

    Raises:
      InputError: as `trained.load`.
    """
    found = trained.load(workdir, 'sites')
    config, data = found.config, found.config['data']
    return cls(
      unet.UNet(num_classes=1 + len(data['classes']), **config['model']),
      found.params,
      shape=data['shape'],
      classes=sorted(data['classes']),
      sites={
        name: specs.parse(name, {**config['sites'][name], 'root': workdir})
        for name in (*config['stream'], *config['unseen'])
      },
      chunk=8 if len(data['shape']) == 2 else 1,
    )

  def spec(self, site: str = '') -> specs.Spec:
    """How images are prepared.

    Raises:
      InputError: the run has no such site; or none is named, and images of its
        sites are not prepared alike.
    """
    if site and site not in self.sites:
      raise errors.InputError(
        f'--site={site}: the run has {", ".join(self.sites)}'
      )
    if site:
      return self.sites[site]
    ways = {
      tuple(getattr(spec, field) for field in _PREPARATION)
      for spec in self.sites.values()
    }
    if len(ways) > 1:
      raise errors.InputError(
        '--site: missing; the images of this run are not prepared alike, '
        f'allowed: {", ".join(self.sites)}'
      )
    return next(iter(self.sites.values()))

  def segment(
    self,
    path: pathlib.Path,
    *,
    site: str = '',
    index: int | None = None,
    flips: bool = False,
  ) -> Segmentation:
    """Segments one file.

    Args:
      path: of a volume, see `volumes.load_volume`, or of a png where the run
        learnt such.
      site: whose images these are like, see `spec`.
      index: of a volume in a 4-D file.
      flips: average with the answer for the mirrored image, left for right.
        Other flips do harm: anatomy is not upside down in any training.

    Raises:
      InputError: the file cannot be used, see `cases.prepare`; it has a size
        that no patient has, or seems to be a label map; `flips` of slices
        that have no left and right.
    """
    spec = self.spec(site)
    if not path.exists():
      raise errors.InputError(
        f'{path}: file: found nothing, allowed an existing one'
      )
    if not folders.is_image(path, spec.format):
      raise errors.InputError(
        f'{path}: suffix: found {path.suffix!r}, allowed '
        f'{folders.EXTENSIONS[spec.format]}: the network learnt {spec.format}'
      )
    mirror = _across(spec, len(self.shape)) if flips else None
    case = cases.Case(files.stem(path), path, index=index)
    prepared = cases.prepare(
      case, spec, self.shape, self.classes, is_trusted=spec.format == 'png'
    )
    shares = self.predict(prepared.image, mirror=mirror)
    probabilities = prepared.restore_maps(shares)
    classes = np.array((0, *self.classes), np.uint8)
    label = classes[probabilities.data.argmax(axis=-1)]
    background, *values = prepared.to_file_values(classes).tolist()
    return Segmentation(
      label=dataclasses.replace(
        probabilities, data=prepared.to_file_values(label)
      ),
      probabilities=probabilities,
      values=tuple(value for value in values if value != background),
      covered=grids.covered(prepared.original.grid, prepared.grid),
      image=prepared.image,
      found=classes[shares.argmax(axis=-1)],
    )

  def export(self, path: pathlib.Path) -> None:
    """Writes the network as `smg.export` says.

    Raises:
      InputError: as `artifact.save`.
    """
    channels = next(iter(self.sites.values())).channels
    sides = ', '.join(map(str, (*self.shape, channels)))
    shape = export.symbolic_shape(f'b, {sides}')
    about = {
      'problem': 'segmentation',
      'shape': self.shape,
      'classes': self.classes,
      'sites': {
        name: {field: getattr(spec, field) for field in _PREPARATION}
        for name, spec in self.sites.items()
      },
    }
    artifact.save(
      path,
      functools.partial(self._apply, self._params),
      [jax.ShapeDtypeStruct(shape, jnp.float32)],
      about,
    )

  def predict(
    self, images: np.ndarray, *, mirror: int | None = None
  ) -> np.ndarray:
    """Probabilities (n, *s, 1 + classes) of images (n, *s, c) in [0, 1].

    With `mirror`, an axis of s, the mean with those of the mirrored images.
    """
    predict = functools.partial(self._predict, self._params)
    found = inference.in_chunks(predict, images, self._chunk)
    if mirror is None:
      return found
    axis = 1 + mirror
    flipped = np.flip(images, axis)
    mirrored = inference.in_chunks(predict, flipped, self._chunk)
    return (found + np.flip(mirrored, axis)) / 2

  def _apply(self, params: ts.Params, images: jax.Array) -> jax.Array:
    logits = inference.logits(self._network, params, images)
    return jax.nn.softmax(logits.astype(jnp.float32), axis=-1)


def _across(spec: specs.Spec, dimensions: int) -> int:
  """The axis from left to right of what the network sees."""
  if spec.format == 'png':
    return 1
  if dimensions == 2 and spec.slice_axis == 0:
    raise errors.InputError(
      f'flips: found slices of site {spec.name} across axis 0, which have no '
      'left and right, allowed those across another axis'
    )
  return 0
