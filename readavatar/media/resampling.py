"""Changing a waveform's sample rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr


def resample(samples: np.ndarray, sample_rate: int, new_rate: int) -> np.ndarray:
    """Band-limited resampling of ``(num_samples,)`` or ``(num_samples, channels)``; time 0 stays in place."""
    return samples if sample_rate == new_rate else soxr.resample(samples, sample_rate, new_rate)


def resample_pieces(pieces: Iterable[np.ndarray], sample_rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """The same for a mono waveform that comes piece by piece."""
    if sample_rate == new_rate:
        yield from pieces
        return
    stream = soxr.ResampleStream(sample_rate, new_rate, 1, dtype="float32")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
