"""Footage, render and difference side by side, to look at."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from readavatar.files import replacing_file

_DIFFERENCE_GAIN = 4.0


def contact_sheet(
    target: Float[Tensor, "B 3 H W"], rendered: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, "3 sheet_height sheet_width"]:
    """A column a frame: the footage, the render in it, and 4 × their absolute difference."""
    difference = (_DIFFERENCE_GAIN * (rendered - target).abs()).clamp(0, 1)
    rows = [torch.cat(list(row), -1) for row in (target, rendered, difference)]
    return torch.cat(rows, -2)


def write_image(path: str | Path, image: Float[Tensor, "3 H W"]) -> None:
    """Write a PNG."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    with replacing_file(path) as temporary:
        Image.fromarray(pixels).save(temporary)
