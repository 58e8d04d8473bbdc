"""Compiled CPU versions of ``torch_backend``: barycentrics and attributes at pixels, without temporaries.

Values, first derivatives and symbols are the same. Each job sums gradients in a buffer of its own, so that results are
deterministic.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from readavatar.rendering.cpu_kernels import as_array, bands, kernel, run_jobs


class BarycentricsAndDepth(torch.autograd.Function):
    """See ``torch_backend.barycentrics_and_depth``."""

    @staticmethod
    def forward(
        context, vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], face_index: Int[Tensor, "B H W"]
    ) -> tuple[Float[Tensor, "B H W 3"], Float[Tensor, "B H W"]]:
        context.save_for_backward(vertices_clip, faces, face_index)
        barycentrics = vertices_clip.new_empty(*face_index.shape, 3)
        depth = vertices_clip.new_empty(face_index.shape)
        arrays = [as_array(tensor) for tensor in (vertices_clip, face_index, barycentrics, depth)]
        corners = as_array(faces)
        run_jobs(
            _barycentrics,
            [
                (arrays[0][image], corners, *(array[image] for array in arrays[1:]), top, bottom)
                for image, top, bottom in bands(*face_index.shape[:2])
            ],
        )
        return barycentrics, depth

    @staticmethod
    @once_differentiable
    def backward(context, barycentrics_gradient: Tensor, depth_gradient: Tensor) -> tuple[Tensor | None, ...]:
        vertices_clip, faces, face_index = context.saved_tensors
        vertices, corners, index = as_array(vertices_clip), as_array(faces), as_array(face_index)
        on_barycentrics, on_depth = as_array(barycentrics_gradient), as_array(depth_gradient)
        pieces = bands(*face_index.shape[:2])
        buffers = vertices_clip.new_zeros(len(pieces), *vertices.shape[1:])
        arrays = as_array(buffers)
        run_jobs(
            _barycentrics_backward,
            [
                (vertices[image], corners, index[image], on_barycentrics[image], on_depth[image], top, bottom, buffer)
                for (image, top, bottom), buffer in zip(pieces, arrays, strict=True)
            ],
        )
        return buffers.unflatten(0, (len(vertices), -1)).sum(1), None, None


class InterpolateAttributes(torch.autograd.Function):
    """See ``torch_backend.interpolate_attributes``."""

    @staticmethod
    def forward(
        context,
        attributes: Float[Tensor, "#B U C"],
        faces: Int[Tensor, "F 3"],
        face_index: Int[Tensor, "B H W"],
        barycentrics: Float[Tensor, "B H W 3"],
    ) -> Float[Tensor, "B C H W"]:
        context.save_for_backward(attributes, faces, face_index, barycentrics)
        num_images, height, width = face_index.shape
        image_values = attributes.new_empty(num_images, attributes.shape[-1], height, width)
        values, out = as_array(attributes.expand(num_images, -1, -1)), as_array(image_values)
        corners, index, weights = as_array(faces), as_array(face_index), as_array(barycentrics)
        run_jobs(
            _interpolate,
            [
                (values[image], corners, index[image], weights[image], out[image], top, bottom)
                for image, top, bottom in bands(num_images, height)
            ],
        )
        return image_values

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        attributes, faces, face_index, barycentrics = context.saved_tensors
        num_images = len(face_index)
        values = as_array(attributes.expand(num_images, -1, -1))
        corners, index, weights, on_image = map(as_array, (faces, face_index, barycentrics, gradient))
        barycentrics_gradient = torch.empty_like(barycentrics, memory_format=torch.contiguous_format)
        on_weights = as_array(barycentrics_gradient)
        pieces = bands(num_images, face_index.shape[1])
        # Attributes without a gradient (a model's uvs) need no buffer.
        num_rows = attributes.shape[1] if context.needs_input_grad[0] else 0
        buffers = attributes.new_zeros(len(pieces), num_rows, attributes.shape[2])
        run_jobs(
            _interpolate_backward,
            [
                (
                    values[image],
                    corners,
                    index[image],
                    weights[image],
                    on_image[image],
                    on_weights[image],
                    *rows,
                    buffer,
                )
                for (image, *rows), buffer in zip(pieces, as_array(buffers), strict=True)
            ],
        )
        attributes_gradient = buffers.unflatten(0, (len(attributes), -1)).sum(1) if num_rows else None
        return attributes_gradient, None, None, barycentrics_gradient


@kernel
def _corner_edges(vertices, faces, face, x, y):
    """Vertex indices, uᵢ, vᵢ and eᵢ of the three corners, in double precision."""
    i0, i1, i2 = faces[face, 0], faces[face, 1], faces[face, 2]
    w0, w1, w2 = np.float64(vertices[i0, 3]), np.float64(vertices[i1, 3]), np.float64(vertices[i2, 3])
    u0, u1, u2 = vertices[i0, 0] - x * w0, vertices[i1, 0] - x * w1, vertices[i2, 0] - x * w2
    v0, v1, v2 = vertices[i0, 1] - y * w0, vertices[i1, 1] - y * w1, vertices[i2, 1] - y * w2
    edges = (u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0)
    return (i0, i1, i2), (u0, u1, u2), (v0, v1, v2), edges


@kernel
def _barycentrics(vertices, faces, face_index, barycentrics, depth, top, bottom):
    height, width = face_index.shape
    for row in range(top, bottom):
        y = 1 - (row + 0.5) * (2 / height)
        for column in range(width):
            face = face_index[row, column]
            if face < 0:
                barycentrics[row, column, 0] = 0
                barycentrics[row, column, 1] = 0
                barycentrics[row, column, 2] = 0
                depth[row, column] = 1
                continue
            x = (column + 0.5) * (2 / width) - 1
            corners, _, _, edges = _corner_edges(vertices, faces, face, x, y)
            scale = 1 / (edges[0] + edges[1] + edges[2])
            b0, b1, b2 = edges[0] * scale, edges[1] * scale, edges[2] * scale
            z = b0 * vertices[corners[0], 2] + b1 * vertices[corners[1], 2] + b2 * vertices[corners[2], 2]
            w = b0 * vertices[corners[0], 3] + b1 * vertices[corners[1], 3] + b2 * vertices[corners[2], 3]
            barycentrics[row, column, 0] = b0
            barycentrics[row, column, 1] = b1
            barycentrics[row, column, 2] = b2
            depth[row, column] = z / w


@kernel
def _barycentrics_backward(vertices, faces, face_index, on_barycentrics, on_depth, top, bottom, buffer):
    height, width = face_index.shape
    for row in range(top, bottom):
        y = 1 - (row + 0.5) * (2 / height)
        for column in range(width):
            face = face_index[row, column]
            if face < 0:
                continue
            x = (column + 0.5) * (2 / width) - 1
            corners, u, v, edges = _corner_edges(vertices, faces, face, x, y)
            scale = 1 / (edges[0] + edges[1] + edges[2])
            b0, b1, b2 = edges[0] * scale, edges[1] * scale, edges[2] * scale
            z = b0 * vertices[corners[0], 2] + b1 * vertices[corners[1], 2] + b2 * vertices[corners[2], 2]
            w = b0 * vertices[corners[0], 3] + b1 * vertices[corners[1], 3] + b2 * vertices[corners[2], 3]
            # depth = z / w with z = Σ bᵢ zᵢ and w = Σ bᵢ wᵢ.
            ratio, on_z = z / w, on_depth[row, column] / w
            g0 = on_barycentrics[row, column, 0] + on_z * (vertices[corners[0], 2] - ratio * vertices[corners[0], 3])
            g1 = on_barycentrics[row, column, 1] + on_z * (vertices[corners[1], 2] - ratio * vertices[corners[1], 3])
            g2 = on_barycentrics[row, column, 2] + on_z * (vertices[corners[2], 2] - ratio * vertices[corners[2], 3])
            # ∂bᵢ/∂eⱼ = (δᵢⱼ − bᵢ) / Σ e.
            mean = g0 * b0 + g1 * b1 + g2 * b2
            on_edges = ((g0 - mean) * scale, (g1 - mean) * scale, (g2 - mean) * scale)
            weights = (b0, b1, b2)
            for i in range(3):
                j, k = (i + 1) % 3, (i + 2) % 3
                on_u = on_edges[k] * v[j] - on_edges[j] * v[k]
                on_v = on_edges[j] * u[k] - on_edges[k] * u[j]
                buffer[corners[i], 0] += on_u
                buffer[corners[i], 1] += on_v
                buffer[corners[i], 2] += on_z * weights[i]
                buffer[corners[i], 3] -= x * on_u + y * on_v + on_z * ratio * weights[i]


@kernel
def _interpolate(attributes, faces, face_index, barycentrics, image, top, bottom):
    for row in range(top, bottom):
        for column in range(face_index.shape[1]):
            face = face_index[row, column]
            if face < 0:
                for channel in range(attributes.shape[1]):
                    image[channel, row, column] = 0
                continue
            i0, i1, i2 = faces[face, 0], faces[face, 1], faces[face, 2]
            b0, b1, b2 = barycentrics[row, column, 0], barycentrics[row, column, 1], barycentrics[row, column, 2]
            for channel in range(attributes.shape[1]):
                image[channel, row, column] = (
                    b0 * attributes[i0, channel] + b1 * attributes[i1, channel] + b2 * attributes[i2, channel]
                )


@kernel
def _interpolate_backward(attributes, faces, face_index, barycentrics, on_image, on_barycentrics, top, bottom, buffer):
    wanted = buffer.shape[0] > 0
    for row in range(top, bottom):
        for column in range(face_index.shape[1]):
            face = face_index[row, column]
            for i in range(3):
                on_barycentrics[row, column, i] = 0
            if face < 0:
                continue
            for i in range(3):
                corner = faces[face, i]
                total = 0.0
                for channel in range(attributes.shape[1]):
                    gradient = on_image[channel, row, column]
                    total += gradient * attributes[corner, channel]
                    if wanted:
                        buffer[corner, channel] += gradient * barycentrics[row, column, i]
                on_barycentrics[row, column, i] = total
