"""Texture look-up."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from readavatar.rendering.window_filters import mean_of_points


def sample_texture(texture: Float[Tensor, "#B C h w"], uvs: Float[Tensor, "B 2 H W"]) -> Float[Tensor, "B C H W"]:
    """Bilinear look-up; (0, 0) is the outer corner of the top-left texel, beyond the edge the edge is repeated."""
    if texture.is_cpu and uvs.is_cpu and texture.dtype == uvs.dtype in (torch.float32, torch.float64):
        from readavatar.rendering.cpu_texture import SampleTexture

        return SampleTexture.apply(texture, uvs, sample_texture_plainly)
    return sample_texture_plainly(texture, uvs)


def sample_texture_plainly(
    texture: Float[Tensor, "#B C h w"], uvs: Float[Tensor, "B 2 H W"]
) -> Float[Tensor, "B C H W"]:
    """``sample_texture`` with PyTorch's own gradients: any device."""
    grid = uvs.permute(0, 2, 3, 1) * 2 - 1
    texture = texture.expand(len(uvs), -1, -1, -1)
    return F.grid_sample(texture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def mean_texture(
    texture: Float[Tensor, "1 C y x"],
    offsets: Float[Tensor, "R C"],
    uvs: Float[Tensor, "B 2 h w"],
    regions: UInt8[Tensor, "B h w"],
    supersampling: int,
) -> Float[Tensor, "B C H W"]:
    """A texture on a surface that is seen at several points a pixel: the mean of their look-ups, zeros for the others.

    Args:
        texture: Differentiable.
        offsets: What is added in each region; differentiable.
        uvs: Of the points, as ``sample_texture`` takes them; not differentiable here.
        regions: Of the points, row of ``offsets``; 0 where there is no surface.
        supersampling: Points along a pixel's side.

    Raises:
        ValueError: A region without an offset.
    """
    # Compiled code would read whatever lies there in memory.
    if regions.numel() and (highest := int(regions.max())) >= len(offsets):
        raise ValueError(f"Expected an offset for each of {highest + 1} regions, but got {len(offsets)}.")
    if texture.is_cpu and uvs.is_cpu and texture.dtype == uvs.dtype == torch.float32:
        from readavatar.rendering.cpu_mean_texture import MeanTexture

        return MeanTexture.apply(texture, offsets, uvs, regions, supersampling)
    return mean_texture_plainly(texture, offsets, uvs, regions, supersampling)


def mean_texture_plainly(
    texture: Float[Tensor, "1 C y x"],
    offsets: Float[Tensor, "R C"],
    uvs: Float[Tensor, "B 2 h w"],
    regions: UInt8[Tensor, "B h w"],
    supersampling: int,
) -> Float[Tensor, "B C H W"]:
    """``mean_texture`` in plain PyTorch: any device, and the compiled twin's oracle."""
    seen = sample_texture_plainly(texture, uvs.detach()) + offsets[regions.long()].movedim(-1, 1)
    return mean_of_points(seen * (regions > 0)[:, None], supersampling)
