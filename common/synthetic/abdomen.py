"""Organs of the belly, mm, RAS, in the coordinates of `torso`."""

from collections.abc import Sequence

import numpy as np

from common.synthetic import solids, torso

EXTENT = (352.0, 260.0, 352.0)  # mm, field of view
CENTER = (0.0, 0.0, -118.0)

LABELS = {
  'liver': 1,
  'spleen': 2,
  'right_kidney': 3,
  'left_kidney': 4,
  'stomach': 5,
  'aorta': 6,
  'inferior_vena_cava': 7,
  'pancreas': 8,
  'vertebrae': 9,
}
_ORDER = (
  'vertebrae',
  'stomach',
  'pancreas',
  'right_kidney',
  'left_kidney',
  'spleen',
  'liver',
  'aorta',
  'inferior_vena_cava',
)
FOUR_ORGANS = ('liver', 'spleen', 'right_kidney', 'left_kidney')

CT = torso.CT | {
  'liver': 112.0,
  'liver_vessel': 165.0,
  'gallbladder': 8.0,
  'spleen': 128.0,
  'kidney': 195.0,
  'kidney_pelvis': 20.0,
  'stomach_wall': 80.0,
  'stomach': 22.0,
  'gas': -880.0,
  'pancreas': 92.0,
  'bowel_wall': 75.0,
  'bowel': 15.0,
  'aorta': 170.0,
  'inferior_vena_cava': 150.0,
}

T1 = torso.T1 | {
  'liver': 0.66,
  'liver_vessel': 0.30,
  'gallbladder': 0.22,
  'spleen': 0.40,
  'kidney': 0.50,
  'kidney_pelvis': 0.16,
  'stomach_wall': 0.36,
  'stomach': 0.20,
  'gas': 0.0,
  'pancreas': 0.72,
  'bowel_wall': 0.40,
  'bowel': 0.24,
  'aorta': 0.14,
  'inferior_vena_cava': 0.20,
}


def draw(
  points: np.ndarray, names: Sequence[str] = tuple(LABELS)
) -> solids.Drawing:
  """The torso at points (3, n), mm; the mask is all inside the skin.

  `names`, out of `LABELS`, have the label values 1, 2, ...
  """
  frame = torso.create_frame(points)
  organs = _organs(frame)
  values = {name: value for value, name in enumerate(names, 1)}
  labelled = [solids.Part(name, organs[name]) for name in _ORDER]
  return solids.Drawing(
    _parts(frame, organs), solids.label(labelled, values), frame.skin < 0.0
  )


def draw_parts(frame: torso.Frame) -> list[solids.Part]:
  """All parts of the torso, outermost first."""
  return _parts(frame, _organs(frame))


def _parts(
  frame: torso.Frame, organs: dict[str, np.ndarray]
) -> list[solids.Part]:
  return [
    *torso.wall_parts(frame),
    *_bowel(frame),
    *torso.chest_parts(frame),
    *torso.bone_parts(frame),
    *_stomach(frame, organs['stomach']),
    solids.Part('pancreas', organs['pancreas']),
    *_kidneys(organs),
    solids.Part('spleen', organs['spleen']),
    *_liver(frame, organs['liver']),
    solids.Part('aorta', organs['aorta']),
    solids.Part('inferior_vena_cava', organs['inferior_vena_cava']),
    *torso.lung_tree_parts(frame),
  ]


def _organs(frame: torso.Frame) -> dict[str, np.ndarray]:
  """Distances (n,), mm, of the labelled organs by name."""
  points = frame.points
  room = np.maximum(frame.cavity + 1.5, frame.below_diaphragm + 2.5)
  liver = _liver_outline(points, room)
  stomach = solids.tube(
    points,
    [(-62, -14, -46), (-66, 18, -70), (-48, 44, -108), (-14, 52, -124),
     (22, 40, -112)],
    [34, 34, 27, 20, 12],
  )  # fmt: skip
  spleen = solids.ellipsoid(
    solids.tilted(points, (-102.0, -38.0, -66.0), (25.0, 20.0, 0.0)),
    (-102.0, -38.0, -66.0),
    (27.0, 48.0, 56.0),
  )
  pancreas = solids.tube(
    points,
    [(34, 14, -152), (32, 18, -128), (4, 22, -116), (-34, 4, -104),
     (-70, -22, -92)],
    [13, 15, 11, 11, 9],
  )  # fmt: skip
  aorta = solids.tube(
    points,
    [(-16, -42, 20), (-8, -34, -80), (-6, -30, -215)],
    [12.0, 11.5, 10.0],
  )
  cava = solids.tube(points, [(20, -26, -215), (25, -26, -80), (24, -6, -2)],
                     12.0)  # fmt: skip
  stomach = solids.intersection(stomach, room, smooth=6.0)
  spleen = solids.minus(np.maximum(spleen, room), stomach - 2.0, smooth=4.0)
  return {
    'liver': solids.minus(liver, stomach - 2.0, cava - 1.0, smooth=4.0),
    'spleen': spleen,
    'right_kidney': solids.minus(_kidney(points, 1.0), liver - 3.0),
    'left_kidney': solids.minus(_kidney(points, -1.0), spleen - 3.0),
    'stomach': stomach,
    'aorta': aorta,
    'inferior_vena_cava': cava,
    'pancreas': solids.minus(pancreas, stomach - 2.0),
    'vertebrae': torso.spine(frame),
  }


def _liver_outline(points: np.ndarray, room: np.ndarray) -> np.ndarray:
  """A wedge under the right dome: thick on the right, thin on the left."""
  x, y, z = points
  under = (-160.0 + 0.62 * (122.0 - x) - 0.10 * (y - 10.0) - z) * 0.85
  behind = (-24.0 - 0.72 * x - y) * 0.8
  left = -72.0 - x
  return solids.intersection(
    room, under, np.maximum(behind, -86.0 - y), left, smooth=16.0
  )


def _kidney(points: np.ndarray, side: float) -> np.ndarray:
  center = (side * 64.0, -42.0, -150.0 if side > 0.0 else -134.0)
  turned = solids.tilted(points, center, (12.0, side * 14.0, 0.0))
  bean = solids.ellipsoid(turned, center, (27.0, 25.0, 54.0))
  hilum = (center[0] - side * 25.0, center[1] + 8.0, center[2])
  notch = solids.ellipsoid(turned, hilum, (12.0, 14.0, 14.0))
  return solids.minus(bean, notch, smooth=6.0)


def _kidneys(organs: dict[str, np.ndarray]) -> list[solids.Part]:
  both = solids.union(organs['right_kidney'], organs['left_kidney'])
  return [
    solids.Part('kidney', both),
    solids.Part('kidney_pelvis', both + 15.0),
  ]


def _stomach(frame: torso.Frame, outline: np.ndarray) -> list[solids.Part]:
  """Wall, contents, and gas that floats to the front."""
  _, y, _ = frame.points
  return [
    solids.Part('stomach_wall', outline),
    solids.Part('stomach', outline + 5.0),
    solids.Part('gas', np.maximum(outline + 6.0, 30.0 - y)),
  ]


def _liver(frame: torso.Frame, outline: np.ndarray) -> list[solids.Part]:
  """Parenchyma, portal and hepatic veins, gallbladder."""
  points = frame.points
  portal = solids.tube(
    points,
    [(4, 10, -118), (24, 0, -92), (46, 2, -74), (82, -18, -72),
     (108, -34, -84)],
    [7.0, 7.5, 6.5, 5.0, 3.0],
  )  # fmt: skip
  branches = solids.union(
    solids.tube(points, [(46, 2, -74), (84, 30, -82)], [5.5, 3.0]),
    solids.tube(points, [(40, 4, -74), (-8, 34, -58)], [5.5, 3.0]),
    solids.tube(points, [(25, -12, -18), (72, -24, -40)], [6.5, 3.0]),
    solids.tube(points, [(25, -10, -18), (58, 30, -44)], [6.0, 3.0]),
    solids.tube(points, [(22, -8, -18), (-14, 34, -34)], [5.0, 3.0]),
  )
  veins = np.maximum(solids.union(portal, branches), outline + 3.0)
  gallbladder = solids.ellipsoid(
    solids.tilted(points, (56.0, 40.0, -122.0), (25.0, 0.0, 0.0)),
    (56.0, 40.0, -122.0),
    (15.0, 16.0, 28.0),
  )
  return [
    solids.Part('liver', outline),
    solids.Part('liver_vessel', veins),
    solids.Part('gallbladder', gallbladder),
  ]


def _bowel(frame: torso.Frame) -> list[solids.Part]:
  """Loops of the small bowel within the frame of the colon."""
  points = frame.points
  room = frame.cavity + 2.0
  bag = solids.ellipsoid(points, (0.0, 34.0, -232.0), (92.0, 48.0, 84.0))
  loops = np.maximum(np.maximum(4.0 - solids.sheets(points, 66.0), bag), room)
  colon = solids.tube(
    points,
    [(96, 16, -285), (108, 4, -225), (106, 8, -178), (86, 44, -168),
     (0, 66, -184), (-84, 40, -146), (-112, -8, -128), (-114, -20, -215),
     (-100, -6, -290)],
    [24, 23, 21, 19, 18, 18, 17, 15, 15],
  )  # fmt: skip
  colon = np.maximum(colon, room)
  gas = np.maximum(colon + 7.0, solids.sheets(points, 90.0, 2.0) - 8.0)
  return [
    solids.Part('bowel_wall', loops),
    solids.Part('bowel', loops + 4.0),
    solids.Part('bowel_wall', colon),
    solids.Part('bowel', colon + 4.0),
    solids.Part('gas', gas),
  ]
