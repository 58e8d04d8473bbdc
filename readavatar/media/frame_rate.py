"""Frame rates as exact fractions, and curves resampled from one rate to another."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from readavatar.errors import UserError

STANDARD_RATES = tuple(Fraction(rate) for rate in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)) + tuple(
    Fraction(rate, 1001) for rate in (24_000, 30_000, 48_000, 60_000, 120_000)
)
SAME_RATE = 4e-4
"""Relative; a constant rate this close to a standard one counts as it (less than half of 24 against 24/1.001)."""
SAME_VARIABLE_RATE = 5e-3
"""The same for a variable rate, which is resampled anyway."""
JITTER = 1.6e-3
"""Seconds; timestamps rounded to milliseconds make intervals differ by this much in a file of constant rate."""


def frame_rate(rate: Fraction | float | int | str) -> Fraction:
    """A frame rate as an exact fraction: 29.97 is 30000/1001.

    Args:
        rate: Frames per second, above 0 and up to 1000; text may be a fraction (``30000/1001``).

    Raises:
        UserError: It is not such a number.

    Example:
        >>> from readavatar.media.frame_rate import frame_rate
        >>> frame_rate(25), frame_rate(29.97)
        (Fraction(25, 1), Fraction(30000, 1001))
    """
    try:
        exact = Fraction(rate)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UserError(f"Expected a frame rate such as 25 or 30000/1001, but got '{rate}'.") from None
    if not 0 < exact <= 1000:
        raise UserError(f"Expected a frame rate above 0 and up to 1000, but got {rate}.")
    is_exact = isinstance(rate, Fraction | int) or "/" in str(rate)
    return exact if is_exact else nearest_rate(exact)


def nominal_rate(times: np.ndarray, average_rate: Fraction | None) -> Fraction:
    """The most common rate of the intervals between frames, robust to gaps.

    Args:
        times: Presentation times of the frames, seconds, increasing.
        average_rate: As the container states it, Hz; for a video of one frame.
    """
    intervals = np.diff(times)
    intervals = intervals[intervals > 0]
    if len(intervals) == 0:
        return frame_rate(average_rate or 25)
    mean = intervals.mean()
    if bool((np.abs(intervals - mean) <= JITTER).all()):
        # A line through all times, since the rounding of the first and the last one alone would affect the rate.
        interval = np.polyfit(np.arange(len(times)), times, 1)[0]
        rounding = JITTER / (times[-1] - times[0])
        return nearest_rate(Fraction(float(1 / interval)), max(SAME_RATE, rounding))
    median = np.median(intervals)
    usual = intervals[np.abs(intervals - median) <= max(0.1 * median, JITTER)]
    return nearest_rate(Fraction(float(1 / usual.mean())), SAME_VARIABLE_RATE)


def nearest_rate(rate: Fraction, tolerance: float = SAME_RATE) -> Fraction:
    """The standard rate within the relative ``tolerance``, or a fraction of small terms."""
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) <= tolerance * rate else rate.limit_denominator(100)


def resample_frames(
    curves: Float[Tensor, "T C"], from_fps: float, to_fps: float, num_frames: int
) -> Float[Tensor, "F C"]:
    """Values at the centres of ``num_frames`` frames at another rate; the ends are held.

    Monotone cubics (Fritsch & Carlson 1980), which do not leave the range of the values.

    Args:
        curves: Frame i is the value at (i + 0.5) / from_fps seconds.
        from_fps: Hz.
        to_fps: Hz.
        num_frames: F.

    Example:
        >>> import torch
        >>> from readavatar.media.frame_rate import resample_frames
        >>> curve = torch.tensor([[0.0], [1.0], [2.0]])
        >>> resample_frames(curve, from_fps=25.0, to_fps=50.0, num_frames=6).flatten()
        tensor([0.0000, 0.2500, 0.7500, 1.2500, 1.7500, 2.0000])
    """
    times = (torch.arange(num_frames, dtype=torch.float64) + 0.5) / to_fps * from_fps - 0.5
    times = times.clamp(0, len(curves) - 1)
    if len(curves) == 1:
        return curves.expand(num_frames, -1).clone()
    known = PchipInterpolator(range(len(curves)), curves.double().numpy(), axis=0)
    return torch.from_numpy(known(times.numpy())).to(curves.dtype)
