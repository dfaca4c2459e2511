"""What lies around the prostate, mm, RAS, relative to the gland's center."""

import dataclasses

import numpy as np

from common.synthetic import solids

T2 = {
  'fat': 0.74,
  'fascia': 0.45,
  'muscle': 0.15,
  'cortex': 0.04,
  'marrow': 0.52,
  'cartilage': 0.24,
  'bladder_wall': 0.20,
  'urine': 1.0,
  'vesicle_wall': 0.26,
  'vesicle': 0.92,
  'plexus': 0.54,
  'vein': 0.86,
  'artery': 0.06,
  'rectal_wall': 0.22,
  'mucosa': 0.55,
  'stool': 0.36,
  'gas': 0.02,
}

# After contrast agent, fat suppressed: water and fat are dark, vessels bright.
T1_ENHANCED = {
  'fat': 0.10,
  'fascia': 0.24,
  'muscle': 0.36,
  'cortex': 0.03,
  'marrow': 0.15,
  'cartilage': 0.30,
  'bladder_wall': 0.48,
  'urine': 0.06,
  'vesicle_wall': 0.56,
  'vesicle': 0.18,
  'plexus': 0.40,
  'vein': 0.95,
  'artery': 1.0,
  'rectal_wall': 0.50,
  'mucosa': 0.82,
  'stool': 0.22,
  'gas': 0.02,
}

_SIDES = (1.0, -1.0)


@dataclasses.dataclass(frozen=True)
class Organs:
  """How the pelvis of one patient differs from others, mm.

  rectum: radius.
  rectum_shift: to the right.
  press: how far the rectum indents the gland; negative for a gap.
  gas_level: gas is in front of this, from the middle of the rectum.
  bladder_floor: height above the middle of the gland.
  side: to the obturator muscles.
  front: to the pubic bones.
  """

  rectum: float
  rectum_shift: float
  press: float
  gas_level: float
  bladder_floor: float
  side: float
  front: float


def rectum(points: np.ndarray, organs: Organs, radii: np.ndarray) -> np.ndarray:
  """Distance (n,) to the outside of the rectum, behind a gland of `radii`."""
  return solids.ellipsoid(
    points,
    (organs.rectum_shift, _rectum_middle(organs, radii), 0.0),
    (1.15 * organs.rectum, organs.rectum, 75.0),
  )


def parts(
  points: np.ndarray,
  organs: Organs,
  radii: np.ndarray,
  gland: np.ndarray,
  rectum: np.ndarray,
  fine: np.ndarray,
) -> list[solids.Part]:
  """All but the gland, outermost first.

  Args:
    points: (3, n), mm, from the middle of the gland.
    organs: the patient's.
    radii: half axes of the gland, mm.
    gland: distance (n,) to it.
    rectum: distance (n,) to it.
    fine: distance (n,) to a labyrinth, for textures.
  """
  return [
    *_fat(points),
    *_wall(points, organs),
    *_bones(points, organs),
    *_floor(points, organs, radii),
    *_bladder(points, organs, radii),
    *_vesicles(points, radii, fine),
    *_plexus(points, radii, gland),
    *_bowel(points, organs, radii, rectum),
  ]


def _rectum_middle(organs: Organs, radii: np.ndarray) -> float:
  return -0.9 * radii[1] + organs.press - organs.rectum


def _fat(points: np.ndarray) -> list[solids.Part]:
  sheets = solids.sheets(points, 30.0)
  return [
    solids.Part('fat', np.full_like(points[0], -99.0)),
    solids.Part('fascia', sheets - 0.4, thickness=0.8),
  ]


def _wall(points: np.ndarray, organs: Organs) -> list[solids.Part]:
  """Obturator internus as crescents on both sides, gluteus behind."""
  side = organs.side
  outer = solids.ellipsoid(points, (0, 2, 0), (side + 13.0, 50.0, 90.0))
  inner = solids.ellipsoid(points, (0, 0, 0), (side, 52.0, 90.0))
  crescents = solids.minus(outer, inner, smooth=3.0)
  gluteus = [
    solids.ellipsoid(points, (s * 40.0, -68.0, 0.0), (30.0, 18.0, 90.0))
    for s in _SIDES
  ]
  return [
    solids.Part('muscle', crescents),
    solids.Part('muscle', solids.union(*gluteus)),
  ]


def _bones(points: np.ndarray, organs: Organs) -> list[solids.Part]:
  """Pubic bodies with the joint between them, and the ischia."""
  parts = []
  for side in _SIDES:
    place = (side * 17.0, organs.front + 11.0, -6.0)
    turned = solids.tilted(points, place, (0.0, 0.0, side * -24.0))
    pubis = solids.ellipsoid(turned, place, (19.0, 9.5, 26.0))
    place = (side * (organs.side + 25.0), -6.0, 0.0)
    ischium = solids.ellipsoid(points, place, (13.0, 26.0, 90.0))
    bone = np.minimum(pubis, ischium)
    parts += [
      solids.Part('cortex', bone),
      solids.Part('marrow', bone + 2.0),
    ]
  joint = solids.ellipsoid(
    points, (0.0, organs.front + 12.0, -8.0), (3.5, 9.0, 20.0)
  )
  return [*parts, solids.Part('cartilage', joint)]


def _floor(
  points: np.ndarray, organs: Organs, radii: np.ndarray
) -> list[solids.Part]:
  """Levator ani: a sling around gland and rectum that narrows downwards."""
  x, y, z = points
  widening = 1.0 + 0.012 * np.clip(z, -30.0, 30.0)
  funnel = np.stack([x / widening, y, np.zeros_like(z)])
  half = max(radii[0] + 6.0, 1.15 * organs.rectum + 4.0)
  behind = _rectum_middle(organs, radii) - organs.rectum - 5.0
  middle = 0.5 * (behind + 0.6 * radii[1])
  sling = solids.ellipsoid(
    funnel, (0.0, middle, 0.0), (half, middle - behind, 99.0)
  )
  shell = np.maximum(np.abs(sling - 2.0) - 2.0, y - 0.35 * radii[1])
  return [solids.Part('muscle', shell)]


def _bladder(
  points: np.ndarray, organs: Organs, radii: np.ndarray
) -> list[solids.Part]:
  outline = solids.ellipsoid(
    points,
    (0.0, radii[1] + 3.0, organs.bladder_floor + 24.0),
    (32.0, 18.0, 24.0),
  )
  return [
    solids.Part('bladder_wall', outline),
    solids.Part('urine', outline + 3.0),
  ]


def _vesicles(
  points: np.ndarray, radii: np.ndarray, fine: np.ndarray
) -> list[solids.Part]:
  """Above and behind the gland; convoluted."""
  both = [
    solids.ellipsoid(
      solids.tilted(points, (0.0, 0.0, 0.0), (0.0, 0.0, side * 12.0)),
      (side * 15.0, -0.75 * radii[1], radii[2] + 3.0),
      (16.0, 5.0, 7.0),
    )
    for side in _SIDES
  ]
  outline = solids.union(*both)
  return [
    solids.Part('vesicle_wall', outline),
    solids.Part('vesicle', np.maximum(outline + 0.8, 0.5 - fine)),
  ]


def _plexus(
  points: np.ndarray, radii: np.ndarray, gland: np.ndarray
) -> list[solids.Part]:
  """Veins in front and beside the gland, bundles at its back corners."""
  thickness = 6.0 / (1.0 + np.exp((-0.2 * radii[1] - points[1]) / 3.0))
  room = gland - thickness
  walls = solids.sheets(points, 7.0, 1.0)
  bundles = [
    solids.tube(
      points,
      [(s * 0.82 * radii[0], -0.92 * radii[1], z) for z in (-30.0, 30.0)],
      2.6,
    )
    for s in _SIDES
  ]
  bundle = np.minimum(*bundles)
  return [
    solids.Part('plexus', solids.union(gland - 2.0, room)),
    solids.Part('vein', np.maximum(room + 1.0, 0.4 - walls)),
    solids.Part('plexus', bundle),
    solids.Part('artery', bundle + 1.4),
  ]


def _bowel(
  points: np.ndarray, organs: Organs, radii: np.ndarray, rectum: np.ndarray
) -> list[solids.Part]:
  """Wall, and contents with gas on top of a man who lies on his back."""
  level = _rectum_middle(organs, radii) + organs.gas_level
  return [
    solids.Part('rectal_wall', rectum),
    solids.Part('mucosa', rectum + 2.6),
    solids.Part('stool', rectum + 4.0),
    solids.Part('gas', np.maximum(rectum + 4.0, level - points[1])),
  ]
