"""Where nobody speaks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.speech.encoder import SAMPLE_RATE
from readavatar.speech.level import block_power, speech_level

_STEP = 160
"""Samples between measurements: 10 ms."""
_SMOOTHING = 3
"""Measurements averaged: 30 ms, longer than a low voice's pitch period."""
_SILENT, _SPEAKING = -34.0, -26.0
"""Decibels against the speech level: silence begins below the first and ends above the second (hysteresis, so that a
level near one threshold does not flicker)."""


def is_silent(
    waveform: Float[Tensor, " num_samples"], fps: float, num_frames: int, min_seconds: float = 0.3
) -> Bool[Tensor, " T"]:
    """For each video frame, whether its centre lies in a silence of ``min_seconds`` or more.

    Shorter gaps (the closures of p, t, k) belong to the speech. Beyond the sound's end is silence.

    Args:
        waveform: 16 kHz.
        fps: Of the video, frames a second.
        num_frames: T.
        min_seconds: The shortest silence.
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
    """Switched on by ``on``, off by ``off``, unchanged elsewhere; an undecided beginning is off."""
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
