"""Parts of the head's left half: making them from grids, merging them, and mirroring them to a whole head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from readavatar.morphable.builtin.surface import Array

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A piece of the head's left half (x ≥ 0)."""

    vertices: Array
    """(V, 3), millimetres, authoring frame."""
    faces: Indices
    """(F, 3), counter-clockwise from outside."""
    uvs: Array
    """(U, 2)."""
    uv_faces: Indices
    """(F, 3)."""
    regions: np.ndarray
    """(V,) of ``REGION_NAMES``, with ``left`` for the eyes."""


@dataclass(frozen=True)
class Whole:
    """Both halves, welded at x = 0."""

    vertices: Array
    faces: Indices
    uvs: Array
    uv_faces: Indices
    regions: np.ndarray
    mirrored: Indices
    """(V,) each vertex' counterpart on the other side; its own index on the midline."""
    num_left: int
    """Vertices of the left half, which come first."""


def grid_faces(index: Indices, closed: bool = False) -> Indices:
    """Triangles of a grid of vertices (R, C), counter-clockwise where columns run right and rows run up.

    The diagonals alternate, so that a mirrored grid has the same shape.
    """
    if closed:
        index = np.concatenate([index, index[:, :1]], axis=1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    rows, columns = np.indices(a.shape)
    even = ((rows + columns) % 2 == 0)[..., None]
    first = np.where(even, np.stack([a, b, c], -1), np.stack([a, b, d], -1))
    second = np.where(even, np.stack([a, c, d], -1), np.stack([b, c, d], -1))
    return np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])


def grid_part(points: Array, uvs: Array, region: str, flip: bool = False) -> Part:
    """A part made from a grid of points (R, C, 3) and uvs (R, C, 2)."""
    index = np.arange(points.shape[0] * points.shape[1]).reshape(points.shape[:2])
    faces = grid_faces(index)
    if flip:
        faces = faces[:, ::-1]
    return drop_degenerate(
        Part(points.reshape(-1, 3), faces, uvs.reshape(-1, 2), faces, np.full(index.size, region, dtype="<U16"))
    )


def weld(part: Part, target: Indices) -> Part:
    """Replace each vertex by ``target`` (V,), one at the same place, and drop the unused ones; uvs are not welded."""
    used, faces = np.unique(target[part.faces], return_inverse=True)
    return Part(part.vertices[used], faces.reshape(-1, 3), part.uvs, part.uv_faces, part.regions[used])


def close_grid(grid: Part, num_rows: int, num_columns: int) -> Part:
    """Close a grid whose last column repeats the first and whose first and last rows are poles."""
    target = np.arange(num_rows * num_columns).reshape(num_rows, num_columns)
    target[:, -1] = target[:, 0]
    target[0], target[-1] = target[0, 0], target[-1, 0]
    return weld(grid, target.ravel())


def drop_degenerate(part: Part) -> Part:
    """Remove the triangles without area (where a side of a grid is a single point)."""
    corners = part.vertices[part.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    keep = area > 1e-4
    return Part(part.vertices, part.faces[keep], part.uvs, part.uv_faces[keep], part.regions)


def merge(parts: list[Part]) -> Part:
    """Join several parts into one, in their order."""
    vertex_offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    uv_offsets = np.cumsum([0] + [len(part.uvs) for part in parts[:-1]])
    return Part(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + offset for part, offset in zip(parts, vertex_offsets, strict=True)]),
        np.concatenate([part.uvs for part in parts]),
        np.concatenate([part.uv_faces + offset for part, offset in zip(parts, uv_offsets, strict=True)]),
        np.concatenate([part.regions for part in parts]),
    )


def mirror(half: Part) -> Whole:
    """The half and its reflection, sharing the vertices at x = 0; the atlas is symmetric about u = 0.5."""
    num_left = len(half.vertices)
    on_midline = np.abs(half.vertices[:, 0]) < 1e-6
    counterpart = np.where(on_midline, np.arange(num_left), 0)
    counterpart[~on_midline] = num_left + np.arange((~on_midline).sum())
    reflect = np.array([-1.0, 1.0, 1.0])
    regions = np.char.replace(half.regions[~on_midline], "_left", "_right")
    left = half.vertices.copy()
    left[on_midline, 0] = 0.0
    return Whole(
        vertices=np.concatenate([left, left[~on_midline] * reflect]),
        faces=np.concatenate([half.faces, counterpart[half.faces][:, ::-1]]),
        uvs=np.concatenate([half.uvs, half.uvs * [-1, 1] + [1, 0]]),
        uv_faces=np.concatenate([half.uv_faces, half.uv_faces[:, ::-1] + len(half.uvs)]),
        regions=np.concatenate([half.regions, regions]),
        mirrored=np.concatenate([counterpart, np.nonzero(~on_midline)[0]]),
        num_left=num_left,
    )
