"""The head without its skull: a brain in millimetres, RAS.

The origin is the middle of the field of view; the midline is x = 0.
"""

import numpy as np

from common.synthetic import solids

EXTENT = (160.0, 186.0, 160.0)  # mm, field of view

LABELS = {
  'right_white_matter': 1,
  'left_white_matter': 2,
  'right_cortex': 3,
  'left_cortex': 4,
  'right_lateral_ventricle': 5,
  'left_lateral_ventricle': 6,
  'right_thalamus': 7,
  'left_thalamus': 8,
  'right_striatum': 9,
  'left_striatum': 10,
  'cerebellum': 11,
  'brainstem': 12,
}

# What parts count as; on the left one more, up to the striatum.
_VALUES = {
  'white_matter': 1,
  'cortex': 3,
  'sulcus': 3,
  'lateral_ventricle': 5,
  'thalamus': 7,
  'striatum': 9,
  'cerebellum': 11,
  'folia': 11,
  'arbor_vitae': 11,
  'brainstem': 12,
}

# Shares of the white level in a T1-weighted image.
T1 = {
  'fluid': 0.16,
  'sulcus': 0.18,
  'cortex': 0.64,
  'white_matter': 1.0,
  'cerebellum': 0.66,
  'folia': 0.46,
  'arbor_vitae': 0.95,
  'brainstem': 0.93,
  'striatum': 0.70,
  'thalamus': 0.80,
  'lateral_ventricle': 0.18,
}


def draw(points: np.ndarray) -> solids.Drawing:
  """The brain at points (3, n), mm; the mask is its envelope."""
  shifted = points + np.asarray([[0.0], [-5.0], [6.0]], points.dtype)
  mirrored = shifted.copy()
  mirrored[0] = np.abs(mirrored[0])
  cerebrum = _cerebrum(mirrored)
  envelope = _envelope(mirrored, cerebrum)
  parts = [
    solids.Part('fluid', envelope),
    *_hemispheres(shifted, mirrored, cerebrum),
    *_hindbrain(shifted, mirrored),
    *_deep(mirrored),
  ]
  label = solids.label(parts, _VALUES)
  label += ((points[0] < 0.0) & (label % 2 == 1) & (label < 11)).astype(
    np.uint8
  )
  return solids.Drawing(parts, label, envelope < 0.0)


def _cerebrum(mirrored: np.ndarray) -> np.ndarray:
  """Smooth outline of a hemisphere, the fissure and the lobes."""
  upper = solids.ellipsoid(mirrored, (20.0, -5.0, 13.0), (48.0, 81.0, 58.0))
  flat = -(mirrored[2] + 14.0 - 0.004 * (mirrored[1] + 30.0) ** 2 * 0.5) * 0.9
  upper = solids.intersection(upper, flat, smooth=16.0)
  temporal = solids.ellipsoid(
    solids.tilted(mirrored, (45.0, 2.0, -19.0), (8.0, 0.0, -6.0)),
    (45.0, 2.0, -19.0),
    (21.0, 45.0, 22.0),
  )
  return solids.minus(
    solids.union(upper, temporal, smooth=3.0), mirrored[0] - 0.8, smooth=4.0
  )


def _envelope(mirrored: np.ndarray, cerebrum: np.ndarray) -> np.ndarray:
  hull = solids.ellipsoid(mirrored, (0.0, -5.0, 13.0), (62.0, 76.0, 56.0))
  hull = np.maximum(hull, -10.0 - mirrored[2])
  return solids.union(
    cerebrum - 1.5,
    hull,
    _cerebellum(mirrored) - 1.5,
    _stem(mirrored) - 1.5,
    smooth=8.0,
  )


def _hemispheres(
  shifted: np.ndarray, mirrored: np.ndarray, cerebrum: np.ndarray
) -> list[solids.Part]:
  """Cortex with sulci, then the white matter it covers."""
  fold = solids.sheets(shifted, 48.0)
  deep = -cerebrum
  sulcus = np.maximum(fold - 1.0 + 0.06 * np.maximum(deep, 0.0), deep - 15.0)
  lateral = (52.0, 8.0, 1.0)
  insula = solids.ellipsoid(
    solids.tilted(mirrored, lateral, (14.0, 28.0, 0.0)),
    lateral,
    (13.0, 24.0, 1.4),
  )
  sulcus = solids.union(sulcus, insula)
  ribbon = solids.union(
    np.maximum(fold - 4.8, deep - 18.0), insula - 3.5, smooth=2.0
  )
  white = solids.minus(cerebrum + 3.8, ribbon, smooth=2.0)
  callosum = solids.tube(
    mirrored,
    [(0, 26, -2), (0, 34, 6), (0, 26, 17), (0, 4, 25), (0, -24, 24),
     (0, -40, 15), (0, -38, 8)],
    [3.0, 5.0, 4.0, 3.5, 3.5, 5.5, 3.5],
  )  # fmt: skip
  white = solids.union(white, callosum, smooth=5.0)
  return [
    solids.Part('cortex', cerebrum),
    solids.Part('sulcus', np.maximum(sulcus, cerebrum), 2.0),
    solids.Part('white_matter', white),
  ]


def _cerebellum(mirrored: np.ndarray) -> np.ndarray:
  lobe = solids.ellipsoid(mirrored, (24.0, -58.0, -35.0), (29.0, 27.0, 21.0))
  vermis = solids.ellipsoid(mirrored, (0.0, -56.0, -30.0), (9.0, 22.0, 18.0))
  return solids.union(lobe, vermis, smooth=6.0)


def _stem(mirrored: np.ndarray) -> np.ndarray:
  return solids.union(
    solids.tube(
      mirrored,
      [(0, -20, -6), (0, -22, -24), (0, -30, -48), (0, -36, -74)],
      [12.0, 13.0, 10.0, 7.5],
    ),
    solids.ellipsoid(mirrored, (0.0, -17.0, -28.0), (16.0, 11.0, 13.0)),
    smooth=6.0,
  )


def _hindbrain(shifted: np.ndarray, mirrored: np.ndarray) -> list[solids.Part]:
  """Cerebellum with folia and its white tree, brainstem, fourth ventricle."""
  whole = _cerebellum(mirrored)
  stripes = np.abs(np.mod(0.8 * shifted[2] - 0.25 * whole, 8.0) - 4.0) - 1.0
  core = solids.union(
    solids.ellipsoid(mirrored, (16.0, -50.0, -33.0), (15.0, 10.0, 6.0)),
    np.maximum(whole + 7.0, solids.sheets(shifted, 26.0, 1.0) - 2.0),
    smooth=4.0,
  )
  fourth = solids.ellipsoid(mirrored, (0.0, -38.0, -32.0), (7.0, 4.0, 10.0))
  return [
    solids.Part('cerebellum', whole),
    solids.Part('folia', np.maximum(whole + 1.0, stripes), 2.0),
    solids.Part('arbor_vitae', core),
    solids.Part('brainstem', _stem(mirrored)),
    solids.Part('fluid', fourth),
  ]


def _deep(mirrored: np.ndarray) -> list[solids.Part]:
  """Grey nuclei and ventricles."""
  head = solids.tube(
    mirrored,
    [(12, 22, 2), (15, 14, 10), (17, -4, 17), (20, -22, 16)],
    [7.0, 6.5, 4.5, 3.0],
  )
  lentiform = solids.ellipsoid(
    solids.tilted(mirrored, (26.0, 2.0, 2.0), (0.0, 0.0, -14.0)),
    (26.0, 2.0, 2.0),
    (7.5, 20.0, 11.0),
  )
  thalamus = solids.ellipsoid(
    solids.tilted(mirrored, (11.5, -16.0, 7.0), (0.0, 0.0, 20.0)),
    (11.5, -16.0, 7.0),
    (9.0, 15.0, 9.5),
  )
  lateral = solids.tube(
    mirrored,
    [(7, 30, 5), (7, 12, 14), (9, -12, 20), (17, -36, 16), (26, -42, 2),
     (32, -22, -14), (34, -6, -18)],
    [4.5, 5.5, 5.5, 7.5, 5.5, 3.0, 2.0],
  )  # fmt: skip
  horn = solids.tube(mirrored, [(20, -40, 9), (17, -62, 6)], [6.5, 2.5])
  third = solids.ellipsoid(mirrored, (0.0, -10.0, 2.0), (2.2, 13.0, 10.0))
  return [
    solids.Part('striatum', solids.union(head, lentiform)),
    solids.Part('thalamus', thalamus),
    solids.Part('fluid', third),
    solids.Part('lateral_ventricle', solids.union(lateral, horn, smooth=3.0)),
  ]
