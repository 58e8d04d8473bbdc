"""The level of the speech in a sound, and its silences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.media.waveform import SAMPLE_RATE

_BLOCK = 800
"""Samples in which power is measured: 50 ms at 16 kHz."""
_ACTIVE = 1e-3
"""Blocks within 30 dB of the loud ones count as speech (the idea of ITU-T P.56's active speech level)."""
_SILENCE = 1e-3
"""−60 dB of full scale: a quieter sound contains no speech and is not amplified."""


def block_power(waveform: Float[Tensor, " num_samples"], block: int = _BLOCK) -> Float[Tensor, " blocks"]:
    """Mean square of each block of samples; the last block may be shorter."""
    whole = len(waveform) // block * block
    power = waveform[:whole].unflatten(0, (-1, block)).square().mean(1) if whole else waveform.new_zeros(0)
    rest = waveform[whole:]
    return torch.cat([power, rest.square().mean()[None]]) if len(rest) else power


def speech_level(waveform: Float[Tensor, " num_samples"]) -> float:
    """Root mean square of the blocks with speech, at least −60 dB of full scale."""
    power = block_power(waveform)
    loud = power.topk(max(1, len(power) // 100)).values.min()
    return max(float(power[power >= _ACTIVE * loud].mean().sqrt()), _SILENCE)


_STEP = 160
"""Samples between measurements: 10 ms."""
_SMOOTHING = 3
"""Measurements averaged: 30 ms, longer than a low voice's pitch period."""
_SILENT, _SPEAKING = -34.0, -26.0
"""Decibels against the speech level: silence begins below the first and ends above the second (hysteresis, against
flicker near a threshold)."""


def is_silent(
    waveform: Float[Tensor, " num_samples"], fps: float, num_frames: int, min_seconds: float = 0.3
) -> Bool[Tensor, " T"]:
    """For each video frame, whether its centre lies in a silence of ``min_seconds`` or more.

    Shorter gaps (the closures of p, t, k) count as speech. After the sound's end there is silence.

    Args:
        waveform: 16 kHz.
        fps: Of the video, frames a second.
        num_frames: T.
        min_seconds: The shortest silence.

    Example:
        >>> import torch
        >>> from readavatar.speech.silence import is_silent
        >>> tone = torch.sin(torch.arange(16_000) / 10)  # 1 s at 16 kHz
        >>> is_silent(torch.cat([tone, torch.zeros(16_000)]), fps=4.0, num_frames=8)
        tensor([False, False, False, False,  True,  True,  True,  True])
    """
    samples = max(len(waveform), round(num_frames / fps * SAMPLE_RATE))
    power = block_power(F.pad(waveform, (0, samples - len(waveform))), _STEP)
    power = F.avg_pool1d(power[None], _SMOOTHING, 1, _SMOOTHING // 2, count_include_pad=False)[0]
    decibels = 10 * (power.clamp(min=1e-12) / speech_level(waveform) ** 2).log10()
    silent = _hysteresis(decibels < _SILENT, decibels > _SPEAKING)
    silent = _without_short_runs(silent, round(min_seconds * SAMPLE_RATE / _STEP))
    centres = ((torch.arange(num_frames) + 0.5) / fps * SAMPLE_RATE / _STEP).long()
    return silent[centres.clamp(max=len(silent) - 1)]


def _hysteresis(on: Tensor, off: Tensor) -> Tensor:
    """Set by ``on``, cleared by ``off``, otherwise unchanged; False at the beginning."""
    decided = torch.where(on | off, torch.arange(len(on)), -1).cummax(0).values
    return (decided >= 0) & on[decided.clamp(min=0)]


def _without_short_runs(flags: Tensor, length: int) -> Tensor:
    edges = F.pad(flags.int(), (1, 1)).diff()
    kept = flags.clone()
    starts, ends = torch.nonzero(edges == 1)[:, 0].tolist(), torch.nonzero(edges == -1)[:, 0].tolist()
    for start, end in zip(starts, ends, strict=True):
        if end - start < length:
            kept[start:end] = False
    return kept
