"""When a mouth is at rest: the pauses in which who speaks closes it."""

from __future__ import annotations

import numpy as np

from readavatar.synthetic.visemes import visemes_of
from readavatar.synthetic.voice import Phoneme

SHORTEST_REST = 0.3
"""Seconds; in shorter silences the mouth is on its way from one sound to the next."""
RESTING_RAMP = 0.14
"""Seconds from the last sound until the mouth is closed, and from its opening until the next sound."""


def at_rest(phonemes: tuple[Phoneme, ...], times: np.ndarray) -> np.ndarray:
    """(T,) 1 where nothing has been said for a while and nothing is about to be; smooth ramps lie within the silence.

    Beside a /p b m/ there is no ramp: lips that rest closed do not part before they close.

    Args:
        phonemes: A speech's; before its beginning and after its end nothing is said either.
        times: (T,) seconds.
    """
    rest = np.zeros_like(times)
    never = np.full_like(times, np.inf)
    for index, phoneme in enumerate(phonemes):
        if phoneme.symbol or phoneme.end - phoneme.start < SHORTEST_REST:
            continue
        opens_late = index == len(phonemes) - 1 or visemes_of(phonemes[index + 1].symbol)[0].closure > 0
        closed_early = index == 0 or visemes_of(phonemes[index - 1].symbol)[-1].closure > 0
        since = never if closed_early else times - phoneme.start
        until = never if opens_late else phoneme.end - times
        inside = np.clip(np.minimum(since, until) / RESTING_RAMP, 0, 1)
        end = np.inf if index == len(phonemes) - 1 else phoneme.end
        inside *= (times >= phoneme.start) & (times < end)
        rest = np.maximum(rest, inside * inside * (3 - 2 * inside))
    return rest
