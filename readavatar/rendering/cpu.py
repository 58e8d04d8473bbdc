"""Visibility on the CPU: numba, homogeneous edge functions, no clipping needed."""

from __future__ import annotations

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def visible_faces(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], resolution: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Index of the nearest triangle at each pixel's centre, −1 for none."""
    height, width = resolution
    vertices = np.ascontiguousarray(vertices_clip.cpu().numpy(), dtype=np.float32)
    index = np.full((len(vertices), height, width), -1, np.int64)
    depth = np.full((len(vertices), height, width), np.inf, np.float32)
    _rasterize(vertices, np.ascontiguousarray(faces.cpu().numpy()), index, depth)
    return torch.from_numpy(index)


@numba.njit(parallel=True, cache=True, fastmath=False)
def _rasterize(vertices, faces, index, depth):
    num_images, height, width = index.shape
    num_bands = max(1, 8 // num_images)
    for job in numba.prange(num_images * num_bands):
        image, band = job // num_bands, job % num_bands
        top, bottom = band * height // num_bands, (band + 1) * height // num_bands
        for face in range(faces.shape[0]):
            _draw(vertices[image], faces[face], face, index[image], depth[image], top, bottom, width, height)


@numba.njit(cache=True, inline="always")
def _draw(vertices, corners, face, index, depth, top, bottom, width, height):
    x0, y0, z0, w0 = vertices[corners[0]]
    x1, y1, z1, w1 = vertices[corners[1]]
    x2, y2, z2, w2 = vertices[corners[2]]
    if w0 <= 0 and w1 <= 0 and w2 <= 0:
        return
    left, right, low, high = 0, width, top, bottom
    if w0 > 1e-6 and w1 > 1e-6 and w2 > 1e-6:
        px0, px1, px2 = x0 / w0, x1 / w1, x2 / w2
        py0, py1, py2 = y0 / w0, y1 / w1, y2 / w2
        left = max(left, int(np.floor((min(px0, px1, px2) + 1) * 0.5 * width - 0.5)))
        right = min(right, int(np.ceil((max(px0, px1, px2) + 1) * 0.5 * width + 0.5)))
        low = max(low, int(np.floor((1 - max(py0, py1, py2)) * 0.5 * height - 0.5)))
        high = min(high, int(np.ceil((1 - min(py0, py1, py2)) * 0.5 * height + 0.5)))
        if left >= right or low >= high:
            return
    # Edge functions e_i(x, y) = a_i x + b_i y + c_i of the homogeneous triangle.
    a0, b0, c0 = y1 * w2 - y2 * w1, x2 * w1 - x1 * w2, x1 * y2 - x2 * y1
    a1, b1, c1 = y2 * w0 - y0 * w2, x0 * w2 - x2 * w0, x2 * y0 - x0 * y2
    a2, b2, c2 = y0 * w1 - y1 * w0, x1 * w0 - x0 * w1, x0 * y1 - x1 * y0
    determinant = c0 * w0 + c1 * w1 + c2 * w2
    if determinant == 0:
        return
    if determinant < 0:
        a0, b0, c0, a1, b1, c1, a2, b2, c2 = -a0, -b0, -c0, -a1, -b1, -c1, -a2, -b2, -c2
    for row in range(low, high):
        y = 1 - (row + 0.5) * 2 / height
        for column in range(left, right):
            x = (column + 0.5) * 2 / width - 1
            e0 = a0 * x + b0 * y + c0
            e1 = a1 * x + b1 * y + c1
            e2 = a2 * x + b2 * y + c2
            if e0 < 0 or e1 < 0 or e2 < 0:
                continue
            w = e0 * w0 + e1 * w1 + e2 * w2
            if w <= 0:
                continue
            z = (e0 * z0 + e1 * z1 + e2 * z2) / w
            if z < -1 or z > 1 or z >= depth[row, column]:
                continue
            depth[row, column] = z
            index[row, column] = face
