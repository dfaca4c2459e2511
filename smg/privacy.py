"""Does the generator repeat its training images? A first check.

A sample that is nearer to a training image than real images of other patients
ever are would be a copy. Near is meant by normalised correlation, which sees
through changes of brightness and contrast.
"""

import dataclasses
import pathlib

from matplotlib import figure as mpl_figure
import numpy as np

from common import figures


@dataclasses.dataclass(frozen=True)
class Audit:
  """Correlation with the nearest training image, of one site.

  generated: (n,), of every sample.
  held_out: (m,), of every real image that was not trained on.
  """

  generated: np.ndarray
  held_out: np.ndarray

  @property
  def limit(self) -> float:
    """Correlation that 1 % of the held-out images reach (distance: 1st pct)."""
    return float(np.percentile(self.held_out, 99))

  @property
  def share_closer(self) -> float:
    """Share of samples that are closer than that; .01 is to be expected."""
    return float((self.generated > self.limit).mean())

  def to_json(self) -> dict[str, float | list[float]]:
    """Quartiles of both, the limit, the share."""
    quartiles = (0, 25, 50, 75, 100)
    return {
      'generated': np.percentile(self.generated, quartiles).round(4).tolist(),
      'held_out': np.percentile(self.held_out, quartiles).round(4).tolist(),
      'limit': round(self.limit, 4),
      'share_closer': round(self.share_closer, 4),
    }


def audit(
  generated: np.ndarray, held_out: np.ndarray, training: np.ndarray
) -> Audit:
  """Compares images (n, *s, c) of one site with its training images."""
  return Audit(
    *(nearest_correlation(x, training) for x in (generated, held_out))
  )


def nearest_correlation(images: np.ndarray, training: np.ndarray) -> np.ndarray:
  """Pearson correlation with the nearest of (m, *s, c), for each of (n, *s, c).

  An image of one value correlates with nothing: 0.
  """
  return (_standardise(images) @ _standardise(training).T).max(axis=1)


def draw(path: pathlib.Path, audits: dict[str, Audit]) -> None:
  """Both distributions of every site.

  Raises:
    InputError: the file cannot be written.
  """
  figure = mpl_figure.Figure(
    figsize=(7.2, 1.0 + 1.15 * len(audits)), layout='constrained'
  )
  rows = figure.subplots(len(audits), 1, sharex=True, squeeze=False)[:, 0]
  for axes, (name, found) in zip(rows, audits.items(), strict=True):
    low = min(found.generated.min(), found.held_out.min())
    bins = np.linspace(low, 1, 41)
    for values, color, label in (
      (found.held_out, figures.GREY, 'held-out real images'),
      (found.generated, figures.PALETTE[0], 'generated images'),
    ):
      axes.hist(values, bins, density=True, alpha=0.6, color=color, label=label)
    axes.axvline(found.limit, color=figures.PALETTE[1], linestyle='--')
    axes.set_ylabel(figures.plain(name), fontsize=9)
    axes.set_yticks([])
    figures.tidy(axes)
  rows[-1].set_xlabel('correlation with the nearest training image')
  figure.legend(
    *rows[0].get_legend_handles_labels(),
    loc='outside upper center',
    ncols=2,
    frameon=False,
  )
  figures.save(
    figure,
    path,
    'How near generated and held-out real images come to a training image of '
    'their site. Dashed: what 1 % of the held-out images pass.',
  )


def _standardise(images: np.ndarray) -> np.ndarray:
  """(n, *s, c) -> (n, values) of mean 0 and length 1, or 0."""
  flat = np.asarray(images, np.float64).reshape(len(images), -1)
  flat = flat - flat.mean(axis=1, keepdims=True)
  length = np.linalg.norm(flat, axis=1, keepdims=True)
  # Rounding leaves something of an image of one value.
  return np.where(length > 1e-9, flat, 0) / np.maximum(length, 1e-9)
