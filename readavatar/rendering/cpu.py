"""Visibility on the CPU: compiled loops over triangles with homogeneous edge functions (Olano & Greer 1997).

For a triangle with clip positions (xᵢ, yᵢ, zᵢ, wᵢ), eᵢ(x, y) is the determinant of the 2D-homogeneous rows
(xⱼ, yⱼ, wⱼ), (xₖ, yₖ, wₖ) and (x, y, 1) with j = i + 1, k = i + 2. A pixel's centre is inside where all three have the
sign of the triangle's own determinant, also when corners lie behind the camera: nothing needs to be clipped. z / w is
Σ eᵢ zᵢ / Σ eᵢ wᵢ, and the denominator is that determinant.
"""

from __future__ import annotations

from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.rendering.cpu_threads import bands, run_jobs

# Kernels are marked `no_type_check`: what a shape checker wraps, numba cannot compile.


def visible_faces(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], resolution: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Index of the nearest triangle at each pixel's centre, −1 for none; of equally near ones the first."""
    height, width = resolution
    vertices = vertices_clip.detach().contiguous().numpy()
    corners = faces.contiguous().numpy()
    boxes = np.empty((len(vertices), len(corners), 4), np.int32)
    index = np.empty((len(vertices), height, width), np.int64)
    depth = np.empty((len(vertices), height, width), np.float32)
    run_jobs(
        _find_boxes,
        [
            (vertices[image], corners[first:end], height, width, boxes[image, first:end])
            for image, first, end in bands(len(vertices), len(corners))
        ],
    )
    run_jobs(
        _draw,
        [
            (vertices[image], corners, boxes[image], top, bottom, index[image], depth[image])
            for image, top, bottom in bands(len(vertices), height)
        ],
    )
    return torch.from_numpy(index)


@numba.njit(cache=True, nogil=True)
@no_type_check
def _find_boxes(vertices, faces, height, width, boxes):
    """Columns [left, right) and rows [top, bottom) of the pixel centres that each triangle may cover."""
    for face in range(faces.shape[0]):
        low_x, high_x, low_y, high_y = np.inf, -np.inf, np.inf, -np.inf
        for corner in range(3):
            x, y, z, w = vertices[faces[face, corner]]
            in_front = z + w
            if in_front > 0 and w > 0:
                low_x, high_x, low_y, high_y = _enclose(x / w, y / w, low_x, high_x, low_y, high_y)
            # Where an edge crosses the near plane z = −w, the visible part ends at the crossing.
            x_next, y_next, z_next, w_next = vertices[faces[face, (corner + 1) % 3]]
            in_front_next = z_next + w_next
            if (in_front > 0) != (in_front_next > 0):
                part = in_front / (in_front - in_front_next)
                w_near = max(w + part * (w_next - w), 1e-12)
                x_near, y_near = (x + part * (x_next - x)) / w_near, (y + part * (y_next - y)) / w_near
                low_x, high_x, low_y, high_y = _enclose(x_near, y_near, low_x, high_x, low_y, high_y)
        # The margin of a thousandth of a pixel keeps rounding from losing a centre that lies on an edge.
        boxes[face, 0] = _first_centre((low_x + 1) * 0.5 * width - 1e-3, width)
        boxes[face, 1] = _first_centre((high_x + 1) * 0.5 * width + 1e-3, width)
        boxes[face, 2] = _first_centre((1 - high_y) * 0.5 * height - 1e-3, height)
        boxes[face, 3] = _first_centre((1 - low_y) * 0.5 * height + 1e-3, height)
        if boxes[face, 0] >= boxes[face, 1]:
            boxes[face, 3] = boxes[face, 2]  # so that one comparison tells the empty ones


@numba.njit(cache=True, nogil=True)
@no_type_check
def _enclose(x, y, low_x, high_x, low_y, high_y):
    return min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)


@numba.njit(cache=True, nogil=True)
@no_type_check
def _first_centre(position, size):
    """The first pixel, of ``size``, whose centre is at or after ``position``."""
    if not position > 0:  # NaN too
        return 0
    return int(np.ceil(position - 0.5)) if position < size else size


@numba.njit(cache=True, nogil=True)
@no_type_check
def _draw(vertices, faces, boxes, top, bottom, index, depth):
    """Draw all triangles into the rows [top, bottom)."""
    height, width = index.shape
    index[top:bottom] = -1
    depth[top:bottom] = np.inf
    for face in range(faces.shape[0]):
        low, high = max(boxes[face, 2], top), min(boxes[face, 3], bottom)
        if low >= high:
            continue
        left, right = boxes[face, 0], boxes[face, 1]
        # In double precision, a triangle far smaller than a pixel still has exact edges. Both triangles at a shared
        # edge get the same products with opposite signs, so that no centre falls between them.
        x0, y0, z0, w0 = _corner(vertices, faces[face, 0])
        x1, y1, z1, w1 = _corner(vertices, faces[face, 1])
        x2, y2, z2, w2 = _corner(vertices, faces[face, 2])
        a0, b0, c0 = y1 * w2 - y2 * w1, x2 * w1 - x1 * w2, x1 * y2 - x2 * y1
        a1, b1, c1 = y2 * w0 - y0 * w2, x0 * w2 - x2 * w0, x2 * y0 - x0 * y2
        a2, b2, c2 = y0 * w1 - y1 * w0, x1 * w0 - x0 * w1, x0 * y1 - x1 * y0
        determinant = a0 * x0 + b0 * y0 + c0 * w0
        if not abs(determinant) > 0:  # no area, or NaN
            continue
        if determinant < 0:
            a0, b0, c0, a1, b1, c1, a2, b2, c2 = -a0, -b0, -c0, -a1, -b1, -c1, -a2, -b2, -c2
        z0, z1, z2 = z0 / abs(determinant), z1 / abs(determinant), z2 / abs(determinant)
        for row in range(low, high):
            y = 1 - (row + 0.5) * (2 / height)
            d0, d1, d2 = b0 * y + c0, b1 * y + c1, b2 * y + c2
            for column in range(left, right):
                x = (column + 0.5) * (2 / width) - 1
                e0, e1, e2 = a0 * x + d0, a1 * x + d1, a2 * x + d2
                if e0 >= 0 and e1 >= 0 and e2 >= 0:
                    z = e0 * z0 + e1 * z1 + e2 * z2
                    if -1 <= z <= 1 and np.float32(z) < depth[row, column]:
                        depth[row, column] = z
                        index[row, column] = face


@numba.njit(cache=True, nogil=True)
@no_type_check
def _corner(vertices, vertex):
    x, y, z, w = vertices[vertex]
    return np.float64(x), np.float64(y), np.float64(z), np.float64(w)
