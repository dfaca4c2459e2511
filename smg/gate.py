"""Which generated cases are good enough to be replayed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common import metrics


class Verdict(NamedTuple):
  """What is right with each of n candidates, (n,) each.

  Attributes:
    finite: all of its values are.
    sized: its foreground is as large as the site's is.
    agrees: the segmenter finds its label.
  """

  finite: np.ndarray
  sized: np.ndarray
  agrees: np.ndarray

  @property
  def passed(self) -> np.ndarray:
    return self.finite & self.sized & self.agrees

  def choose(self, num_cases: int) -> np.ndarray:
    """Candidates in order, those that pass or, without any, the finite ones.

    They come again in turn where there are fewer than asked for.
    """
    good = np.flatnonzero(self.passed if self.passed.any() else self.finite)
    return good[np.arange(num_cases) % len(good)]

  def to_metrics(self) -> dict[str, int]:
    return {
      'replay/candidates': len(self.finite),
      'replay/accepted': int(self.passed.sum()),
      'replay/rejected_not_finite': int((~self.finite).sum()),
      'replay/rejected_area': int((~self.sized).sum()),
      'replay/rejected_agreement': int((~self.agrees).sum()),
    }


def judge(
  image: np.ndarray,
  label: np.ndarray,
  found: np.ndarray,
  *,
  classes: Sequence[int],
  area: np.ndarray,
  area_margin: float,
  agreement: float,
) -> Verdict:
  """Judges candidates.

  Args:
    image: (n, *s, c).
    label: (n, *s), of the image.
    found: (n, *s), what the segmenter makes of the image; where it is the
      label, they agree.
    classes: of labels beside 0.
    area: (2,), least and greatest share of foreground met at the site.
    area_margin: share by which that range is widened.
    agreement: least mean Dice of label and found.
  """
  num, (low, high) = len(image), area
  share = (label > 0).reshape(num, -1).mean(axis=1)
  return Verdict(
    finite=np.isfinite(image).reshape(num, -1).all(axis=1),
    sized=(share >= low * (1 - area_margin))
    & (share <= high * (1 + area_margin)),
    agrees=np.array(
      [_dice(*pair, classes) for pair in zip(label, found, strict=True)]
    )
    >= agreement,
  )


def _dice(a: np.ndarray, b: np.ndarray, classes: Sequence[int]) -> float:
  """Mean over the classes that either has, 1 where none has any."""
  scores = metrics.dice_per_label(a, b, classes)
  scores = scores[~np.isnan(scores)]
  return float(scores.mean()) if scores.size else 1.0
