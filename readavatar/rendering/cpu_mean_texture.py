"""``texture.mean_texture`` on the CPU, compiled: no value is stored for each of a pixel's points.

A texel's channels lie side by side, so that a point reads four runs of memory whatever their number, and points without
a surface cost nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable

from readavatar.rendering.cpu_kernels import kernel, pieces, run_jobs


class MeanTexture(torch.autograd.Function):
    """See ``texture.mean_texture``; the result's channels lie side by side, too."""

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
        texels = _array(texture[0].permute(1, 2, 0).flatten(0, 1))
        arguments = (texels, texture.shape[3], _array(offsets), _array(uvs), _array(regions))
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
        arguments = (_array(gradient.permute(0, 2, 3, 1)), _array(uvs), _array(regions), context.supersampling)
        run_jobs(
            _spread,
            [
                (*arguments, *rows, on_texture[job].numpy(), width, on_offsets[job].numpy())
                for job, rows in enumerate(jobs)
            ],
        )
        on_texture = on_texture[0] if len(jobs) == 1 else on_texture.sum(0)
        return on_texture.mT.unflatten(1, (height, width))[None], on_offsets.sum(0), None, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


@kernel
def _find_texels(u, v, width, height):
    """A point's four texels, counted along the rows, and their weights."""
    # Beyond the outermost texels' centres nothing changes any more; NaN counts as 0.
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
                    (a, b, c, d), (w0, w1, w2, w3) = _find_texels(u, v, width, height)
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
                    (a, b, c, d), (w0, w1, w2, w3) = _find_texels(u, v, width, height)
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
