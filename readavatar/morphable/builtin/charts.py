"""The atlas: where each surface lies in the texture. Symmetric about u = 0.5; the left half of the head has u ≥ 0.5."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from readavatar.morphable.builtin.layout import HEAD_RADIUS, parallel_radius
from readavatar.morphable.builtin.surface import ROW_BOTTOM, ROW_TOP, Array

SKIN_TOP, SKIN_BOTTOM = 0.004, 0.73
_HALF_WIDTH = 0.405
_FRONT_WEIGHT = 2.4
"""How much more texture the face gets than the back of the head."""
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
    """(…, 2)."""
    s = theta * parallel_radius(row) / (np.pi * HEAD_RADIUS)
    u = 0.5 + _HALF_WIDTH * s * (1 + _FRONT_WEIGHT) / (1 + _FRONT_WEIGHT * s)
    return np.stack([u, np.interp(-row, -_ROWS, _HEIGHTS)], -1)


def skin_parameters(uv: Array) -> tuple[Array, Array]:
    """``theta`` (beyond π outside the chart) and ``row`` of points of the atlas' left half."""
    row = np.interp(uv[..., 1], _HEIGHTS, _ROWS)
    g = (uv[..., 0] - 0.5) / _HALF_WIDTH
    s = g / np.maximum(1 + _FRONT_WEIGHT - _FRONT_WEIGHT * g, 1e-3)
    return s * np.pi * HEAD_RADIUS / np.maximum(parallel_radius(row), 0.5), row
