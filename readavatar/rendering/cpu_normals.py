"""The compiled twin of ``shading.vertex_normals`` for the CPU: the same values and first derivatives.

Symbols: a triangle's corners a, b, c, its cross product (b − a) × (c − a), a vertex's sum s of those around it and its
normal n = s / |s|. Images share out the threads: each is a loop over the triangles.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from readavatar.rendering.cpu_kernels import as_array, kernel, run_jobs

LEAST_LENGTH = 1e-12
"""Of a sum of cross products, m²; a shorter one has no direction."""


class VertexNormals(torch.autograd.Function):
    """See ``shading.vertex_normals``."""

    @staticmethod
    def forward(context, vertices: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "B V 3"]:
        normals, lengths = torch.zeros_like(vertices), vertices.new_empty(vertices.shape[:2])
        context.save_for_backward(vertices, faces, normals, lengths)
        corners = as_array(faces)
        each_image = zip(*map(as_array, (vertices, normals, lengths)), strict=True)
        run_jobs(_normals, [(points, corners, *out) for points, *out in each_image])
        return normals

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Float[Tensor, "B V 3"]) -> tuple[Tensor, None]:
        vertices, faces, normals, lengths = context.saved_tensors
        on_sums, on_vertices = torch.empty_like(normals), torch.zeros_like(normals)
        corners = as_array(faces)
        each_image = zip(*map(as_array, (vertices, normals, lengths, gradient, on_sums, on_vertices)), strict=True)
        run_jobs(_normals_backward, [(points, corners, *others) for points, *others in each_image])
        return on_vertices, None


@kernel
def _normals(vertices, faces, normals, lengths):
    for face in range(len(faces)):
        along, across = _sides(vertices, faces[face])
        product = _cross(along, across)
        for corner in range(3):
            for axis in range(3):
                normals[faces[face, corner], axis] += product[axis]
    for vertex in range(len(vertices)):
        x, y, z = normals[vertex]
        lengths[vertex] = max(np.sqrt(x * x + y * y + z * z), LEAST_LENGTH)
        for axis in range(3):
            normals[vertex, axis] /= lengths[vertex]


@kernel
def _normals_backward(vertices, faces, normals, lengths, gradient, on_sums, on_vertices):
    for vertex in range(len(vertices)):
        # ∂n/∂s = (1 − n nᵀ) / |s|; where s has no direction the normal is s over a constant.
        radial = 0.0
        for axis in range(3):
            radial += gradient[vertex, axis] * normals[vertex, axis]
        for axis in range(3):
            tangential = gradient[vertex, axis]
            if lengths[vertex] > LEAST_LENGTH:
                tangential -= radial * normals[vertex, axis]
            on_sums[vertex, axis] = tangential / lengths[vertex]
    for face in range(len(faces)):
        i0, i1, i2 = faces[face]
        on_product = (
            on_sums[i0, 0] + on_sums[i1, 0] + on_sums[i2, 0],
            on_sums[i0, 1] + on_sums[i1, 1] + on_sums[i2, 1],
            on_sums[i0, 2] + on_sums[i1, 2] + on_sums[i2, 2],
        )
        along, across = _sides(vertices, faces[face])
        on_along, on_across = _cross(across, on_product), _cross(on_product, along)
        for axis in range(3):
            on_vertices[i0, axis] -= on_along[axis] + on_across[axis]
            on_vertices[i1, axis] += on_along[axis]
            on_vertices[i2, axis] += on_across[axis]


@kernel
def _sides(vertices, corners):
    """b − a and c − a."""
    a, b, c = corners
    along = (vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2])
    across = (vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2])
    return along, across


@kernel
def _cross(u, v):
    return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]
