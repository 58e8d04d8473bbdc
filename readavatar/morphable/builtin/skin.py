"""The left half of the skin, from lids and lips to crown and neck, with the mouth's cavity behind the lips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from readavatar.morphable.builtin import charts, eyes, mouth
from readavatar.morphable.builtin.layout import from_plane, to_plane, triangulate_skin
from readavatar.morphable.builtin.parts import Array, Indices, Part, drop_degenerate, grid_faces
from readavatar.morphable.builtin.surface import (
    NOSE_BASE_SOFTNESS,
    hair_lift,
    loft_normals,
    loft_parameters,
    nose_base,
    skin_surface,
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
    """Rows of vertices along the edge under the nose, in the plane, so that it is sharp and even."""
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
