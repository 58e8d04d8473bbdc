"""Metrics of motion: correlation and amount of motion of curves over time, sync with sound, lip closures and jitter.

Curves have T samples at a fixed rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Number = int | float | Fraction


def pearson_correlation(predicted: Float[Tensor, " T *c"], target: Float[Tensor, " T *c"]) -> Float[Tensor, "*c"]:
    """Pearson's correlation over time, channel by channel.

    Args:
        predicted: Curves in any unit.
        target: Curves in any unit.

    Returns:
        In [−1, 1]; 0 where a curve is constant.

    Example:
        >>> import torch
        >>> from readavatar.metrics import pearson_correlation
        >>> jaw = torch.tensor([0.0, 1.0, 0.0, 1.0])
        >>> pearson_correlation(0.5 * jaw + 0.2, jaw).round(decimals=3)
        tensor(1.)
    """
    moves = _moves(predicted) & _moves(target)
    predicted, target = predicted - predicted.mean(0), target - target.mean(0)
    power = predicted.square().sum(0) * target.square().sum(0)
    return (predicted * target).sum(0) * moves / torch.where(moves, power, 1.0).sqrt()


def motion_std(curves: Float[Tensor, " T *c"]) -> Float[Tensor, "*c"]:
    """Standard deviation over time, in the curves' own unit.

    Example:
        >>> import torch
        >>> from readavatar.metrics import motion_std
        >>> motion_std(torch.tensor([[0.0, 3.0], [1.0, 3.0], [0.0, 3.0], [1.0, 3.0]]))
        tensor([0.5000, 0.0000])
    """
    return curves.std(0, correction=0)


def high_frequency_energy(curves: Float[Tensor, " T *c"], fps: Number, cutoff: Number) -> Float[Tensor, "*c"]:
    """Share of a curve's movement (its variance) that is faster than ``cutoff``: jitter.

    Args:
        curves: T samples. Their linear trend is removed and a Hann window is applied, since a spectrum treats the jump
            between a curve's ends as fast motion.
        fps: Samples per second, Hz.
        cutoff: Hz.

    Returns:
        In [0, 1]; 0 for a constant curve.

    Example:
        >>> import torch
        >>> from readavatar.metrics import high_frequency_energy
        >>> seconds = torch.arange(100) / 25
        >>> slow, fast = torch.sin(seconds), torch.sin(2 * torch.pi * 10 * seconds)
        >>> high_frequency_energy(torch.stack([slow, fast], 1), fps=25, cutoff=6).round(decimals=2)
        tensor([0., 1.])
    """
    time = torch.linspace(-1, 1, len(curves), dtype=curves.dtype, device=curves.device)
    time = time.reshape(-1, *[1] * (curves.ndim - 1))
    level = curves - curves.mean(0)
    level = level - time * (time * level).sum(0) / time.square().sum()
    window = torch.hann_window(len(curves) + 2, periodic=False, dtype=curves.dtype, device=curves.device)[1:-1]
    power = torch.fft.fft(level * window.reshape(time.shape), dim=0).abs().square()
    frequencies = torch.fft.fftfreq(len(curves), 1 / float(fps), device=curves.device).abs()
    moves = _moves(curves, level)
    return power[frequencies > cutoff].sum(0) * moves / torch.where(moves, power.sum(0), 1.0)


def _moves(curves: Float[Tensor, " T *c"], residual: Float[Tensor, " T *c"] | None = None) -> Bool[Tensor, "*c"]:
    """Whether a curve without its mean (or another trend) is more than rounding."""
    residual = curves - curves.mean(0) if residual is None else residual
    rounding = 16 * torch.finfo(curves.dtype).eps
    return residual.square().sum(0) > rounding**2 * curves.square().sum(0)


def audio_visual_offset(
    audio: Float[Tensor, " T"], visual: Float[Tensor, " T"], fps: Number, max_offset: Number = 0.5
) -> tuple[float, float]:
    """The delay of the picture against the sound at which two curves correlate best.

    Args:
        audio: A curve of the sound, such as the loudness.
        visual: A curve of the picture, such as the mouth's opening.
        fps: Frames per second, Hz.
        max_offset: Largest delay that is searched, seconds to either side.

    Returns:
        Seconds (positive: the picture is late; a parabola through the best frame and its neighbours gives fractions of
        a frame) and the correlation there.

    Raises:
        ValueError: Fewer than three frames would overlap at the largest offset.

    Example:
        >>> import torch
        >>> from readavatar.metrics import audio_visual_offset
        >>> loudness = torch.zeros(50)
        >>> loudness[20:25] = torch.tensor([0.5, 1.0, 2.0, 1.0, 0.5])
        >>> seconds, correlation = audio_visual_offset(loudness, loudness.roll(2), fps=25)
        >>> f"{seconds:.2f} s late, correlation {correlation:.2f}"
        '0.08 s late, correlation 1.00'
    """
    largest, num_frames = int(max_offset * fps), len(audio)
    if num_frames - largest < 3:
        raise ValueError(
            f"Expected over {largest + 2} frames to search ±{max_offset} s at {fps} fps, got {num_frames}."
        )
    correlations = torch.stack(
        [
            pearson_correlation(
                audio[max(0, -lag) : num_frames - max(0, lag)], visual[max(0, lag) : num_frames - max(0, -lag)]
            )
            for lag in range(-largest, largest + 1)
        ]
    )
    peak = peak_position(correlations)
    return (peak - largest) / float(fps), float(correlations.max())


def peak_position(values: Float[Tensor, " N"]) -> float:
    """The index of the greatest value, with a fraction: the vertex of the parabola through it and its neighbours.

    Args:
        values: Samples of a curve.

    Returns:
        An index in [0, N − 1]; without a fraction if the greatest value is the first or the last.

    Example:
        >>> import torch
        >>> from readavatar.metrics import peak_position
        >>> round(peak_position(-((torch.arange(9.0) - 4.3) ** 2)), 3)
        4.3
    """
    best = int(values.argmax())
    fraction = 0.0
    if 0 < best < len(values) - 1:
        before, at, after = values[best - 1 : best + 2].tolist()
        curvature = before - 2 * at + after
        fraction = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return best + fraction


def peak_margin(values: Float[Tensor, " N"], half_width: int) -> float:
    """The greatest value less the greatest one that does not belong to the same peak.

    Args:
        values: Samples of a curve, of which at least one is further than ``half_width`` from the greatest.
        half_width: Samples to either side of the greatest value that belong to its peak.
    """
    best = int(values.argmax())
    elsewhere = (torch.arange(len(values), device=values.device) - best).abs() > half_width
    return float(values[best] - values[elsewhere].max())


def pooled_std(takes: Sequence[Float[Tensor, "_ D"]]) -> float:
    """Standard deviation within takes: variances about each take's own mean, summed over D and averaged over frames.

    Constant differences between takes (a face that is sad throughout) do not count as motion.
    """
    squares = sum(float((take - take.mean(0)).double().square().sum()) for take in takes)
    return math.sqrt(squares / sum(len(take) for take in takes))


def pooled_fast_energy(takes: Sequence[Float[Tensor, "_ D"]], fps: int | float, cutoff: int | float) -> float:
    """Mean square of the motion faster than ``cutoff`` Hz, summed over D and averaged over frames.

    Each take's linear trend is removed and a Hann window is applied, since a spectrum treats the jump between a curve's
    ends as fast motion. The power is corrected for the window.

    Args:
        takes: Curves in any unit; the result is in its square.
        fps: Frames per second.
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


def closure_recall(
    fitted_gap: Float[Tensor, " T"], true_gap: Float[Tensor, " T"], closed: Number, false_closures: float = 0.05
) -> float:
    """Share of the truly closed frames that are closed in a fit.

    A fit counts as closed below a threshold on its own gap. The threshold is chosen so that of the truly open frames,
    ``false_closures`` count as closed; a fit that only shrinks all gaps does not score higher.

    Args:
        fitted_gap: Between the lips, any unit.
        true_gap: In the unit of ``closed``.
        closed: Below this the lips are closed.
        false_closures: In (0, 1).

    Returns:
        In [0, 1]; NaN if no frame is closed, or all are.

    Example:
        >>> import torch
        >>> from readavatar.metrics import closure_recall
        >>> gap = torch.tensor([0.0, 5.0, 6.0, 0.0, 7.0, 8.0])  # millimetres
        >>> closure_recall(fitted_gap=0.5 * gap, true_gap=gap, closed=1.0)
        1.0
    """
    is_closed = true_gap < float(closed)
    if not bool(is_closed.any()) or bool(is_closed.all()):
        return float("nan")
    threshold = fitted_gap[~is_closed].quantile(false_closures)
    return float((fitted_gap[is_closed] <= threshold).float().mean())


def fast_motion_ratio(
    fitted: Float[Tensor, " T *c"], true: Float[Tensor, " T *c"], fps: Number, cutoff: Number = 8
) -> float:
    """Energy of motion faster than ``cutoff`` Hz, fitted over true: above 1 for jitter, below 1 for smoothing.

    Args:
        fitted: Curves in any unit.
        true: The true curves, in the same unit.
        fps: Samples per second, Hz.
        cutoff: Hz.

    Returns:
        NaN if no true motion is that fast.

    Example:
        >>> import torch
        >>> from readavatar.metrics import fast_motion_ratio
        >>> seconds = torch.arange(100)[:, None] / 25
        >>> true = torch.sin(2 * torch.pi * 10 * seconds)
        >>> f"{fast_motion_ratio(0.5 * true, true, fps=25):.2f}"
        '0.25'
    """
    fitted, true = (_fast_energy(curves, float(fps), float(cutoff)) for curves in (fitted, true))
    return float(fitted / true) if true > 0 else float("nan")


def _fast_energy(curves: Float[Tensor, " T *c"], fps: float, cutoff: float) -> Float[Tensor, ""]:
    flat = (curves - curves.mean(0)).flatten(1)
    window = torch.hann_window(len(flat), periodic=False, dtype=flat.dtype, device=flat.device)[:, None]
    power = torch.fft.rfft(flat * window, dim=0).abs().square()
    return power[torch.fft.rfftfreq(len(flat), 1 / fps, device=flat.device) > cutoff].sum()
