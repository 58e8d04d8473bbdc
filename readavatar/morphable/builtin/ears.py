"""The outer ear: a relief over an oval that flares from the side of the head."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from readavatar.morphable.builtin import charts
from readavatar.morphable.builtin.parts import Part, close_grid, grid_part
from readavatar.morphable.builtin.surface import Array, smooth_step

EAR_ORIGIN = np.array([70.5, -17.0, -4.0])
"""Where the ear's plane meets the head, behind the tragus; ear length 62, breadth 35 (Farkas: sa-sba, pra-pa)."""
FLARE, TILT = np.deg2rad(24.0), np.deg2rad(10.0)
_CENTER = np.array([11.0, -1.0])

# fmt: off
_OUTLINE = np.array([  # (backwards, up)
    [-3.0, 8.0], [0.0, 20.0], [7.0, 29.0], [17.0, 31.5], [26.0, 26.0], [30.0, 14.0], [28.5, 1.0],
    [23.5, -11.0], [18.5, -20.0], [12.5, -28.0], [5.0, -31.0], [-1.0, -26.0], [-2.5, -12.0], [-4.0, -3.0],
])
# fmt: on


def _outline_radius() -> CubicSpline:
    offset = _OUTLINE - _CENTER
    angle = np.arctan2(offset[:, 1], -offset[:, 0])  # 0 points forward, 90° up
    order = np.argsort(angle)
    angle, radius = angle[order], np.linalg.norm(offset, axis=1)[order]
    return CubicSpline(np.append(angle, angle[0] + 2 * np.pi), np.append(radius, radius[0]), bc_type="periodic")


def _relief(ratio: Array, angle: Array, forward: Array, up: Array) -> Array:
    """Height over the ear's plane: bowl, antihelix, groove, helix, lobe, tragus."""
    turn = np.mod(angle, 2 * np.pi)  # 0 forward, 90° up, 180° back, 270° down
    helix = smooth_step(0.3, 0.9, turn) * smooth_step(4.3, 3.5, turn)
    back = smooth_step(1.2, 1.9, turn) * smooth_step(4.5, 3.9, turn)
    bowl = -7.5 * np.exp(-(((forward + 1.0) / 7.5) ** 2) - ((up + 3.0) / 9.5) ** 2)
    antihelix = 3.0 * np.exp(-(((ratio - 0.62) / 0.1) ** 2)) * back
    groove = -1.6 * np.exp(-(((ratio - 0.8) / 0.07) ** 2)) * helix
    rim = 3.4 * np.exp(-(((ratio - 0.94) / 0.07) ** 2)) * helix
    lobe = 1.5 * np.exp(-((forward / 9) ** 2) - ((up + 24.0) / 6) ** 2)
    tragus = 3.2 * np.exp(-(((forward - 11.5) / 2.6) ** 2) - ((up + 5.0) / 4.5) ** 2)
    antitragus = 2.2 * np.exp(-(((forward - 3.0) / 3.0) ** 2) - ((up + 16.0) / 3.0) ** 2)
    # Towards the cheek the ear's edge sinks into the head.
    sink = -7.0 * smooth_step(0.62, 1.0, ratio) * (smooth_step(0.8, 0.25, turn) + smooth_step(4.9, 5.7, turn))
    return sink + bowl + antihelix + groove + rim + lobe + tragus + antitragus


def ear() -> Part:
    """The left ear: rings from the bowl's middle over the rim, then down its back into the head."""
    front = [0.0, 0.14, 0.28, 0.4, 0.5, 0.58, 0.66, 0.73, 0.8, 0.86, 0.91, 0.955, 0.985]
    back = [1.0, 0.985, 0.93, 0.78, 0.0]
    ratios = np.array(front + back)
    behind = np.array([0.0] * len(front) + [1.2, 2.8, 4.0, 7.5, 14.0])
    angles = np.linspace(-np.pi, np.pi, 33)
    ratio, angle = np.meshgrid(ratios, angles, indexing="ij")
    radius = _outline_radius()(np.where(angle < _first_angle(), angle + 2 * np.pi, angle))
    forward, up = ratio * radius * np.cos(angle), ratio * radius * np.sin(angle)
    backwards = _CENTER[0] - forward
    height = np.where(behind[:, None] == 0, _relief(ratio, angle, forward, up), 0.0)
    rim_height = _relief(np.ones_like(ratio), angle, radius * np.cos(angle), radius * np.sin(angle))
    height = np.where(behind[:, None] == 0, height, np.minimum(1.0, 2 * ratio) * rim_height - behind[:, None])
    plane_up = up + _CENTER[1]
    local_x = np.sin(FLARE) * backwards + np.cos(FLARE) * height
    local_z = -np.cos(FLARE) * backwards + np.sin(FLARE) * height
    y = np.cos(TILT) * plane_up + np.sin(TILT) * local_z
    z = np.cos(TILT) * local_z - np.sin(TILT) * plane_up
    points = EAR_ORIGIN + np.stack([local_x, y, z], -1)
    spread = np.linspace(0, 1, len(ratios))[:, None] * 0.5
    uvs = charts.EAR.uv(0.5 - spread * np.cos(angle), 0.5 - spread * np.sin(angle))
    return close_grid(grid_part(points, uvs, "head"), len(ratios), len(angles))


def _first_angle() -> float:
    offset = _OUTLINE - _CENTER
    return float(np.arctan2(offset[:, 1], -offset[:, 0]).min())
