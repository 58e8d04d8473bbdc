"""From an encoder's frames to the video's frames.

Encoder frame k is centred on sample ``k · hop + centre``; video frame i lasts from ``i / fps`` to ``(i + 1) / fps`` and
is centred on ``(i + 0.5) / fps`` seconds. A video frame takes the encoder frames under a triangle around its centre,
whose half width is the longer of the two periods: linear interpolation where the video is faster, and a low-pass filter
(so that nothing aliases) where it is slower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Clock:
    """When an encoder's frames are, in samples.

    Example:
        >>> from readavatar.speech.alignment import Clock
        >>> clock = Clock(sample_rate=16_000, hop=160, span=400, centre=200.0)
        >>> clock.position(seconds=0.5)
        48.75
        >>> clock.support(first=0, last=1, fps=25.0)
        (-4, 6)
    """

    sample_rate: int
    """Hz."""
    hop: int
    """Samples from one frame to the next."""
    span: int
    """Samples that one frame needs: n frames from frame k on are computed from ``(n - 1) · hop + span`` samples,
    beginning at sample ``k · hop``."""
    centre: float
    """Where in its span a frame's centre lies, samples."""

    def position(self, seconds: float) -> float:
        """The (fractional) encoder frame whose centre is at ``seconds``."""
        return (seconds * self.sample_rate - self.centre) / self.hop

    def support(self, first: int, last: int, fps: float) -> tuple[int, int]:
        """Encoder frames [k, l) that video frames [first, last) are made from."""
        reach = self._half_width(fps)
        begin = math.floor(self.position((first + 0.5) / fps) - reach)
        end = math.ceil(self.position((last - 0.5) / fps) + reach)
        return begin, end + 1

    def _half_width(self, fps: float) -> float:
        """Of the triangle, in encoder frames."""
        return max(1.0, self.sample_rate / self.hop / fps)

    def align(
        self, features: Float[Tensor, "F D"], begin: int, first: int, last: int, fps: float
    ) -> Float[Tensor, "T D"]:
        """Video frames [first, last) from encoder frames [begin, begin + F), which cover their support."""
        half_width = self._half_width(fps)
        seconds = (torch.arange(first, last, dtype=torch.float64) + 0.5) / fps
        position = (seconds * self.sample_rate - self.centre) / self.hop - begin
        offset = torch.arange(math.ceil(2 * half_width) + 1)
        index = (position - half_width).floor().long()[:, None] + offset
        weight = (1 - (index - position[:, None]).abs() / half_width).clamp(min=0)
        weight = (weight / weight.sum(1, keepdim=True)).to(features)
        index = index.clamp(0, features.shape[0] - 1).to(features.device)  # where it clamps, the weight is 0
        # One tap after the other: gathering all at once would take several times the features' memory.
        taps = (weight[:, tap, None] * features[index[:, tap]] for tap in range(len(offset)))
        return sum(taps, features.new_zeros(()))
