"""By how many frames motion is late against its speech, as a trained speech–lip-motion network judges it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError
from readavatar.expression.sync import SyncNetwork

MAX_OFFSET = 15
"""Frames searched to either side."""
LEAST_WINDOWS = 60
"""Windows of lips in a take: with fewer, a chance peak is as high as a true one."""
SURE = 1.7
"""Least confidence. Of 852 stretches of 4 to 10 s of real lips with real speech of another moment, person or language,
1 to 2 in a hundred reached it, whichever encoder and seed; with their own, about half of 4 s, two thirds to four fifths
of 5 s, and all of 8 s."""
_PEAK_HALF_WIDTH = 4
"""Frames beside the peak that belong to it."""


@dataclass(frozen=True)
class SyncOffset:
    """What was measured."""

    frames: float
    """By how many frames the motion comes after the speech; negative where the speech is late."""
    confidence: float
    """How much nearer than at any other place, times the root of the number of windows: the chance differences between
    places shrink with that root."""
    distances: Float[Tensor, " offsets"]
    """One minus the mean similarity at each offset from −``MAX_OFFSET`` to ``MAX_OFFSET``, in [0, 2]."""

    @property
    def is_sure(self) -> bool:
        """Whether the speech is this motion's at all."""
        return self.confidence >= SURE


@torch.no_grad()
def sync_offset(network: SyncNetwork, speech: Float[Tensor, "T D"], expressions: Float[Tensor, "T E"]) -> SyncOffset:
    """Measure a take's offset.

    Args:
        network: Trained, in evaluation mode; for coefficients of another face model than it was trained on, first
            ``SyncNetwork.on_face``.
        speech: Features as the network was trained on.
        expressions: Of the same frames.

    Raises:
        UserError: The take is too short.
    """
    least = LEAST_WINDOWS + 2 * network.context
    if len(speech) < least:
        raise UserError(f"Expected {least} frames or more to measure an offset, but got {len(speech)}.")
    heard, seen = network.hear(speech[None])[0], network.see(expressions[None])[0]
    count = len(heard)
    similarity = torch.stack(
        [
            (heard[max(0, -offset) : count - max(0, offset)] * seen[max(0, offset) : count - max(0, -offset)])
            .sum(-1)
            .mean()
            for offset in range(-MAX_OFFSET, MAX_OFFSET + 1)
        ]
    )
    frames, margin = _peak(similarity)
    return SyncOffset(frames, margin * count**0.5, 1 - similarity)


def describe_offset(offset: SyncOffset) -> str:
    """One line for people."""
    trust = f"(confidence {offset.confidence:.1f}; {SURE} and more is trusted)"
    if not offset.is_sure:
        return f"the lips do not follow the speech, or too little is said to tell {trust}"
    if abs(offset.frames) < 0.5:
        return f"lips and speech are in time, to within half a frame {trust}"
    late = "lips are" if offset.frames > 0 else "speech is"
    return f"the {late} late by {abs(offset.frames):.1f} frames {trust}"


def _peak(similarity: Float[Tensor, " offsets"]) -> tuple[float, float]:
    """Where the similarity is greatest (a parabola through the neighbours), and by how much."""
    best = int(similarity.argmax())
    fraction = 0.0
    if 0 < best < len(similarity) - 1:
        before, at, after = similarity[best - 1 : best + 2].tolist()
        curvature = before - 2 * at + after
        fraction = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    elsewhere = (torch.arange(len(similarity)) - best).abs() > _PEAK_HALF_WIDTH
    return best - MAX_OFFSET + fraction, float(similarity[best] - similarity[elsewhere].max())
