"""Pictures: batches of images resized, compared and written to files, and plots of curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from readavatar.files import replacing_file

_DIFFERENCE_GAIN = 4.0


def resized(images: Float[Tensor, "B C H W"], size: int) -> Float[Tensor, "B C {size} {size}"]:
    """Resize pictures in [0, 1] to another side: bilinear, with antialiasing."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def comparison_sheet(
    target: Float[Tensor, "B 3 H W"], rendered: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, "3 sheet_height sheet_width"]:
    """One column for each frame: the footage, the render, and 4 × their absolute difference; all in [0, 1]."""
    difference = (_DIFFERENCE_GAIN * (rendered - target).abs()).clamp(0, 1)
    return torch.cat([torch.cat(list(row), -1) for row in (target, rendered, difference)], -2)


def write_image(path: str | Path, image: Float[Tensor, "3 H W"]) -> None:
    """Write an image in [0, 1] as a PNG."""
    with replacing_file(path) as temporary:
        Image.fromarray(to_uint8(image[None])[0]).save(temporary)


def to_uint8(images: Float[Tensor, "B 3 H W"]) -> list[UInt8[np.ndarray, "H W 3"]]:
    """Images in [0, 1], rounded to 8 bits a channel, as files and video writers take them."""
    return list((images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy())


def plot_curves(path: Path, fps: float, curves: Mapping[str, Float[Tensor, " T"]], label: str) -> Path:
    """Plot curves over one time axis into a PNG.

    Args:
        path: The PNG.
        fps: Frames per second of every curve.
        curves: By name, for the legend.
        label: Of the vertical axis, with its unit.

    Returns:
        ``path``.
    """
    # pyplot is not used: it keeps every figure and looks for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, curve in curves.items():
        axes.plot([(frame + 0.5) / fps for frame in range(len(curve))], curve.detach().cpu().numpy(), label=name)
    axes.set(xlabel="seconds", ylabel=label)
    axes.legend(loc="upper right", fontsize="small")
    with replacing_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path
