"""Filters with square windows, much faster than pooling for wide ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F


def grown(mask: Float[Tensor, "*n H W"], radius: int) -> Float[Tensor, "*n H W"]:
    """Dilate a mask: 1 where the square of ``radius`` pixels around a pixel contains some of ``mask``, else 0.

    At 256² and a radius of 18 it takes a hundredth of ``max_pool2d``'s time.

    Args:
        mask: 0 or 1.
        radius: Pixels.
    """
    return _over_squares(mask > 0, radius, torch.logical_or).to(mask.dtype)


def local_mean(values: Float[Tensor, "B C H W"], radius: int) -> Float[Tensor, "B C H W"]:
    """The mean over the square of ``radius`` pixels around each pixel, inside the image."""
    inside = _over_squares(torch.ones_like(values[:1, :1]), radius, torch.add)
    return _over_squares(values, radius, torch.add) / inside


def mean_of_points(values: Float[Tensor, "B C h w"], supersampling: int) -> Float[Tensor, "B C H W"]:
    """The mean of the ``supersampling``² points of each pixel.

    Sums of strided views take a quarter of ``avg_pool2d``'s time.
    """
    if supersampling == 1:
        return values
    rows = reduce(torch.add, [values[..., first::supersampling, :] for first in range(supersampling)])
    return reduce(torch.add, [rows[..., first::supersampling] for first in range(supersampling)]) / supersampling**2


def _over_squares(
    values: Shaped[Tensor, "*n H W"], radius: int, together: Callable[[Tensor, Tensor], Tensor]
) -> Shaped[Tensor, "*n H W"]:
    """Combine the values in the square around each pixel, along one axis and then the other; zeros outside the image.

    Windows of 1, 2, 4, … pixels are computed by doubling and combined to the square's width.
    """
    width = 2 * radius + 1
    for axis in (-1, -2):
        size = values.shape[axis]
        doubled = F.pad(values, (radius, radius) if axis == -1 else (0, 0, radius, radius))
        result, used = None, 0
        for bit in range(width.bit_length()):
            if width >> bit & 1:
                piece = doubled.narrow(axis, used, size)
                result, used = piece if result is None else together(result, piece), used + 2**bit
            if used < width:
                length = doubled.shape[axis] - 2**bit
                doubled = together(doubled.narrow(axis, 0, length), doubled.narrow(axis, 2**bit, length))
        values = result
    return values
