"""Putting the rendered crop back into the footage."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from readavatar.data.clip_store import Crop


def composite(
    source: Float[Tensor, "3 source_height source_width"],
    rendered: Float[Tensor, "3 size size"],
    alpha: Float[Tensor, "1 size size"],
    crop: Crop,
) -> Float[Tensor, "3 source_height source_width"]:
    """Blend a rendered crop over the frame of the footage that it was cut from.

    Args:
        source: Frame of the footage, [0, 1].
        rendered: The crop as rendered, [0, 1].
        alpha: How much of each pixel is rendered, [0, 1]; soft at the mask's edge.
        crop: Where the crop lies in the source.

    Returns:
        The frame; untouched, to the bit, where ``alpha`` is zero.
    """
    _, height, width = source.shape
    size = rendered.shape[-1]
    left, top = max(0, math.floor(crop.left)), max(0, math.floor(crop.top))
    right = min(width, math.ceil(crop.left + crop.size))
    bottom = min(height, math.ceil(crop.top + crop.size))
    rows = torch.arange(top, bottom) + 0.5
    columns = torch.arange(left, right) + 0.5
    centres = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    grid = crop.source_to_clip(centres, size) * (2 / size) - 1
    layers = torch.cat([rendered, alpha])[None]
    # Bicubic keeps the crop's sharpness when the source is larger; a smaller source needs the area's mean instead.
    if crop.size < size:
        layers = F.interpolate(layers, size=(round(crop.size),) * 2, mode="area")
    sampled = F.grid_sample(layers, grid[None].to(layers), mode="bicubic", padding_mode="border", align_corners=False)
    image, coverage = sampled[0, :3].clamp(0, 1), sampled[0, 3:].clamp(0, 1)
    blended = source.clone()
    below = source[:, top:bottom, left:right]
    blended[:, top:bottom, left:right] = torch.where(coverage > 1e-4, below + coverage * (image - below), below)
    return blended
