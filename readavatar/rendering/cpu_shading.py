"""Compiled CPU versions of ``shading``: vertex normals, and the gradients of texture look-up.

Vertex normals. Symbols: a triangle's corners a, b, c, its cross product (b − a) × (c − a), the sum s of those around a
vertex, and its normal n = s / |s|. Each image is a job for one thread: a loop over the triangles.

Texture look-up (``shading.sample_texture`` and ``mean_texture``). A point of continuous texel position (x, y) uses the
texels (⌊x⌋, ⌊y⌋) and their right and lower neighbours, weighted by the fractions f and g of x and y. Points without a
surface are skipped.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable

from readavatar.rendering.cpu_kernels import as_array, kernel, pieces, run_jobs

LEAST_LENGTH = 1e-12
"""Least length of a sum of cross products, m²; a shorter one has no direction."""


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


class SampleTexture(torch.autograd.Function):
    """``shading.sample_texture`` with a compiled backward pass: 1.6 to 3.5 times as fast as ``grid_sample``'s.

    Texels are computed once for a row of pixels and used for all channels, one after the other, which needs little
    cache. Pixels with a gradient of zero (the background) are skipped.
    """

    @staticmethod
    def forward(
        context,
        texture: Float[Tensor, "#B C h w"],
        uvs: Float[Tensor, "B 2 H W"],
        sample: Callable[..., Float[Tensor, "B C H W"]],
    ) -> Float[Tensor, "B C H W"]:
        context.save_for_backward(texture, uvs)
        return sample(texture, uvs)

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Float[Tensor, "B C H W"]) -> tuple[Tensor | None, Tensor | None, None]:
        texture, uvs = context.saved_tensors
        wants_texture, wants_uvs, _ = context.needs_input_grad
        num_rows, num_channels = len(uvs) * uvs.shape[2], texture.shape[1]
        # Each job needs a buffer of its own for one of the two gradients: the smaller one.
        by_rows = wants_texture * texture.numel() <= wants_uvs * uvs.numel()
        shares = pieces(num_rows if by_rows else num_channels)
        on_texture = texture.new_zeros(wants_texture * (len(shares) if by_rows else 1), *texture.shape)
        on_uvs = uvs.new_empty(wants_uvs * (1 if by_rows else len(shares)), *uvs.shape)
        arrays = [as_array(tensor) for tensor in (texture.flatten(2), uvs, gradient, on_texture.flatten(3), on_uvs)]
        jobs = []
        for job, share in enumerate(shares):
            rows, channels = (share, (0, num_channels)) if by_rows else ((0, num_rows), share)
            buffers = arrays[3][job * by_rows :][:1], arrays[4][job * (not by_rows) :][:1]
            jobs.append((*arrays[:3], texture.shape[3], *rows, *channels, *buffers))
        run_jobs(_sample_backward, jobs)
        return _total(on_texture) if wants_texture else None, _total(on_uvs) if wants_uvs else None, None


def _total(buffers: Tensor) -> Tensor:
    return buffers[0] if len(buffers) == 1 else buffers.sum(0)


@kernel
def _texels_of_row(u, v, width, height, texel, along, down):
    """The index of the upper left of each pixel's four texels, and the fractions f and g."""
    for pixel in range(len(u)):
        # Clamped to the outermost texels' centres; NaN counts as 0.
        x = min(max(0.0, np.float64(u[pixel]) * width - 0.5), width - 1.0)
        y = min(max(0.0, np.float64(v[pixel]) * height - 0.5), height - 1.0)
        column, row = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
        texel[pixel] = row * width + column
        along[pixel] = x - column
        down[pixel] = y - row


@kernel
def _sample_backward(
    texture, uvs, on_image, texture_width, first_row, end_row, first_channel, end_channel, on_texture, on_uvs
):
    """Some rows of all images, counted through, and some channels; a buffer of length 0 is not filled."""
    texture_height, num_rows, num_pixels = texture.shape[2] // texture_width, uvs.shape[2], uvs.shape[3]
    right, below = np.uint64(texture_width > 1), np.uint64(texture_width if texture_height > 1 else 0)
    texel = np.empty(num_pixels, np.uint64)
    along, down, on_along, on_down = np.empty((4, num_pixels), on_image.dtype)
    wants_texture, wants_uvs = len(on_texture) > 0, len(on_uvs) > 0
    for image_row in range(first_row, end_row):
        image, row = image_row // num_rows, image_row % num_rows
        own = image if texture.shape[0] > 1 else 0
        u, v = uvs[image, 0, row], uvs[image, 1, row]
        _texels_of_row(u, v, texture_width, texture_height, texel, along, down)
        on_along[:] = 0
        on_down[:] = 0
        for channel in range(first_channel, end_channel):
            gradients, plane = on_image[image, channel, row], texture[own, channel]
            on_plane = on_texture[0, own, channel] if wants_texture else plane
            for pixel in range(num_pixels):
                gradient = gradients[pixel]
                if gradient == 0:  # usually the background
                    continue
                at, f, g = texel[pixel], along[pixel], down[pixel]
                if wants_uvs:
                    a, b = plane[at], plane[at + right]
                    c, d = plane[at + below], plane[at + below + right]
                    on_along[pixel] += gradient * (b - a + g * (d - c - b + a))
                    on_down[pixel] += gradient * (c - a + f * (d - c - b + a))
                if wants_texture:
                    lower = gradient * g
                    upper = gradient - lower
                    on_plane[at] += upper - upper * f
                    on_plane[at + right] += upper * f
                    on_plane[at + below] += lower - lower * f
                    on_plane[at + below + right] += lower * f
        if wants_uvs:
            for pixel in range(num_pixels):
                x, y = u[pixel] * texture_width - 0.5, v[pixel] * texture_height - 0.5
                on_uvs[0, image, 0, row, pixel] = on_along[pixel] * texture_width if 0 < x < texture_width - 1 else 0
                on_uvs[0, image, 1, row, pixel] = on_down[pixel] * texture_height if 0 < y < texture_height - 1 else 0


class MeanTexture(torch.autograd.Function):
    """``shading.mean_texture`` without a value stored for each of a pixel's points.

    Channels are the last axis of the texture and of the result, so that a point reads four runs of memory.
    """

    @staticmethod
    def forward(
        context,
        texture: Float[Tensor, "1 C y x"],
        offsets: Float[Tensor, "R C"],
        uvs: Float[Tensor, "B 2 h w"],
        regions: UInt8[Tensor, "B h w"],
        supersampling: int,
    ) -> Float[Tensor, "B C H W"]:
        context.save_for_backward(texture, uvs, regions)
        context.supersampling, context.num_regions = supersampling, len(offsets)
        num_images, height, width = len(uvs), uvs.shape[2] // supersampling, uvs.shape[3] // supersampling
        mean = texture.new_zeros(num_images, height, width, texture.shape[1])
        texels = as_array(texture[0].permute(1, 2, 0).flatten(0, 1))
        arguments = (texels, texture.shape[3], as_array(offsets), as_array(uvs), as_array(regions))
        run_jobs(
            _look_up,
            [(*arguments, supersampling, *rows, mean.numpy()) for rows in pieces(num_images * height)],
        )
        return mean.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Float[Tensor, "B C H W"]) -> tuple[Tensor | None, ...]:
        texture, uvs, regions = context.saved_tensors
        _, num_channels, height, width = texture.shape
        jobs = pieces(len(uvs) * gradient.shape[2])
        on_texture = texture.new_zeros(len(jobs), height * width, num_channels)
        on_offsets = texture.new_zeros(len(jobs), context.num_regions, num_channels)
        arguments = (as_array(gradient.permute(0, 2, 3, 1)), as_array(uvs), as_array(regions), context.supersampling)
        run_jobs(
            _spread,
            [
                (*arguments, *rows, on_texture[job].numpy(), width, on_offsets[job].numpy())
                for job, rows in enumerate(jobs)
            ],
        )
        on_texture = on_texture[0] if len(jobs) == 1 else on_texture.sum(0)
        return on_texture.mT.unflatten(1, (height, width))[None], on_offsets.sum(0), None, None, None


@kernel
def _texel_weights(u, v, width, height):
    """A point's four texels, counted along the rows, and their weights."""
    # Clamped to the outermost texels' centres; NaN counts as 0.
    x = min(max(0.0, np.float64(u) * width - 0.5), width - 1.0)
    y = min(max(0.0, np.float64(v) * height - 0.5), height - 1.0)
    column, row = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    f, g = np.float32(x - column), np.float32(y - row)
    one = np.float32(1)
    # Unsigned, as a signed index may count from the end, which costs a branch.
    first, right, below = np.uint64(row * width + column), np.uint64(width > 1), np.uint64(width * (height > 1))
    texels = (first, first + right, first + below, first + below + right)
    return texels, ((one - f) * (one - g), f * (one - g), (one - f) * g, f * g)


@kernel
def _look_up(texture, width, offsets, uvs, regions, supersampling, first_row, end_row, mean):
    """Some rows of pixels of all images, counted through."""
    height, num_channels = len(texture) // width, texture.shape[1]
    share = np.float32(1 / supersampling**2)
    num_rows, num_columns = mean.shape[1], mean.shape[2]
    total = np.empty(num_channels, mean.dtype)
    for image_row in range(first_row, end_row):
        image, row = image_row // num_rows, image_row % num_rows
        for column in range(num_columns):
            total[:] = 0
            seen = False
            for point_row in range(row * supersampling, (row + 1) * supersampling):
                for point_column in range(column * supersampling, (column + 1) * supersampling):
                    region = regions[image, point_row, point_column]
                    if region == 0:
                        continue
                    seen = True
                    u, v = uvs[image, 0, point_row, point_column], uvs[image, 1, point_row, point_column]
                    (a, b, c, d), (w0, w1, w2, w3) = _texel_weights(u, v, width, height)
                    for channel in range(num_channels):
                        upper = w0 * texture[a, channel] + w1 * texture[b, channel]
                        lower = w2 * texture[c, channel] + w3 * texture[d, channel]
                        total[channel] += offsets[region, channel] + (upper + lower)
            if seen:
                for channel in range(num_channels):
                    mean[image, row, column, channel] = total[channel] * share


@kernel
def _spread(on_mean, uvs, regions, supersampling, first_row, end_row, on_texture, width, on_offsets):
    """The transpose of ``_look_up``."""
    height, num_channels = len(on_texture) // width, on_texture.shape[1]
    share = np.float32(1 / supersampling**2)
    num_rows, num_columns = on_mean.shape[1], on_mean.shape[2]
    gradient = np.empty(num_channels, on_mean.dtype)
    for image_row in range(first_row, end_row):
        image, row = image_row // num_rows, image_row % num_rows
        for column in range(num_columns):
            for channel in range(num_channels):
                gradient[channel] = on_mean[image, row, column, channel] * share
            for point_row in range(row * supersampling, (row + 1) * supersampling):
                for point_column in range(column * supersampling, (column + 1) * supersampling):
                    region = regions[image, point_row, point_column]
                    if region == 0:
                        continue
                    u, v = uvs[image, 0, point_row, point_column], uvs[image, 1, point_row, point_column]
                    (a, b, c, d), (w0, w1, w2, w3) = _texel_weights(u, v, width, height)
                    # One after the other, as they may be the same texel.
                    for channel in range(num_channels):
                        on_offsets[region, channel] += gradient[channel]
                        on_texture[a, channel] += w0 * gradient[channel]
                    for channel in range(num_channels):
                        on_texture[b, channel] += w1 * gradient[channel]
                    for channel in range(num_channels):
                        on_texture[c, channel] += w2 * gradient[channel]
                    for channel in range(num_channels):
                        on_texture[d, channel] += w3 * gradient[channel]
