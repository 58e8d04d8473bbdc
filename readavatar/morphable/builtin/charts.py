"""Two-dimensional charts of the head: the plane in which the skin is triangulated, and the texture atlas.

The *plane* unrolls half of the head: the abscissa is ``theta`` × a radius that shrinks towards the crown, the ordinate
is ``row``, both in millimetres of skin nearly everywhere. Rings surround the eye and the mouth; between them the edge
length of the triangles changes gradually.

The *atlas* is symmetric about u = 0.5; the left half of the head has u ≥ 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.spatial import Delaunay

from readavatar.morphable.builtin.surface import ROW_BOTTOM, ROW_TOP, Array

Indices = NDArray[np.int64]

FINEST, COARSEST = 1.9, 10.5
"""Edge lengths around the nostrils and on the crown."""
HEAD_RADIUS = 75.0
CROWN_ROW = 50.0
"""Above this row the parallels become shorter."""


def parallel_radius(row: Array) -> Array:
    """Millimetres in the plane for one radian of azimuth."""
    above = np.clip((row - CROWN_ROW) / (ROW_TOP - CROWN_ROW), 0, 1)
    return HEAD_RADIUS * np.cos(0.5 * np.pi * above)


def to_plane(theta: Array, row: Array) -> Array:
    """Points of the plane, (…, 2)."""
    return np.stack([theta * parallel_radius(row), row], -1)


def from_plane(points: Array) -> tuple[Array, Array]:
    """``theta`` and ``row``."""
    radius = np.maximum(parallel_radius(points[..., 1]), 1e-6)
    return np.clip(points[..., 0] / radius, 0, np.pi), points[..., 1]


def edge_length(points: Array) -> Array:
    """The target edge length at points of the plane: short at nose, eyes and mouth, long behind and below."""
    x, row = points[:, 0], points[:, 1]
    from_nose = np.hypot(np.maximum(np.abs(x) - 17, 0), np.maximum(np.abs(row + 42.5) - 6, 0))
    from_face = np.hypot(np.maximum(np.abs(x) - 40, 0), np.maximum(np.abs(row + 32) - 55, 0))
    return np.clip(FINEST + np.minimum(0.12 * from_nose, 1.2) + 0.08 * from_face, FINEST, COARSEST)


def _sample_line(start: Array, end: Array) -> Array:
    """Points from start towards end (without end), spaced by the target edge length."""
    fine = start + np.linspace(0, 1, 2001)[:, None] * (end - start)
    density = np.linalg.norm(end - start) / 2000 / edge_length(fine)
    progress = np.concatenate([[0], np.cumsum(density[:-1])])
    count = max(round(float(progress[-1])), 1)
    at = np.interp(np.linspace(0, progress[-1], count + 1)[:-1], progress, np.linspace(0, 1, 2001))
    return start + at[:, None] * (end - start)


def _inside(points: Array, polygon: Array) -> NDArray[np.bool_]:
    """Whether points are inside a polygon, by the even-odd rule."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (points[:, 1] > min(y0, y1)) & (points[:, 1] <= max(y0, y1))
        inside ^= crosses & (points[:, 0] < x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _outline(mouth_ring: Array) -> Array:
    """The half plane's border, counter-clockwise, with the mouth's outermost ring cut out of the midline."""
    bottom_back = to_plane(np.array(np.pi), np.array(ROW_BOTTOM))
    front_bottom, front_top = np.array([0.0, ROW_BOTTOM]), np.array([0.0, ROW_TOP])
    back = [_sample_line(front_bottom, bottom_back)]
    rows = _sample_line(np.array([np.pi * HEAD_RADIUS, ROW_BOTTOM]), np.array([np.pi * HEAD_RADIUS, ROW_TOP]))[:, 1]
    # The back's border is a curve; its last sample would be too close to the pole.
    back.append(to_plane(np.full(len(rows) - 1, np.pi), rows[:-1]))
    front = [_sample_line(front_top, mouth_ring[0]), mouth_ring[:-1], _sample_line(mouth_ring[-1], front_bottom)]
    return np.concatenate(back + front)


def _relax(points: Array, fixed: int, outline: Array, eye_ring: Array, steps: int = 36) -> Array:
    """Move points by springs along the Delaunay edges, towards the target lengths (Persson & Strang 2004)."""
    for step in range(steps):
        if step % 3 == 0:
            triangles = Delaunay(points).simplices
            centres = points[triangles].mean(1)
            triangles = triangles[_inside(centres, outline) & ~_inside(centres, eye_ring)]
            edges = np.unique(np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
        vector = points[edges[:, 0]] - points[edges[:, 1]]
        length = np.linalg.norm(vector, axis=1)
        wanted = edge_length(points[edges].mean(1))
        wanted = wanted * 1.15 * np.sqrt((length**2).sum() / (wanted**2).sum())
        force = (np.maximum(wanted - length, 0) / length)[:, None] * vector
        move = np.zeros_like(points)
        np.add.at(move, edges[:, 0], force)
        np.add.at(move, edges[:, 1], -force)
        points[fixed:] += 0.2 * move[fixed:]
    return points


def triangulate_skin(eye_ring: Array, mouth_ring: Array, creases: Array) -> tuple[Array, Indices]:
    """Fill the half plane around the rings.

    Args:
        eye_ring: (n, 2) in the plane, counter-clockwise, closed.
        mouth_ring: (m, 2) from the midline above the mouth round the corner to the midline below it.
        creases: (k, 2) points that are not moved, along lines that the mesh has to follow.

    Returns:
        Points (the eye ring's first, then the mouth ring's, then the others), and counter-clockwise triangles.
    """
    outline = _outline(mouth_ring)
    is_mouth = (outline[:, None] == mouth_ring[None]).all(-1).any(1)
    fixed = np.concatenate([eye_ring, mouth_ring, outline[~is_mouth], creases])
    low, high = outline.min(0), outline.max(0)
    xs = np.arange(low[0], high[0], FINEST)
    ys = np.arange(low[1], high[1], FINEST * np.sqrt(3) / 2)
    grid = np.stack(np.meshgrid(xs, ys), -1)
    grid[1::2, :, 0] += FINEST / 2
    grid = grid.reshape(-1, 2)
    keep = np.random.default_rng(0).random(len(grid)) < (FINEST / edge_length(grid)) ** 2
    grid = grid[keep & _inside(grid, outline) & ~_inside(grid, eye_ring)]
    gap = np.sqrt(((grid[:, None] - fixed[None]) ** 2).sum(-1)).min(1)
    points = np.concatenate([fixed, grid[gap > 0.6 * edge_length(grid)]])
    points = _relax(points, len(fixed), outline, eye_ring)
    free = points[len(fixed) :]
    gap = np.sqrt(((free[:, None] - fixed[None]) ** 2).sum(-1)).min(1)
    free = free[_inside(free, outline) & ~_inside(free, eye_ring) & (gap > 0.5 * edge_length(free))]
    points = np.concatenate([fixed, free])
    triangles = Delaunay(points).simplices
    centres = points[triangles].mean(1)
    triangles = triangles[_inside(centres, outline) & ~_inside(centres, eye_ring)].astype(np.int64)
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    return points, np.where(area[:, None] > 0, triangles, triangles[:, ::-1])[np.abs(area) > 1e-6]


SKIN_TOP, SKIN_BOTTOM = 0.004, 0.73
_HALF_WIDTH = 0.405
_FRONT_WEIGHT = 2.4
"""Ratio of the texture's resolution between the face and the back of the head."""
_ROWS = np.linspace(ROW_TOP, ROW_BOTTOM, 741)
_DENSITY = PchipInterpolator([-190, -135, -118, -60, 50, 75, 100, 180], [0.4, 0.55, 1.3, 1.5, 1.5, 1.1, 0.55, 0.5])(
    _ROWS
)
_HEIGHTS = SKIN_TOP + (SKIN_BOTTOM - SKIN_TOP) * np.concatenate([[0], np.cumsum(_DENSITY[1:])]) / _DENSITY[1:].sum()


@dataclass(frozen=True)
class Rectangle:
    """A chart's place in the left half of the atlas."""

    left: float
    top: float
    right: float
    bottom: float

    def uv(self, s: Array, t: Array) -> Array:
        """(…, 2) of the chart's own coordinates in [0, 1]: s to the right, t down."""
        s, t = np.broadcast_arrays(s, t)
        return np.stack([self.left + s * (self.right - self.left), self.top + t * (self.bottom - self.top)], -1)

    def local(self, uv: Array) -> tuple[Array, Array]:
        """The chart's own coordinates of points of the atlas."""
        return (uv[..., 0] - self.left) / (self.right - self.left), (uv[..., 1] - self.top) / (self.bottom - self.top)


TEETH_UPPER = Rectangle(0.500, 0.740, 0.745, 0.787)
TEETH_LOWER = Rectangle(0.500, 0.793, 0.745, 0.840)
GUMS_UPPER = Rectangle(0.500, 0.846, 0.745, 0.868)
GUMS_LOWER = Rectangle(0.500, 0.874, 0.745, 0.896)
TONGUE = Rectangle(0.500, 0.902, 0.575, 0.996)
MOUTH = Rectangle(0.583, 0.902, 0.662, 0.996)
LID_INSIDE = Rectangle(0.670, 0.902, 0.745, 0.996)
EYEBALL = Rectangle(0.752, 0.744, 0.996, 0.988)
EAR = Rectangle(0.914, 0.004, 0.996, 0.120)
LASHES = Rectangle(0.914, 0.130, 0.996, 0.150)


def skin_uv(theta: Array, row: Array) -> Array:
    """Points of the atlas, (…, 2)."""
    s = theta * parallel_radius(row) / (np.pi * HEAD_RADIUS)
    u = 0.5 + _HALF_WIDTH * s * (1 + _FRONT_WEIGHT) / (1 + _FRONT_WEIGHT * s)
    return np.stack([u, np.interp(-row, -_ROWS, _HEIGHTS)], -1)


def skin_parameters(uv: Array) -> tuple[Array, Array]:
    """``theta`` (beyond π outside the chart) and ``row`` of points of the atlas' left half."""
    row = np.interp(uv[..., 1], _HEIGHTS, _ROWS)
    g = (uv[..., 0] - 0.5) / _HALF_WIDTH
    s = g / np.maximum(1 + _FRONT_WEIGHT - _FRONT_WEIGHT * g, 1e-3)
    return s * np.pi * HEAD_RADIUS / np.maximum(parallel_radius(row), 0.5), row
