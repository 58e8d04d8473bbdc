"""The mouth: lips, their inner side and the cavity, and inside it teeth, gums and tongue.

The lips are rings around the slit, whose columns run from the midline around the corner.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from readavatar.morphable.builtin import charts
from readavatar.morphable.builtin.parts import Part, grid_part, merge, weld
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
"""Height of the slit by abscissa: the tubercle in the middle, the wings, the corners."""
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
            # Outside, the relief of the border fades within a few millimetres.
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


# fmt: off
UPPER_WIDTHS = (8.5, 6.6, 7.6, 7.0, 6.8, 10.0)
LOWER_WIDTHS = (5.4, 5.9, 6.9, 7.0, 7.1, 10.6)
UPPER_HEIGHTS = (10.3, 9.0, 9.9, 8.4, 7.8, 7.2)
LOWER_HEIGHTS = (8.6, 8.8, 9.8, 8.4, 7.8, 7.2)
THICKNESS = (2.0, 2.0, 3.2, 6.0, 6.6, 8.0)
"""Millimetres: mesiodistal width, crown height and biting edge of incisors, canine, premolars, first molar (Wheeler's
*Dental Anatomy*, table 1.1, rounded)."""
# fmt: on
UPPER_EDGE_Y, LOWER_EDGE_Y = -72.0, -70.9
"""The incisors' edges: the upper ones overlap the lower ones by about a millimetre."""
UPPER_FRONT_Z, LOWER_FRONT_Z = 93.0, 90.8
ARCH_WIDTH, ARCH_DEPTH = 29.0, 42.0
COLUMNS_PER_TOOTH = 6


def arch(distance: Array, front_z: float, scale: float) -> tuple[Array, Array]:
    """Points (…, 3) at y = 0 and outward normals, at distances from the midline along an elliptic arch."""
    angle = np.linspace(0, np.pi / 2, 400)
    x, z = scale * ARCH_WIDTH * np.sin(angle), front_z - scale * ARCH_DEPTH * (1 - np.cos(angle))
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    at = np.interp(distance, length, angle)
    points = np.stack(
        [
            scale * ARCH_WIDTH * np.sin(at),
            np.zeros_like(at),
            front_z - scale * ARCH_DEPTH * (1 - np.cos(at)),
        ],
        -1,
    )
    normals = np.stack([ARCH_DEPTH * np.sin(at), np.zeros_like(at), ARCH_WIDTH * np.cos(at)], -1)
    return points, normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def _thickness(distance: Array, widths: tuple) -> Array:
    """Thickness by distance. It is continuous, so that no crown shows its open side behind a thinner neighbour."""
    return np.interp(distance, np.cumsum(widths) - np.array(widths) / 2, THICKNESS)


def _tooth(start: float, width: float, height: float, upper: bool, uv_span: tuple) -> Part:
    """One crown: rows from its neck in front, over the biting edge, to its neck behind."""
    across = np.linspace(-1, 1, COLUMNS_PER_TOOTH)
    front_z, scale = (UPPER_FRONT_Z, 1.0) if upper else (LOWER_FRONT_Z, 0.95)
    edge_y, up = (UPPER_EDGE_Y, 1.0) if upper else (LOWER_EDGE_Y, -1.0)
    distance = start + width * (0.5 + 0.493 * across)
    thickness = _thickness(distance, UPPER_WIDTHS if upper else LOWER_WIDTHS)
    points, normals = arch(distance, front_z, scale)
    # The crown narrows towards its neck.
    centre, _ = arch(np.array([start + width / 2]), front_z, scale)
    rows = []
    # (height along the crown: 0 edge, 1 neck; share of the thickness, millimetres more behind; row's narrowing)
    section = (
        (1.25, 0, 1.2, 0.80), (1.0, 0, 0.5, 0.84), (0.7, 0, 0.0, 0.94), (0.35, 0, 0.05, 1.0), (0.10, 0, 0.35, 1.0),
        (0.0, 0, 0.8, 0.98), (0.03, 0.5, 0.0, 1.0), (0.0, 1, -0.3, 1.0), (0.25, 1, 0.5, 0.99), (0.9, 1, 1.5, 0.94),
    )  # fmt: skip
    for level, share, more, narrow in section:
        round_back = 1.1 * np.abs(across) ** 3 + 0.15 * across**2
        round_edge = 0.55 * np.abs(across) ** 4 * (level < 0.2)
        at = centre + (points - centre) * narrow
        towards = 1.0 if share < 0.5 else -0.6
        at = at - normals * (share * thickness + more + towards * round_back * (0.4 + 0.6 * min(level, 1)))[:, None]
        at[:, 1] = edge_y + up * (level * height + round_edge)
        rows.append(at)
    s = uv_span[0] + (uv_span[1] - uv_span[0]) * (0.5 + 0.5 * across)
    t = np.linspace(0, 1, len(section))
    chart = charts.TEETH_UPPER if upper else charts.TEETH_LOWER
    return grid_part(
        np.stack(rows), chart.uv(*np.meshgrid(s, t)), "teeth_upper" if upper else "teeth_lower", flip=upper
    )


def teeth(upper: bool) -> Part:
    """Six crowns of the left side."""
    widths, heights = (UPPER_WIDTHS, UPPER_HEIGHTS) if upper else (LOWER_WIDTHS, LOWER_HEIGHTS)
    ends = np.concatenate([[0], np.cumsum(widths)])
    spans = 0.004 + 0.99 * ends / ends[-1]
    return merge([_tooth(ends[i], widths[i], heights[i], upper, (spans[i], spans[i + 1])) for i in range(len(widths))])


def gums(upper: bool) -> Part:
    """A ridge around the necks of the crowns, scalloped in front."""
    widths, heights = (UPPER_WIDTHS, UPPER_HEIGHTS) if upper else (LOWER_WIDTHS, LOWER_HEIGHTS)
    front_z, scale = (UPPER_FRONT_Z, 1.0) if upper else (LOWER_FRONT_Z, 0.95)
    edge_y, up = (UPPER_EDGE_Y, 1.0) if upper else (LOWER_EDGE_Y, -1.0)
    ends = np.concatenate([[0], np.cumsum(widths)])
    distance = np.linspace(0, ends[-1] + 1, 4 * len(widths) + 1)
    tooth = np.clip(np.searchsorted(ends, distance, side="right") - 1, 0, len(widths) - 1)
    within = np.clip((distance - ends[tooth]) / np.array(widths)[tooth], 0, 1)
    neck = np.interp(distance, ends[:-1] + np.array(widths) / 2, heights)
    thickness = _thickness(distance, widths)
    scallop = 1.6 * (1 - np.sin(np.pi * within))
    points, normals = arch(distance, front_z, scale)
    rows = []
    ridge = 0.6 + 0.5 * thickness
    for lift, behind in ((9.0, 2.5), (4.0, -0.3), (1.2, -0.5), (-0.4 - scallop, 0.35), (0.3, 1.4), (0.5, ridge)):
        at = points - normals * np.broadcast_to(behind, distance.shape)[:, None]
        at[:, 1] = edge_y + up * (neck + lift)
        rows.append(at)
    back = points - normals * (thickness + 2.6)[:, None]
    for lift in (0.2, 6.0):
        at = back.copy()
        at[:, 1] = edge_y + up * (neck + lift)
        rows.append(at)
    grid = np.stack(rows)
    grid[:, 0, 0] = 0.0
    s, t = np.meshgrid(np.linspace(0, 1, len(distance)), np.linspace(0, 1, len(rows)))
    chart = charts.GUMS_UPPER if upper else charts.GUMS_LOWER
    return grid_part(grid, chart.uv(s, t), "gums", flip=upper)


def tongue() -> Part:
    """At rest behind the lower incisors: a rounded blade with a middle groove."""
    along = np.linspace(0, 1, 14)
    around = np.linspace(0, np.pi, 12)
    a, c = np.meshgrid(along, around, indexing="ij")
    tip = np.sqrt(np.clip(1 - ((a - 0.55) / 0.45) ** 2, 0, 1))
    taper = np.where(a < 0.55, 1.0, tip**0.8)
    half_width = (19.5 - 3.5 * a) * taper
    thickness = (8.0 - 3.0 * a) * np.maximum(taper, 0.0)
    crest = -74.0 - 5.0 * (1 - a) ** 2 + 1.5 * np.sin(np.pi * a)
    x = half_width * np.sin(c)
    y = crest - thickness + thickness * np.sign(np.cos(c)) * np.abs(np.cos(c)) ** 0.7
    y = y - 1.3 * np.exp(-((x / 2.2) ** 2)) * (np.cos(c) > 0) * taper * np.minimum(a * 3, 1)
    z = 30.0 + 54.0 * a
    points = np.stack([np.where((c < 1e-9) | (c > np.pi - 1e-9), 0.0, x), y, z], -1)
    blade = grid_part(points, charts.TONGUE.uv(c / np.pi, 1 - a), "tongue", flip=True)
    tip = len(along) * len(around) - len(around)
    return weld(blade, np.minimum(np.arange(tip + len(around)), tip))
