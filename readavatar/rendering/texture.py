"""Texture look-up."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


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
