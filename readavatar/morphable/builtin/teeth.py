"""Teeth, gums and tongue."""

from __future__ import annotations

import numpy as np

from readavatar.morphable.builtin import charts
from readavatar.morphable.builtin.parts import Part, grid_part, merge, weld
from readavatar.morphable.builtin.surface import Array

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
    """Continuous along the arch, so that no crown shows its open side behind a thinner neighbour."""
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
    """A ridge that holds the crowns' necks, scalloped around them in front."""
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
