"""How much several takes of motion move, together and at speed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def pooled_std(takes: Sequence[Float[Tensor, "_ D"]]) -> float:
    """Standard deviation within takes: variances about each take's own mean, summed over D and averaged over frames.

    What differs between takes alone (a face that is sad throughout) is no motion and does not count.
    """
    squares = sum(float((take - take.mean(0)).double().square().sum()) for take in takes)
    return math.sqrt(squares / sum(len(take) for take in takes))


def pooled_fast_energy(takes: Sequence[Float[Tensor, "_ D"]], fps: int | float, cutoff: int | float) -> float:
    """Mean square of the motion faster than ``cutoff`` Hz, summed over D and averaged over frames: an amount, no share.

    Each take's straight trend is taken out and its ends are faded (Hann), since a spectrum sees the jump between a
    curve's two ends as fast movement; what the fading takes away of the power is given back.

    Args:
        takes: Curves in any unit; the result is in its square.
        fps: Frames a second.
        cutoff: Hz.
    """
    total = 0.0
    for take in takes:
        level = _detrended(take.double())
        window = torch.hann_window(len(take) + 2, periodic=False, dtype=level.dtype)[1:-1]
        power = torch.fft.fft(level * window[:, None], dim=0).abs().square()
        is_fast = torch.fft.fftfreq(len(take), 1 / fps).abs() > cutoff
        total += float(power[is_fast].sum()) / float(window.square().sum())  # mean square times the take's frames
    return total / sum(len(take) for take in takes)


def _detrended(curves: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
    time = torch.linspace(-1, 1, len(curves), dtype=curves.dtype)[:, None]
    level = curves - curves.mean(0)
    return level - time * (time * level).sum(0) / time.square().sum().clamp(min=1e-12)
