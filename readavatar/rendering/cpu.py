"""Visibility on the CPU: compiled loops over triangles with homogeneous edge functions (Olano & Greer 1997).

For a triangle with clip positions (xᵢ, yᵢ, zᵢ, wᵢ), eᵢ(x, y) is the determinant of the 2D-homogeneous rows
(xⱼ, yⱼ, wⱼ), (xₖ, yₖ, wₖ) and (x, y, 1) with j = i + 1, k = i + 2. A pixel's centre is inside where all three have the
sign of the triangle's own determinant, even if corners are behind the camera: no clipping is needed. z / w is
Σ eᵢ zᵢ / Σ eᵢ wᵢ, and the denominator is that determinant.

The innermost loop has no branch and no aliasing array, so that LLVM can vectorise it (four times as fast). Therefore
buffers are flat, indices are unsigned (signed ones may count from the end) and rows are whole vectors.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.rendering.cpu_kernels import as_array, bands, kernel, run_jobs

_NUM_LANES = 4
"""Pixels at once: doubles in an AVX register."""
_MARGIN = 1e-3
"""Pixels by which boxes are enlarged, so that no centre on an edge is lost by rounding."""


def visible_faces(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], resolution: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Index of the nearest triangle at each pixel's centre, −1 for none; of equally near ones the first.

    Tensors of another device are copied to the CPU, and the result is copied back.
    """
    height, width = resolution
    vertices = as_array(vertices_clip.cpu())
    corners = as_array(faces.cpu())
    projected = np.empty((len(vertices), vertices.shape[1], 2))
    boxes = np.empty((len(vertices), len(corners), 4), np.int32)
    index = np.empty((len(vertices), height, width), np.int64)
    centres = np.full(max(width, _NUM_LANES), np.nan)
    centres[:width] = (np.arange(width) + 0.5) * (2 / width) - 1
    run_jobs(
        _project,
        [
            (vertices[image, first:end], height, width, projected[image, first:end])
            for image, first, end in bands(len(vertices), vertices.shape[1])
        ],
    )
    run_jobs(
        _find_boxes,
        [
            (vertices[image], projected[image], corners[first:end], height, width, boxes[image, first:end])
            for image, first, end in bands(len(vertices), len(corners))
        ],
    )
    run_jobs(
        _draw,
        [
            (vertices[image], corners, boxes[image], centres, height, top, index[image, top:bottom])
            for image, top, bottom in bands(len(vertices), height)
        ],
    )
    return torch.from_numpy(index).to(vertices_clip.device)


@kernel
def _project(vertices, height, width, projected):
    """Columns and rows, 0 at the first pixel's centre; NaN for what is not in front of the near plane z = −w."""
    for vertex in range(vertices.shape[0]):
        x, y, z, w = _corner(vertices, vertex)
        projected[vertex] = _on_screen(x, y, w if w > 0 and z + w > 0 else np.nan, height, width)


@kernel
def _on_screen(x, y, w, height, width):
    return (x / w + 1) * 0.5 * width - 0.5, (1 - y / w) * 0.5 * height - 0.5


@kernel
def _find_boxes(vertices, projected, faces, height, width, boxes):
    """Columns [left, right) and rows [top, bottom) of the pixel centres that each triangle may cover."""
    for face in range(faces.shape[0]):
        i0, i1, i2 = faces[face, 0], faces[face, 1], faces[face, 2]
        x0, x1, x2 = projected[i0, 0], projected[i1, 0], projected[i2, 0]
        y0, y1, y2 = projected[i0, 1], projected[i1, 1], projected[i2, 1]
        if (x0 + x1 + x2) + (y0 + y1 + y2) == (x0 + x1 + x2) + (y0 + y1 + y2):  # no NaN
            left, right = min(x0, min(x1, x2)), max(x0, max(x1, x2))
            top, bottom = min(y0, min(y1, y2)), max(y0, max(y1, y2))
        else:
            left, right, top, bottom = _visible_extent(vertices, faces[face], height, width)
        boxes[face, 0] = _first_centre(left - _MARGIN, width)
        boxes[face, 1] = _first_centre(right + _MARGIN, width)
        boxes[face, 2] = _first_centre(top - _MARGIN, height)
        boxes[face, 3] = _first_centre(bottom + _MARGIN, height)
        if boxes[face, 0] >= boxes[face, 1]:
            boxes[face, 3] = boxes[face, 2]  # so that one comparison is enough for empty boxes


@kernel
def _visible_extent(vertices, corners, height, width):
    """Least and greatest column and row of a triangle that crosses the near plane: there its visible part ends."""
    left, right, top, bottom = np.inf, -np.inf, np.inf, -np.inf
    for corner in range(6):
        x, y, z, w = _corner(vertices, corners[corner % 3])
        if corner < 3:
            visible = z + w > 0 and w > 0
        else:  # where the edge from this corner crosses the plane
            x_next, y_next, z_next, w_next = _corner(vertices, corners[(corner + 1) % 3])
            in_front, in_front_next = z + w, z_next + w_next
            visible = (in_front > 0) != (in_front_next > 0)
            part = in_front / (in_front - in_front_next) if visible else 0.0
            x, y, w = x + part * (x_next - x), y + part * (y_next - y), max(w + part * (w_next - w), 1e-12)
        if visible:
            column, row = _on_screen(x, y, w, height, width)
            left, right, top, bottom = min(left, column), max(right, column), min(top, row), max(bottom, row)
    return left, right, top, bottom


@kernel
def _first_centre(position, size):
    """The first pixel, of ``size``, whose centre is at or after ``position``."""
    if not position > 0:  # NaN too
        return 0
    return int(np.ceil(position)) if position < size else size


@kernel
def _draw(vertices, faces, boxes, centres, height, first_row, index):
    """Draw all triangles into some rows of an image."""
    num_rows, width = index.shape
    num_columns = len(centres)  # the width, or more for images narrower than a vector
    nearest = np.full(num_rows * num_columns, np.float32(np.inf))
    seen_face = np.full(num_rows * num_columns, np.int32(-1))
    for face in range(faces.shape[0]):
        low, high = max(boxes[face, 2] - first_row, 0), min(boxes[face, 3] - first_row, num_rows)
        if low >= high:
            continue
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
        left, right = boxes[face, 0], boxes[face, 1]
        num_lanes = min((right - left + _NUM_LANES - 1) // _NUM_LANES * _NUM_LANES, num_columns)
        left = min(left, num_columns - num_lanes)
        for row in range(low, high):
            y = 1 - (first_row + row + 0.5) * (2 / height)
            d0, d1, d2 = b0 * y + c0, b1 * y + c1, b2 * y + c2
            first_column, first_pixel = np.uint64(left), np.uint64(row * num_columns + left)
            for lane in range(num_lanes):
                x, pixel = centres[first_column + np.uint64(lane)], first_pixel + np.uint64(lane)
                e0, e1, e2 = a0 * x + d0, a1 * x + d1, a2 * x + d2
                z = e0 * z0 + e1 * z1 + e2 * z2
                depth, before = np.float32(z), nearest[pixel]
                seen = (e0 >= 0) & (e1 >= 0) & (e2 >= 0) & (z >= -1) & (z <= 1) & (depth < before)
                nearest[pixel] = depth if seen else before
                seen_face[pixel] = np.int32(face) if seen else seen_face[pixel]
    for row in range(num_rows):
        for column in range(width):
            index[row, column] = seen_face[row * num_columns + column]


@kernel
def _corner(vertices, vertex):
    return (
        np.float64(vertices[vertex, 0]),
        np.float64(vertices[vertex, 1]),
        np.float64(vertices[vertex, 2]),
        np.float64(vertices[vertex, 3]),
    )
