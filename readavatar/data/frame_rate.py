"""Curves at one rate → the same curves at another."""

from __future__ import annotations

import torch
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from torch import Tensor

SAME_RATE = 0.01
"""Relative difference between two rates that is none: 29.97 and 30."""


def resample_frames(
    curves: Float[Tensor, "T C"], from_fps: float, to_fps: float, num_frames: int
) -> Float[Tensor, "F C"]:
    """Values at the centres of ``num_frames`` frames at another rate; the ends are held.

    Monotone cubics (Fritsch & Carlson 1980): what lies within bounds stays there.

    Args:
        curves: Frame i is the value at (i + 0.5) / from_fps seconds.
        from_fps: Hz.
        to_fps: Hz.
        num_frames: F.
    """
    times = (torch.arange(num_frames, dtype=torch.float64) + 0.5) / to_fps * from_fps - 0.5
    times = times.clamp(0, len(curves) - 1)
    if len(curves) == 1:
        return curves.expand(num_frames, -1).clone()
    known = PchipInterpolator(range(len(curves)), curves.double().numpy(), axis=0)
    return torch.from_numpy(known(times.numpy())).to(curves.dtype)
