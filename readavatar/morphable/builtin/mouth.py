"""Lips, their inner side and the mouth's cavity: rings around the slit, columns from the midline round the corner."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from readavatar.morphable.builtin.surface import Array, loft_parameters, skin_surface, smooth_step

HALF_COLUMNS = 16
"""Columns of each lip on one side; the corner is column 16, the lower lip's middle column 32."""
NUM_COLUMNS = 2 * HALF_COLUMNS + 1
CORNER_X, SEAM_Y = 25.0, -70.0
"""Mouth breadth 50 (Farkas: ch-ch), stomion 70 below the pupils."""
OUTLINE_CENTER_Y, OUTLINE_SIZE = -70.5, (34.0, 17.0)

SKIN_BLEND = np.array([1.0, 0.78, 0.58, 0.4, 0.25, 0.12])
"""Rings from the outline (1) towards the vermilion's border (0)."""
LIP_BLEND = np.array([1.0, 0.82, 0.64, 0.46, 0.3, 0.15, 0.05, 0.0])
"""Rings from the vermilion's border (1) to the seam (0)."""
SEAM_RING = len(SKIN_BLEND) + len(LIP_BLEND) - 1
INNER_RINGS = 4
SOCKET_RINGS = 5

# fmt: off
SEAM_CURVE = PchipInterpolator([0, 3, 9, 16, 22, 25], [-1.0, -0.75, 0.2, 0.1, -0.1, -0.2])
"""The slit's course: the tubercle's dip, the wings, the corners."""
UPPER_HEIGHT = PchipInterpolator([0, 2.0, 5.2, 10, 17, 22, 25], [6.2, 6.6, 7.7, 6.9, 4.9, 2.7, 0.9])
"""Height of the upper vermilion: Cupid's bow."""
LOWER_HEIGHT = PchipInterpolator([0, 6, 12, 18, 22, 25], [9.4, 9.3, 8.3, 5.9, 3.4, 0.9])
_UPPER_BULGE = CubicSpline([0, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0], [-3.2, -1.8, 0.0, 1.5, 2.3, 1.9, 1.0])
_LOWER_BULGE = CubicSpline([0, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0], [-3.2, -1.6, 0.6, 2.5, 3.3, 2.3, 0.3])
"""The lips' section over the face's relief, from the seam to the border."""
_FULLNESS = PchipInterpolator([0, 8, 15, 21, 25], [1.0, 1.0, 0.85, 0.5, 0.25])
# fmt: on


def column_x() -> Array:
    """The seam's abscissa by column, 0 … corner … 0."""
    upper = CORNER_X * np.sin(0.5 * np.pi * np.arange(HALF_COLUMNS + 1) / HALF_COLUMNS)
    return np.concatenate([upper, upper[-2::-1]])


def is_upper() -> Array:
    """+1 for the upper lip's columns, −1 for the lower lip's, 0 at the corner."""
    return np.sign(HALF_COLUMNS - np.arange(NUM_COLUMNS)).astype(float)


def seam() -> Array:
    """The closed slit, nominal (columns, 2)."""
    x = column_x()
    return np.stack([x, SEAM_Y + SEAM_CURVE(x)], -1)


def border() -> Array:
    """The vermilion's border, nominal (columns, 2)."""
    x, side = column_x(), is_upper()
    height = np.where(side > 0, UPPER_HEIGHT(x), -LOWER_HEIGHT(x)) * (side != 0)
    past_corner = 1.4 * smooth_step(0.75, 1.0, x / CORNER_X)
    return seam() + np.stack([past_corner, height], -1)


def outline() -> Array:
    """The outermost ring, nominal (columns, 2)."""
    progress = column_x() / CORNER_X
    rise = np.sqrt(np.maximum(1 - progress**2, 0)) * is_upper()
    return np.stack([OUTLINE_SIZE[0] * progress, OUTLINE_CENTER_Y + OUTLINE_SIZE[1] * rise], -1)


def nominal_rings() -> Array:
    """(SEAM_RING + 1, columns, 2), from the outline to the seam."""
    skin, lip = SKIN_BLEND[:, None, None], LIP_BLEND[:, None, None]
    return np.concatenate(
        [border() + skin * (outline() - border()), seam() + lip * (border() - seam())],
    )


def lip_rings() -> Array:
    """(SEAM_RING + 1, columns, 3), millimetres."""
    nominal = nominal_rings()
    points = skin_surface(*loft_parameters(nominal[..., 0], nominal[..., 1]))
    points[..., :2] = nominal
    x = column_x()
    fullness, side = _FULLNESS(x), is_upper()
    for ring, blend in enumerate(np.concatenate([SKIN_BLEND, LIP_BLEND])):
        if ring < len(SKIN_BLEND):
            # Outside, the border's roll fades within a few millimetres.
            fade = np.exp(-blend * np.linalg.norm(outline() - border(), axis=-1) / 2.2)
            bulge = np.where(side >= 0, _UPPER_BULGE(1.0), _LOWER_BULGE(1.0)) * fade
        else:
            bulge = np.where(side > 0, _UPPER_BULGE(blend), _LOWER_BULGE(blend))
            bulge = np.where(side == 0, -3.2 + 2.8 * blend, bulge)
        corner = -1.2 * np.exp(-0.5 * (((nominal[ring, :, 0] - CORNER_X) / 2.6) ** 2))
        corner = corner * np.exp(-0.5 * ((nominal[ring, :, 1] - seam()[-1 - HALF_COLUMNS, 1]) / 2.2) ** 2)
        points[ring, :, 2] += fullness * bulge + corner
    # Both lips share the seam exactly.
    points[-1, HALF_COLUMNS + 1 :] = points[-1, HALF_COLUMNS - 1 :: -1]
    return points


def inner_rings(seam_points: Array) -> Array:
    """From the seam over the lips' inner side into the cavity: (INNER_RINGS + SOCKET_RINGS, columns, 3)."""
    progress = column_x() / CORNER_X
    rise = np.sqrt(np.maximum(1 - progress**2, 0)) * is_upper()
    rings = []
    # The first ring back keeps both lips in contact over 2 mm.
    for back, spread in ((2.0, 0.0), (4.0, 1.4), (5.6, 5.0), (6.3, 9.5)):
        rings.append(seam_points + np.stack([-0.04 * back * progress, spread * rise, np.full_like(rise, -back)], -1))
    for width, up, down, front, depth in (
        (31.0, 20.0, 23.0, 88.0, 30.0),
        (30.0, 21.0, 24.0, 70.0, 24.0),
        (25.0, 17.0, 21.0, 48.0, 12.0),
        (14.0, 10.0, 13.0, 32.0, 5.0),
        (0.0, 0.0, 0.0, 26.0, 0.0),
    ):
        height = np.where(rise >= 0, up, down) * rise
        bow = np.sqrt(np.maximum(1 - (0.97 * progress) ** 2, 0))
        rings.append(np.stack([width * progress, -71.0 + height, front - depth * (1 - bow)], -1))
    return np.stack(rings)
