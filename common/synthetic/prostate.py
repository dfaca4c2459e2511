"""The prostate and its zones, mm, RAS, axial slices around the origin.

The peripheral zone is what the gland has around its inner part, so the two
labels are nested by construction. The rest of the pelvis is in `pelvis`.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from common.synthetic import deformation, pelvis, solids

LABELS = {'transition_zone': 1, 'peripheral_zone': 2}

T2 = pelvis.T2 | {
  'capsule': 0.32,
  'peripheral': 0.80,
  'septum': 0.60,
  'lesion': 0.35,
  'pseudocapsule': 0.26,
  'transition': 0.48,
  'strand': 0.38,
  'glandular_nodule': 0.74,
  'stromal_nodule': 0.24,
  'stroma': 0.20,
  'urethral_wall': 0.34,
  'urethra': 0.80,
}

T1_ENHANCED = pelvis.T1_ENHANCED | {
  'capsule': 0.46,
  'peripheral': 0.42,
  'septum': 0.44,
  'lesion': 0.75,
  'pseudocapsule': 0.52,
  'transition': 0.68,
  'strand': 0.76,
  'glandular_nodule': 0.58,
  'stromal_nodule': 0.90,
  'stroma': 0.46,
  'urethral_wall': 0.85,
  'urethra': 0.30,
}


@dataclasses.dataclass(frozen=True)
class Population:
  """Who comes to a site; each pair is the range of a uniform draw.

  size: of the gland, share of 44 x 30 x 30 mm.
  growth: of the inner gland, from 0 (young) to 1 (hyperplasia).
  rectum: radius, mm.
  press: how far the rectum indents the gland, mm; negative for a gap.
  gas: share of the rectum that is gas, from the front.
  """

  size: tuple[float, float] = (0.9, 1.1)
  growth: tuple[float, float] = (0.15, 0.65)
  rectum: tuple[float, float] = (9.0, 13.0)
  press: tuple[float, float] = (-3.0, 0.5)
  gas: tuple[float, float] = (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Person:
  """One patient.

  center: of the gland, mm.
  radii: half axes of the gland, mm.
  tilt: of the gland about x, y, z, degrees.
  growth: as in `Population`.
  lean: by which share the right lobes are larger and the left ones smaller.
  nodules: (k, 4) center in shares of `radii`, and radius in mm.
  lesion: (4,) likewise, in the peripheral zone.
  phase: of the textures.
  organs: what lies around the gland.
  bends: from the patient to the regular shapes.
  """

  center: np.ndarray
  radii: np.ndarray
  tilt: np.ndarray
  growth: float
  lean: float
  nodules: np.ndarray
  lesion: np.ndarray
  phase: float
  organs: pelvis.Organs
  bends: tuple[deformation.Step, ...]


def draw_person(rng: np.random.Generator, population: Population) -> Person:
  """A patient out of `population`."""
  size, growth = rng.uniform(*population.size), rng.uniform(*population.growth)
  aspect = np.exp(rng.uniform(-0.08, 0.08, 3))
  radii = np.array([22.0, 15.0 + 2.0 * growth, 15.0 + growth]) * size * aspect
  organs = _draw_organs(rng, population, radii)
  return Person(
    center=rng.uniform(-1.0, 1.0, 3) * (4.0, 4.0, 2.5) + (0.0, 3.0, 0.0),
    radii=radii,
    tilt=rng.uniform(-1.0, 1.0, 3) * (6.0, 3.0, 6.0) + (-8.0, 0.0, 0.0),
    growth=growth,
    lean=rng.uniform(-0.12, 0.12),
    nodules=_draw_nodules(rng, size, growth),
    lesion=_draw_lesion(rng),
    phase=rng.uniform(0.0, 6.0),
    organs=organs,
    bends=deformation.draw_bends(
      rng, amplitude=2.0, width=15.0, extent=(60.0, 60.0, 36.0)
    ),
  )


def draw(points: np.ndarray, person: Person) -> solids.Drawing:
  """The pelvis at points (3, n), mm; the mask is the gland."""
  bent = deformation.apply(person.bends, points.astype(np.float64))
  moved = (bent - person.center[:, None]).astype(np.float32)
  frame = solids.tilted(moved, (0.0, 0.0, 0.0), person.tilt)
  rectum = pelvis.rectum(moved, person.organs, person.radii)
  gland = _gland(frame, person, rectum)
  inner = _inner_gland(frame, person, gland)
  fine = solids.sheets(frame, 9.0, person.phase)
  parts = [
    *pelvis.parts(moved, person.organs, person.radii, gland, rectum, fine),
    *_peripheral_zone(frame, person, gland, fine),
    *_transition_zone(frame, person, gland, inner, fine),
  ]
  labelled = [
    solids.Part('peripheral_zone', gland),
    solids.Part('transition_zone', inner),
  ]
  return solids.Drawing(parts, solids.label(labelled, LABELS), gland < 0.0)


def _draw_organs(
  rng: np.random.Generator, population: Population, radii: np.ndarray
) -> pelvis.Organs:
  radius = rng.uniform(*population.rectum)
  return pelvis.Organs(
    rectum=radius,
    rectum_shift=rng.uniform(-3.0, 3.0),
    press=rng.uniform(*population.press),
    gas_level=radius * (1.0 - 2.0 * rng.uniform(*population.gas)),
    bladder_floor=rng.uniform(0.0, 0.6) * radii[2],
    side=max(radii[0] + 13.0, 36.0) + rng.uniform(0.0, 4.0),
    front=radii[1] + rng.uniform(10.0, 15.0),
  )


def _draw_nodules(
  rng: np.random.Generator, size: float, growth: float
) -> np.ndarray:
  count = int(3 + round(5 * growth))
  spread, middle = np.array([(0.55, 0.4, 0.55), (0.0, 0.15, 0.1)])
  places = middle + spread * rng.uniform(-1.0, 1.0, (count, 3))
  radii = size * rng.uniform(2.0, 3.5 + 2.5 * growth, (count, 1))
  return np.hstack([places, radii])


def _draw_lesion(rng: np.random.Generator) -> np.ndarray:
  """In the back or side of the peripheral zone; in two of five people none."""
  angle = np.radians(rng.uniform(190.0, 350.0))
  radius = rng.uniform(3.0, 6.0) if rng.uniform() < 0.6 else 0.0
  place = 0.8 * np.cos(angle), 0.8 * np.sin(angle), rng.uniform(-0.4, 0.4)
  return np.array([*place, radius])


def _gland(frame: np.ndarray, person: Person, rectum: np.ndarray) -> np.ndarray:
  """A chestnut: notched behind between two lobes, indented by the rectum."""
  radii = person.radii
  body = solids.ellipsoid(
    frame, radii * (0.0, 0.06, 0.0), radii * (0.92, 0.94, 1.0)
  )
  lobes = [
    solids.ellipsoid(
      frame,
      radii * (side * 0.42, -0.24, -0.04),
      radii * (0.57, 0.72, 0.86) * (1.0 + side * person.lean),
    )
    for side in (1.0, -1.0)
  ]
  outline = solids.union(body, *lobes, smooth=4.0)
  return solids.minus(outline, rectum - 1.0, smooth=4.0)


def _inner_gland(
  frame: np.ndarray, person: Person, gland: np.ndarray
) -> np.ndarray:
  """Two lobes, the tissue around the urethra, and the stroma in front."""
  radii, growth = person.radii, person.growth
  lobes = [
    solids.ellipsoid(
      frame,
      radii * (side * 0.28, 0.14, 0.2),
      radii
      * (0.30 + 0.24 * growth, 0.42 + 0.30 * growth, 0.55 + 0.25 * growth)
      * (1.0 + side * person.lean),
    )
    for side in (1.0, -1.0)
  ]
  core = solids.tube(frame, _urethra_line(radii), [9.0, 5.0, 4.2])
  stroma = _stroma(frame, radii)
  joined = solids.union(*lobes, core, stroma, smooth=4.0)
  return np.maximum(joined, gland + _rim(frame, radii))


def _rim(frame: np.ndarray, radii: Sequence[float]) -> np.ndarray:
  """Least thickness (n,) of the peripheral zone: 1 mm in front, 4 behind.

  As seen in an axial slice: by the cosine of its slope the surface is closer.
  """
  behind = 1.0 / (1.0 + np.exp((frame[1] - 0.3 * radii[1]) / 2.5))
  height = np.clip(frame[2] / radii[2], -1.0, 1.0)
  return (1.0 + 3.0 * behind) * np.sqrt(1.0 - height**2)


def _urethra_line(radii: Sequence[float]) -> np.ndarray:
  """(3, 3): bladder neck, verumontanum, apex."""
  shares = [(0.0, 0.25, 1.0), (0.0, -0.08, -0.1), (0.0, 0.12, -1.0)]
  return np.asarray(shares) * radii


def _stroma(frame: np.ndarray, radii: np.ndarray) -> np.ndarray:
  return solids.ellipsoid(
    frame, radii * (0.0, 0.62, -0.08), radii * (0.42, 0.30, 0.7)
  )


def _peripheral_zone(
  frame: np.ndarray, person: Person, gland: np.ndarray, fine: np.ndarray
) -> list[solids.Part]:
  *place, radius = person.lesion
  lesion = solids.ellipsoid(
    frame, person.radii * place, np.full(3, max(radius, 0.1))
  )
  septa = np.maximum(gland + 1.0, fine - 0.5)
  return [
    solids.Part('capsule', gland),
    solids.Part('peripheral', gland + 1.0),
    solids.Part('septum', septa, thickness=1.0),
    solids.Part('lesion', np.maximum(lesion, gland + 0.5)),
  ]


def _transition_zone(
  frame: np.ndarray,
  person: Person,
  gland: np.ndarray,
  inner: np.ndarray,
  fine: np.ndarray,
) -> list[solids.Part]:
  line = _urethra_line(person.radii)
  urethra = np.maximum(solids.tube(frame, line, 1.2), gland)
  stroma = np.maximum(_stroma(frame, person.radii), inner + 0.5)
  return [
    solids.Part('pseudocapsule', inner),
    solids.Part('transition', inner + 1.0),
    solids.Part('strand', np.maximum(inner + 1.0, fine - 0.7)),
    *_nodules(frame, person, inner),
    solids.Part('stroma', stroma),
    solids.Part('urethral_wall', urethra - 1.8),
    solids.Part('urethra', urethra),
  ]


def _nodules(
  frame: np.ndarray, person: Person, inner: np.ndarray
) -> list[solids.Part]:
  """Glandular and stromal in turn, each in its capsule."""
  parts = []
  for index, (*place, radius) in enumerate(person.nodules):
    ball = solids.ellipsoid(frame, person.radii * place, [radius] * 3)
    ball = np.maximum(ball, inner + 1.0)
    kind = 'stromal_nodule' if index % 2 else 'glandular_nodule'
    parts += [
      solids.Part('pseudocapsule', ball),
      solids.Part(kind, ball + 0.8),
    ]
  return parts
