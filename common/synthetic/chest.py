"""The lungs and what is around them, mm, RAS, in the coordinates of `torso`."""

import numpy as np

from common.synthetic import abdomen, solids, torso

EXTENT = (328.0, 240.0, 320.0)  # mm, field of view
CENTER = (0.0, 0.0, 46.0)
CT = abdomen.CT


def draw(points: np.ndarray) -> solids.Drawing:
  """The torso at points (3, n), mm; the mask is the lungs, the label 0."""
  frame = torso.create_frame(points)
  parts = abdomen.draw_parts(frame)
  return solids.Drawing(parts, solids.label(parts, {}), frame.lung < 0.0)


def landmarks() -> np.ndarray:
  """Forks and ends of the vessel tree inside the lungs, (3, k), mm."""
  ends = np.stack([end for _, end, _ in torso.vessel_tree()], axis=1)
  return ends[:, torso.create_frame(ends).lung < -8.0]
