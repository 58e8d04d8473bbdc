"""Texture look-up."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def sample_texture(texture: Float[Tensor, "#B C h w"], uvs: Float[Tensor, "B 2 H W"]) -> Float[Tensor, "B C H W"]:
    """Bilinear look-up; (0, 0) is the outer corner of the top-left texel, beyond the edge the edge is repeated."""
    grid = uvs.permute(0, 2, 3, 1) * 2 - 1
    texture = texture.expand(len(uvs), -1, -1, -1)
    return F.grid_sample(texture, grid, mode="bilinear", padding_mode="border", align_corners=False)
