"""The gradients of bilinear texture look-up on the CPU, compiled: 1.6 to 3.5 times as fast as ``grid_sample``'s.

A pixel of continuous texel position (x, y) takes the texels (⌊x⌋, ⌊y⌋) and their right and lower neighbours, weighted
by the fractions f and g of x and y. They are found once for a row of pixels and used for all channels, each a plane of
its own, which keeps the memory touched at a time small. Pixels whose gradient is zero (the background) cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from readavatar.rendering.cpu_kernels import kernel, pieces, run_jobs


class SampleTexture(torch.autograd.Function):
    """``texture.sample_texture`` with a compiled backward pass."""

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
        # Each job needs an own buffer of one of the two gradients: the jobs share out that of which the other is less.
        by_rows = wants_texture * texture.numel() <= wants_uvs * uvs.numel()
        shares = pieces(num_rows if by_rows else num_channels)
        on_texture = texture.new_zeros(wants_texture * (len(shares) if by_rows else 1), *texture.shape)
        on_uvs = uvs.new_empty(wants_uvs * (1 if by_rows else len(shares)), *uvs.shape)
        arrays = [_array(tensor) for tensor in (texture.flatten(2), uvs, gradient, on_texture.flatten(3), on_uvs)]
        jobs = []
        for job, share in enumerate(shares):
            rows, channels = (share, (0, num_channels)) if by_rows else ((0, num_rows), share)
            buffers = arrays[3][job * by_rows :][:1], arrays[4][job * (not by_rows) :][:1]
            jobs.append((*arrays[:3], texture.shape[3], *rows, *channels, *buffers))
        run_jobs(_sample_backward, jobs)
        return _total(on_texture) if wants_texture else None, _total(on_uvs) if wants_uvs else None, None


def _total(buffers: Tensor) -> Tensor:
    return buffers[0] if len(buffers) == 1 else buffers.sum(0)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


@kernel
def _find_texels(u, v, width, height, texel, along, down):
    """The upper left one of each pixel's four texels, and the fractions f and g."""
    for pixel in range(len(u)):
        # Beyond the outermost texels' centres nothing changes any more; NaN counts as 0.
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
    """Some rows of all images, counted through, and some channels; a buffer of length 0 is not wanted."""
    texture_height, num_rows, num_pixels = texture.shape[2] // texture_width, uvs.shape[2], uvs.shape[3]
    right, below = np.uint64(texture_width > 1), np.uint64(texture_width if texture_height > 1 else 0)
    texel = np.empty(num_pixels, np.uint64)
    along, down, on_along, on_down = np.empty((4, num_pixels), on_image.dtype)
    wants_texture, wants_uvs = len(on_texture) > 0, len(on_uvs) > 0
    for image_row in range(first_row, end_row):
        image, row = image_row // num_rows, image_row % num_rows
        own = image if texture.shape[0] > 1 else 0
        u, v = uvs[image, 0, row], uvs[image, 1, row]
        _find_texels(u, v, texture_width, texture_height, texel, along, down)
        on_along[:] = 0
        on_down[:] = 0
        for channel in range(first_channel, end_channel):
            gradients, plane = on_image[image, channel, row], texture[own, channel]
            on_plane = on_texture[0, own, channel] if wants_texture else plane
            for pixel in range(num_pixels):
                gradient = gradients[pixel]
                if gradient == 0:  # as a rule the background's
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
