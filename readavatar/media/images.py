"""Batches of images: another size, side by side, as a file."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from readavatar.files import replacing_file

_DIFFERENCE_GAIN = 4.0


def resized(images: Float[Tensor, "B C H W"], size: int) -> Float[Tensor, "B C {size} {size}"]:
    """The same pictures, in [0, 1], with another side: bilinear, smoothed first where they shrink."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def comparison_sheet(
    target: Float[Tensor, "B 3 H W"], rendered: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, "3 sheet_height sheet_width"]:
    """A column a frame: the footage, the render of it, and 4 × their absolute difference; all in [0, 1]."""
    difference = (_DIFFERENCE_GAIN * (rendered - target).abs()).clamp(0, 1)
    return torch.cat([torch.cat(list(row), -1) for row in (target, rendered, difference)], -2)


def write_image(path: str | Path, image: Float[Tensor, "3 H W"]) -> None:
    """Write an image in [0, 1] as a PNG."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    with replacing_file(path) as temporary:
        Image.fromarray(pixels).save(temporary)
