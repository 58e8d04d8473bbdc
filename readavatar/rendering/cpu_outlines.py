"""The compiled twin of ``outlines`` for the CPU.

numba keeps compiled code until this very file changes: touch it after changing what it takes from other modules.
"""

from __future__ import annotations

from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.rendering.cpu import MARGIN
from readavatar.rendering.cpu_barycentric import corner_edges
from readavatar.rendering.cpu_threads import bands, run_jobs
from readavatar.rendering.outlines import MAX_TRIANGLES, Crossings
from readavatar.rendering.topology import Neighbours


def find_crossings(
    face_index: Int[Tensor, "B H W"],
    depth: Float[Tensor, "B H W"],
    vertices_clip: Float[Tensor, "B V 4"],
    faces: Int[Tensor, "F 3"],
    neighbours: Neighbours,
) -> Crossings:
    """See ``outlines.find_crossings``; the order may differ."""
    num_images, height, width = face_index.shape
    vertices, index, distance = (array.contiguous().numpy() for array in (vertices_clip, face_index, depth))
    mesh = tuple(array.contiguous().numpy() for array in (faces, neighbours.face, neighbours.winding))
    silhouettes = np.empty((num_images, len(faces), 3), np.bool_)
    beside = np.zeros((num_images, height, width), np.bool_)
    run_jobs(
        _find_silhouettes,
        [(vertices[image], *mesh, silhouettes[image], beside[image]) for image in range(num_images)],
    )
    pieces = bands(num_images, height)
    results = [np.empty((2 * (bottom - top) * width, 8), np.int64) for _, top, bottom in pieces]
    counts = np.zeros((len(pieces), 1), np.int64)
    jobs = []
    for (image, *rows), result, count in zip(pieces, results, counts, strict=True):
        seen = (index[image], distance[image], beside[image])
        surface = (vertices[image], mesh[0], mesh[1], silhouettes[image])
        jobs.append((image, *rows, *surface, *seen, result, count))
    run_jobs(_find_in_rows, jobs)
    found = np.concatenate([result[:count] for result, count in zip(results, counts[:, 0], strict=True)])
    near, far, face_and_edge = torch.from_numpy(found).split([3, 3, 2], 1)
    return Crossings(near, far, *face_and_edge.unbind(1))


@numba.njit(cache=True, nogil=True)
@no_type_check
def _find_silhouettes(vertices, faces, neighbours, winding, silhouettes, beside):
    """Silhouette edges, and the pixels whose centre one may pass on its way to the next: all other pairs are alike."""
    side = np.empty(len(faces), np.int8)
    for face in range(len(faces)):
        _, _, _, edges = corner_edges(vertices, faces, face, 0.0, 0.0)
        determinant = 0.0
        for i in range(3):
            determinant += edges[i] * vertices[faces[face, i], 3]
        side[face] = np.sign(determinant) if determinant == determinant else 0
    for face in range(len(faces)):
        for i in range(3):
            across = neighbours[face, i]
            silhouettes[face, i] = across < 0 or side[across] * winding[face, i] != side[face]
            if silhouettes[face, i]:
                _mark_box(vertices[faces[face, (i + 1) % 3]], vertices[faces[face, (i + 2) % 3]], beside)


@numba.njit(cache=True, nogil=True)
@no_type_check
def _mark_box(start, end, beside):
    """Set the pixels whose centres surround an edge's box."""
    height, width = beside.shape
    if not (start[3] > 0 and end[3] > 0):  # it passes the camera: anywhere
        beside[:] = True
        return
    x_start, x_end = (start[0] / start[3] + 1) * 0.5 * width - 0.5, (end[0] / end[3] + 1) * 0.5 * width - 0.5
    y_start, y_end = (1 - start[1] / start[3]) * 0.5 * height - 0.5, (1 - end[1] / end[3]) * 0.5 * height - 0.5
    left, right = max(min(x_start, x_end) - MARGIN, 0), min(max(x_start, x_end) + MARGIN, width - 1)
    top, bottom = max(min(y_start, y_end) - MARGIN, 0), min(max(y_start, y_end) + MARGIN, height - 1)
    if left <= right and top <= bottom:
        beside[int(top) : int(np.ceil(bottom)) + 1, int(left) : int(np.ceil(right)) + 1] = True


@numba.njit(cache=True, nogil=True)
@no_type_check
def _find_in_rows(
    image, top, bottom, vertices, faces, neighbours, silhouettes, face_index, depth, beside, results, count
):
    """The crossings between each pixel of the rows [top, bottom) and the ones to its right and below."""
    height, width = face_index.shape
    for row in range(top, bottom):
        for column in range(width):
            for down in range(2):
                other_row, other_column = row + down, column + 1 - down
                if other_row >= height or other_column >= width:
                    continue
                if face_index[row, column] == face_index[other_row, other_column]:
                    continue
                if not (beside[row, column] and beside[other_row, other_column]):
                    continue
                near, far = (row, column), (other_row, other_column)
                if depth[row, column] > depth[other_row, other_column]:
                    near, far = far, near
                face = face_index[near]
                if face < 0:
                    continue
                face, edge = _follow(vertices, faces, neighbours, silhouettes, height, width, near, far, face)
                if edge < 0:
                    continue
                start, end = vertices[faces[face, (edge + 1) % 3]], vertices[faces[face, (edge + 2) % 3]]
                horizontally = abs(np.float64(start[1]) * end[3] - np.float64(end[1]) * start[3]) / width
                vertically = abs(np.float64(start[0]) * end[3] - np.float64(end[0]) * start[3]) / height
                if (horizontally < vertically) == (down == 1):
                    results[count[0]] = (image, near[0], near[1], image, far[0], far[1], face, edge)
                    count[0] += 1


@numba.njit(cache=True, nogil=True)
@no_type_check
def _follow(vertices, faces, neighbours, silhouettes, height, width, near, far, face):
    """The triangle and the edge where the surface ends on the way to the other pixel; edge −1 where it does not."""
    x_near, y_near = (near[1] + 0.5) * (2 / width) - 1, 1 - (near[0] + 0.5) * (2 / height)
    x_far, y_far = (far[1] + 0.5) * (2 / width) - 1, 1 - (far[0] + 0.5) * (2 / height)
    for _ in range(MAX_TRIANGLES):
        corners, _, _, at_near = corner_edges(vertices, faces, face, x_near, y_near)
        _, _, _, at_far = corner_edges(vertices, faces, face, x_far, y_far)
        determinant = 0.0
        for i in range(3):
            determinant += at_near[i] * vertices[corners[i], 3]
        edge, least = -1, np.inf
        for i in range(3):
            if at_near[i] * determinant >= 0 and at_far[i] * determinant < 0:
                fraction = at_near[i] / (at_near[i] - at_far[i])
                if fraction < least:
                    edge, least = i, fraction
        if edge < 0 or silhouettes[face, edge]:
            return face, edge
        face = neighbours[face, edge]
    return face, -1
