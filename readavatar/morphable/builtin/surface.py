"""The skin's shape without lips and lids: a loft through three anatomical profiles, then a relief of facial features.

Symbols: everything in this sub-package is authored in *millimetres* in the *authoring frame* (x to the subject's left,
y up from the pupils, z forward from the tragus of the ear). ``theta`` is the azimuth around the head (0 the midline of
the face, π/2 the ear, π the back), ``row`` the height along the skin (equal to y on the face's midline; arc length over
the crown and under the chin). *Nominal* (x, y) is where a skin point lies on the loft, seen from the front.

Proportions: adult means of Farkas 1994 (*Anthropometry of the Head and Face*) and of the 2019 ISO/TR 7250-2 tables,
between the sexes: face height (nasion-gnathion) 117, bizygomatic breadth 135, bigonial 103, head breadth 152, head
length 193, nose height 50, nose breadth 34, protrusion 20, mouth breadth 50, pupil distance 63, lids' fissure 30 × 11.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

Array = np.ndarray | np.number | float | int
"""Numbers of any shape, including scalars."""

ROW_BOTTOM, ROW_TOP = -190.0, 180.0
"""The neck's cut and the crown's pole, in rows."""

# fmt: off
_PROFILES = np.array([
    # row,  front y    z,  side y     x     z,  back y    z
    [180.0,  116.0,  -8.0, 116.0,   0.0,  -8.0,  116.0,  -8.0],
    [137.0,  107.0,  43.0, 105.0,  42.0,  -9.0,  104.0, -54.0],
    [ 93.0,   85.0,  79.0,  78.0,  67.0, -11.0,   73.0, -85.0],
    [ 60.0,   59.0,  92.5,  48.0,  76.0, -12.0,   44.0, -96.0],
    [ 35.0,   35.0,  96.0,  27.0,  75.5,  -8.0,   20.0, -97.5],
    [ 15.0,   15.0,  95.8,   9.0,  72.5,   2.0,   -2.0, -95.0],
    [  0.0,    0.0,  90.8,  -4.0,  70.5,   8.0,  -18.0, -90.0],
    [-25.0,  -25.0,  90.0, -20.0,  68.0,  13.0,  -38.0, -80.0],
    [-48.0,  -48.0,  95.0, -36.0,  65.0,  13.0,  -56.0, -71.0],
    [-70.0,  -70.0,  97.0, -50.0,  61.5,  11.0,  -70.0, -65.0],
    [-88.0,  -88.0,  96.5, -62.0,  58.0,   9.0,  -80.0, -62.0],
    [-102., -102.0,  96.0, -71.0,  55.0,   6.0,  -88.0, -61.0],
    [-114., -113.0,  89.0, -77.5,  51.0,   1.0,  -95.0, -61.0],
    [-126., -118.0,  76.0, -85.0,  46.8,  -4.0, -103.0, -62.0],
    [-142., -121.0,  58.0, -97.0,  47.2,  -9.0, -115.0, -65.0],
    [-158., -128.0,  43.0,-113.0,  49.5, -13.0, -129.0, -68.0],
    [-172., -141.0,  36.5,-131.0,  52.0, -16.0, -143.0, -71.0],
    [-190., -160.0,  34.0,-158.0,  58.0, -19.0, -165.0, -76.0],
])
"""Midline of the face without nose and lips, the silhouette through the ear, and the midline of the back."""
_SQUARENESS = CubicSpline([-190, -120, -105, -80, -25, 15, 60, 110, 180],
                          [0.00, 0.00, 0.05, 0.04, 0.00, 0.02, 0.04, 0.01, 0.00])
"""How far a horizontal section of the face's side leaves the ellipse towards a rectangle."""
# fmt: on


@lru_cache(maxsize=1)
def _profile_splines() -> CubicSpline:
    rows = _PROFILES[::-1]
    # Level at the pole (of about an ellipsoid's slopes), so that the crown is round.
    top = np.array([0.0, -1.2, 0.0, -1.0, 0.0, 0.0, 1.1])
    return CubicSpline(rows[:, 0], rows[:, 1:], bc_type=((2, np.zeros(7)), (1, top)))


def loft(theta: Array, row: Array) -> Array:
    """The smooth head without features, (…, 3), millimetres.

    Between front, side and back each section is an ellipse whose angle is warped (``_SQUARENESS``) to be fuller.
    """
    front_y, front_z, side_y, side_x, side_z, back_y, back_z = np.moveaxis(_profile_splines()(row), -1, 0)
    in_front = theta < np.pi / 2
    warp = np.where(in_front, _SQUARENESS(row), 0.04) * np.sin(2 * theta)
    depth = np.where(in_front, front_z - side_z, side_z - back_z)
    lift = np.where(in_front, front_y, back_y) - side_y
    return np.stack(
        [
            np.maximum(side_x, 0) * np.sin(theta + warp),
            side_y + lift * np.cos(theta) ** 2,
            side_z + depth * np.cos(theta - warp),
        ],
        axis=-1,
    )


def loft_parameters(x: Array, y: Array) -> tuple[Array, Array]:
    """``theta`` and ``row`` of the points of the loft's front that are seen at nominal (x, y), by Newton's method."""
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    theta, row = np.clip(x / 70, 0, 1.3), y + 0.0 * x
    step = 1e-4
    for _ in range(12):
        at = loft(theta, row)
        by_theta = (loft(theta + step, row) - at) / step
        by_row = (loft(theta, row + step) - at) / step
        error_x, error_y = x - at[..., 0], y - at[..., 1]
        determinant = by_theta[..., 0] * by_row[..., 1] - by_theta[..., 1] * by_row[..., 0]
        determinant = np.where(np.abs(determinant) < 1.0, 1.0, determinant)
        theta = theta + np.clip((error_x * by_row[..., 1] - error_y * by_row[..., 0]) / determinant, -0.2, 0.2)
        row = row + np.clip((by_theta[..., 0] * error_y - by_theta[..., 1] * error_x) / determinant, -15, 15)
        theta = np.clip(theta, 0.0, 1.5)
    return theta, row


def loft_normals(theta: Array, row: Array) -> Array:
    """Outward unit normals of the loft, (…, 3)."""
    step = 1e-3
    near_pole = np.minimum(row, ROW_TOP - 1.0)
    along = loft(theta + step, near_pole) - loft(theta - step, near_pole)
    up = loft(theta, near_pole + 0.5) - loft(theta, near_pole - 0.5)
    normal = np.cross(along, up)
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)


def bump(x: Array, y: Array, center: tuple, size: tuple, tilt: float = 0.0) -> Array:
    """A Gaussian of height 1 and its mirror image, so that it meets the midline without a crease.

    Args:
        x: Millimetres.
        y: Millimetres.
        center: Of the half with x ≥ 0.
        size: Standard deviations along its own axes.
        tilt: Turn of its axes, degrees, positive lifts the lateral end.
    """
    cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    total = 0.0
    for side in (1, -1) if center[0] != 0 else (1,):
        right, up = side * x - center[0], y - center[1]
        along, across = cos * right + sin * up, cos * up - sin * right
        total = total + np.exp(-0.5 * ((along / size[0]) ** 2 + (across / size[1]) ** 2))
    return total


def smooth_step(low: Array, high: Array, value: Array) -> Array:
    """0 below ``low``, 1 above ``high``, quintic in between (Perlin 2002)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t**3 * (t * (6 * t - 15) + 10)


def smooth_max(a: Array, b: Array, width: float) -> Array:
    """The larger of two, rounded over ``width`` (millimetres) where they meet."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + width**2))


# fmt: off
_RELIEF = (
    # centre (x, y), size, tilt, millimetres forward; what
    ((27.0, 15.0), (15.0, 4.5), 8.0, 2.6),      # superciliary arch
    ((47.0, 12.0), (7.0, 6.0), -25.0, 2.6),     # lateral end of the brow (zygomatic process)
    ((0.0, 14.0), (10.0, 8.0), 0.0, 1.2),       # glabella
    ((31.5, 0.5), (13.5, 8.5), 4.0, -9.0),      # eye socket
    ((15.5, 2.0), (5.5, 7.5), 0.0, -6.0),       # hollow between nose and inner corner
    ((26.0, -13.5), (10.0, 3.6), -12.0, -0.8),  # tear trough
    ((63.0, 22.0), (11.0, 20.0), 0.0, -2.5),    # temple
    ((51.0, -20.0), (13.0, 9.0), 18.0, 4.2),    # cheekbone
    ((33.0, -27.0), (13.0, 11.0), 0.0, 2.8),    # cheek's fat pad
    ((52.0, -56.0), (13.0, 15.0), 30.0, -1.6),  # hollow below the cheekbone
    ((0.0, -63.0), (25.0, 17.0), 0.0, 4.2),     # dental arches under the lips
    ((0.0, -87.5), (17.0, 4.2), 0.0, -3.6),     # mentolabial sulcus
    ((0.0, -101.0), (13.5, 9.0), 0.0, 6.0),     # chin
    ((30.0, -97.0), (12.0, 10.0), 0.0, -1.2),   # prejowl
    ((0.0, -54.0), (2.3, 5.0), 0.0, -1.5),      # philtrum
    ((5.0, -55.0), (1.9, 5.5), -4.0, 0.7),      # philtral columns
    ((28.0, -56.0), (3.2, 13.0), 22.0, -1.1),   # nasolabial fold
    ((31.0, -73.0), (5.0, 6.0), 0.0, 1.4),      # modiolus
    ((0.0, 52.0), (34.0, 18.0), 0.0, 1.0),      # forehead
)
"""Features along the depth axis, on both sides."""

_NOSE = CubicSpline([-48, -42, -38.5, -35, -29, -20, -10, -2, 4, 10],
                    [19.0, 22.2, 23.6, 23.6, 21.2, 15.9, 9.6, 4.2, 1.8, 0.0], bc_type="natural")
"""The nose's ridge above the loft by y: nasion at 3, rhinion at −16, tip at −38."""
_NOSE_WIDTH = CubicSpline([-48, -38, -28, -18, -8, 2, 10], [7.6, 8.2, 8.6, 7.6, 6.6, 7.0, 10.0], bc_type="natural")
"""Half width of the ridge's section at 60 % of its height."""
# fmt: on


NOSE_BASE_SOFTNESS = 0.75
"""Millimetres over which the nose's underside rises."""


def nose_base(x: Array) -> Array:
    """The underside's course: the rims arch over the nostrils between the columella and the wings."""
    rims = 2.7 * bump(x, 0 * x, (6.9, 0.0), (2.3, 1.0)) + smooth_step(8.0, 12.0, np.abs(x))
    return -47.8 + rims + 0.5 * np.maximum(np.abs(x) - 13.5, 0)


def nose(x: Array, y: Array) -> Array:
    """Height of the nose above the loft: ridge, ball of the tip, wings, and the undercut of its base."""
    span = np.clip(y, -48, 10)
    across = np.abs(x) / _NOSE_WIDTH(span)
    ridge = np.maximum(_NOSE(span), 0) * (0.6 / (1 + across**2.1) + 0.4 * np.exp(-0.5 * (across / 1.75) ** 2))
    # Its flanks run out into the cheeks, further down ever closer to the wings.
    reach = 9.0 * smooth_step(-44, -4, y)
    ridge = ridge * smooth_step(24.0 + reach, 11.0 + reach, np.abs(x))
    tip = 2.4 * bump(x, y, (2.8, -39.0), (4.8, 4.6))
    wing_x, wing_y = (np.abs(x) - 12.0) / 5.6, (y + 41.8) / 6.2
    from_wing = np.hypot(wing_x, wing_y)
    wing = 7.4 * np.exp(-(from_wing**4)) + 1.6 * np.exp(-((from_wing / 0.7) ** 2))
    crease = -1.3 * np.exp(-(((from_wing - 1.28) / 0.2) ** 2)) * smooth_step(-0.5, 0.5, wing_x + 0.6 * wing_y)
    above_base = 1 / (1 + np.exp(-(y - nose_base(x)) / NOSE_BASE_SOFTNESS))
    nostril = -3.0 * bump(x, y, (6.9, -46.2), (2.3, 1.5), 14.0)
    return (ridge + tip + wing) * above_base + crease + nostril


def skin_depth(x: Array, y: Array) -> Array:
    """The relief above the loft along z at nominal (x, y), millimetres; nothing behind the temples."""
    total = nose(x, y)
    for center, size, tilt, amount in _RELIEF:
        total = total + amount * bump(x, y, center, size, tilt)
    return total


def skin_surface(theta: Array, row: Array) -> Array:
    """Loft and relief, (…, 3)."""
    points = loft(theta, row)
    front = smooth_step(1.75, 1.15, theta)
    points[..., 2] += front * skin_depth(points[..., 0], points[..., 1]) * smooth_step(-135, -108, row)
    return points


_HAIRLINE = CubicSpline(
    np.deg2rad([0, 18, 34, 46, 56, 66, 74, 80, 88, 98, 112, 135, 160, 180]),
    [66, 69, 63, 49, 33, 17, -4, -13, -8, -14, -42, -72, -86, -89],
    bc_type="clamped",
)
"""The hairline's row by azimuth: forehead, temple, sideburn, around the ear, nape."""
HAIR_THICKNESS = 5.5


def hair_weight(theta: Array, row: Array) -> Array:
    """1 under the hair, 0 on bare skin, soft over a few millimetres."""
    return smooth_step(-2.0, 4.5, row - _HAIRLINE(theta))


def hair_lift(theta: Array, row: Array) -> Array:
    """How far the short hair stands off the skin, millimetres."""
    above = row - _HAIRLINE(theta)
    crown = smooth_step(20, 120, row)
    full = 1.6 + (HAIR_THICKNESS - 1.6) * smooth_step(0, 45, above) + 3.0 * crown
    quiff = 6.0 * smooth_step(0, 22, above) * smooth_step(150, 85, row) * smooth_step(1.0, 0.25, theta)
    full = full + quiff
    around_ear = np.exp(-(((theta - 1.68) / 0.26) ** 2) - ((row + 2) / 24) ** 2)
    return full * smooth_step(-1.5, 3.5, above) * (1 - 0.9 * around_ear)
