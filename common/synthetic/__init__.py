"""Synthetic streams that look like what they stand for.

Registration: `brain_mr` and `abdomen_ct` register different people, `lung_ct`
two phases of breathing, `abdomen_mr_ct` two scanners. Segmentation: six sites
that image the prostate, each with a scanner and patients of its own. Anatomies
are formulas that are drawn at deformed coordinates, so images are sharp and the
ground truth is exact.
"""

from common.synthetic.sites import SITES, write_sites
from common.synthetic.stream import (
  DEFAULT_SHAPE,
  ground_truth,
  list_pairs,
  write_stream,
)

__all__ = (
  'DEFAULT_SHAPE',
  'SITES',
  'ground_truth',
  'list_pairs',
  'write_sites',
  'write_stream',
)
