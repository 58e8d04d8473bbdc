"""The left half of the skin, from lids and lips to crown and neck, with the mouth's cavity and the outer ear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from readavatar.morphable.builtin import charts, eyes, mouth
from readavatar.morphable.builtin.charts import from_plane, to_plane, triangulate_skin
from readavatar.morphable.builtin.parts import Array, Indices, Part, close_grid, drop_degenerate, grid_faces, grid_part
from readavatar.morphable.builtin.surface import (
    NOSE_BASE_SOFTNESS,
    hair_lift,
    loft_normals,
    loft_parameters,
    nose_base,
    skin_surface,
    smooth_step,
)


@dataclass(frozen=True)
class Skin:
    """The skin as a part, and where its rings are."""

    part: Part
    theta: Array
    """(V,) azimuth; behind the lips and lids that of the edge."""
    row: Array
    """(V,)."""
    lid_grid: Indices
    """(rings, columns) vertex indices: the outline's ring first, the conjunctiva last."""
    mouth_grid: Indices
    """(rings, columns): the outline's ring first, the slit at ``mouth.SEAM_RING``, the cavity's end last."""


def build_skin() -> Skin:
    """Fill the plane between the rings, then lift everything into space."""
    angles = eyes.column_angles()
    lid_nominal = eyes.outline(angles) + (1 - eyes.RING_BLEND[:, None, None]) * (
        eyes.lid_edge(angles) + eyes.EYE_CENTER[:2] - eyes.outline(angles)
    )
    mouth_nominal = mouth.nominal_rings()
    eye_ring = to_plane(*loft_parameters(*lid_nominal[0].T))
    mouth_ring = to_plane(*loft_parameters(*mouth_nominal[0].T))
    mouth_ring[[0, -1], 0] = 0.0
    plane, fill_faces = triangulate_skin(eye_ring, mouth_ring, _nose_creases())
    theta, row = from_plane(plane)
    fill = skin_surface(theta, row)
    fill += loft_normals(theta, row) * hair_lift(theta, row)[:, None]
    fill[np.abs(plane[:, 0]) < 1e-9, 0] = 0.0
    fill[theta > np.pi - 1e-9, 0] = 0.0

    lids = eyes.lid_rings()
    lips = mouth.lip_rings()
    inner = mouth.inner_rings(lips[-1])
    num_eye, num_mouth, num_fill = len(eye_ring), len(mouth_ring), len(fill)
    # The outermost rings are already among the filled points, on the surface without lid and lip relief.
    fill[:num_eye], fill[num_eye : num_eye + num_mouth] = lids[0], lips[0]
    lid_grid = np.concatenate(
        [np.arange(num_eye)[None], num_fill + np.arange((len(lids) - 1) * num_eye).reshape(-1, num_eye)]
    )
    first = num_fill + (len(lids) - 1) * num_eye
    rows = len(lips) + len(inner) - 1
    mouth_grid = np.concatenate(
        [num_eye + np.arange(num_mouth)[None], first + np.arange(rows * num_mouth).reshape(-1, num_mouth)]
    )
    # The cavity ends in one point.
    mouth_grid[-1] = mouth_grid[-1, 0]
    inner_points = inner.reshape(-1, 3)[: 1 - num_mouth]
    points = np.concatenate([fill, lids[1:].reshape(-1, 3), lips[1:].reshape(-1, 3), inner_points])
    edge_rings = len(eyes.RING_BLEND)
    lid_theta, lid_row = loft_parameters(*np.moveaxis(lid_nominal[1:], -1, 0))
    lip_theta, lip_row = loft_parameters(*np.moveaxis(mouth_nominal[1:], -1, 0))

    def with_inner(fill: Array, lid: Array, lip: Array) -> Array:
        behind_lids, behind_lips = [lid[-1]] * (len(lids) - edge_rings), [lip[-1]] * (len(inner) - 1)
        return np.concatenate([fill, lid.ravel(), *behind_lids, lip.ravel(), *behind_lips, lip[-1, :1]])

    all_theta, all_row = with_inner(theta, lid_theta, lip_theta), with_inner(row, lid_row, lip_row)
    part = _with_charts(points, all_theta, all_row, fill_faces, lid_grid, mouth_grid)
    return Skin(part, all_theta, all_row, lid_grid, mouth_grid)


def _nose_creases() -> Array:
    """Rows of vertices along the edge under the nose, in the plane, so that the edge is sharp and even."""
    x = np.arange(1.7, 19.0, 1.7)
    rows = [nose_base(x) + offset * NOSE_BASE_SOFTNESS for offset in (-3.6, -1.5, 0.3, 2.4)]
    return np.concatenate([to_plane(*loft_parameters(x, y)) for y in rows])


def _with_charts(
    points: Array, theta: Array, row: Array, fill_faces: Indices, lid_grid: Indices, mouth_grid: Indices
) -> Part:
    """Faces, regions and uvs: the skin's chart up to the lids' edge and the slit, charts of their own behind them."""
    edge, slit = len(eyes.RING_BLEND) - 1, mouth.SEAM_RING
    outer = [fill_faces, grid_faces(lid_grid[: edge + 1], closed=True), grid_faces(mouth_grid[: slit + 1])[:, ::-1]]
    # The slit's lower columns coincide with the upper ones but belong to the lower lip: they stay apart.
    skin_uvs = charts.skin_uv(theta, row)
    lid_rows, lid_columns = np.indices(lid_grid[edge:].shape)
    scale = 0.5 - 0.13 * lid_rows
    angle = eyes.column_angles()[lid_columns]
    lid_uvs = charts.LID_INSIDE.uv(0.5 + scale * np.cos(angle), 0.5 - scale * np.sin(angle))
    mouth_rows, mouth_columns = np.indices(mouth_grid[slit:].shape)
    mouth_uvs = charts.MOUTH.uv(mouth_rows / (mouth_rows.max()), mouth_columns / (mouth.NUM_COLUMNS - 1))
    lid_index = len(skin_uvs) + np.arange(lid_uvs.shape[0] * lid_uvs.shape[1]).reshape(lid_uvs.shape[:2])
    mouth_index = lid_index.max() + 1 + np.arange(mouth_rows.size).reshape(mouth_rows.shape)
    faces = [*outer, grid_faces(lid_grid[edge:], closed=True), grid_faces(mouth_grid[slit:])[:, ::-1]]
    uv_faces = [*outer, grid_faces(lid_index, closed=True), grid_faces(mouth_index)[:, ::-1]]
    regions = np.where((theta < 1.45) & (row < 62) & (row > -118), "face", "head").astype("<U16")
    regions[lid_grid[edge + 1 :]] = "eye_socket_left"
    regions[mouth_grid[slit + 2 :]] = "mouth_socket"
    part = Part(
        points,
        np.concatenate(faces),
        np.concatenate([skin_uvs, lid_uvs.reshape(-1, 2), mouth_uvs.reshape(-1, 2)]),
        np.concatenate(uv_faces),
        regions,
    )
    return drop_degenerate(part)


EAR_ORIGIN = np.array([70.5, -17.0, -4.0])
"""The point at which the ear's plane meets the head, behind the tragus; ear length 62, breadth 35 (Farkas: sa-sba,
pra-pa)."""
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
    # Towards the cheek, the ear's edge is below the skin.
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
