"""When a mouth is at rest: the pauses in which who speaks closes it."""

from __future__ import annotations

import numpy as np

from readavatar.synthetic.voice import Phoneme

SHORTEST_REST = 0.3
"""Seconds; in shorter silences the mouth is on its way from one sound to the next."""
RESTING_RAMP = 0.14
"""Seconds from the last sound until the mouth is closed, and from its opening until the next sound."""


def at_rest(phonemes: tuple[Phoneme, ...], times: np.ndarray) -> np.ndarray:
    """(T,) 1 where nothing has been said for a while and nothing is about to be; smooth ramps lie within the silence.

    Args:
        phonemes: A speech's; before its beginning and after its end nothing is said either.
        times: (T,) seconds.
    """
    rest = np.zeros_like(times)
    end_of_all = phonemes[-1].end if phonemes else 0.0
    for phoneme in phonemes:
        if phoneme.symbol or phoneme.end - phoneme.start < SHORTEST_REST:
            continue
        since = times - phoneme.start if phoneme.start > 0 else np.full_like(times, np.inf)
        until = phoneme.end - times if phoneme.end < end_of_all else np.full_like(times, np.inf)
        inside = np.clip(np.minimum(since, until) / RESTING_RAMP, 0, 1)
        rest = np.maximum(rest, inside * inside * (3 - 2 * inside))
    return rest
