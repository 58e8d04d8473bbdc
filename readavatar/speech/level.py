"""How loud the speech in a sound is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_BLOCK = 800
"""Samples in which power is measured: 50 ms at 16 kHz."""
_ACTIVE = 1e-3
"""Blocks within 30 dB of the loud ones count as speech (the idea of ITU-T P.56's active speech level)."""
_SILENCE = 1e-3
"""−60 dB of full scale: a sound below it holds no speech, and is not to be amplified into some."""


def block_power(waveform: Float[Tensor, " num_samples"], block: int = _BLOCK) -> Float[Tensor, " blocks"]:
    """Mean square of each block of samples; the last block may be shorter."""
    whole = len(waveform) // block * block
    power = waveform[:whole].unflatten(0, (-1, block)).square().mean(1) if whole else waveform.new_zeros(0)
    rest = waveform[whole:]
    return torch.cat([power, rest.square().mean()[None]]) if len(rest) else power


def speech_level(waveform: Float[Tensor, " num_samples"]) -> float:
    """Root mean square of the blocks in which somebody speaks, at least −60 dB of full scale."""
    power = block_power(waveform)
    loud = power.topk(max(1, len(power) // 100)).values.min()
    return max(float(power[power >= _ACTIVE * loud].mean().sqrt()), _SILENCE)
