"""When someone blinks: found in how wide their lids are open.

Nothing that is heard tells when, and a network that is trained frame by frame learns to keep lids half way. So blinks
are given to it: those of the footage in training, random ones (or a director's) in use.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import percentile_filter
from scipy.signal import find_peaks
from torch import Tensor

from readavatar.morphable import MorphableModel
from readavatar.morphable.model import expression_displacements

_UPPER_LIDS, _LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]
"""iBUG's."""
_PULSE_SECONDS = 0.06
"""Standard deviation of the pulse that tells of a blink, which lasts a fourth of a second in all."""
_OPEN_SECONDS, _OPEN_PERCENTILE = 2.0, 80
"""How wide the lids are open at a time, apart from blinks."""
_LEAST_CLOSING = 0.4
"""Of that width, for a blink."""
_LONGEST = 0.5
"""Seconds; lids that stay down longer are lowered or squint."""


class LidGap:
    """How wide a morphable model's lids are open; linear in its expressions, so it is worked out once."""

    def __init__(self, model: MorphableModel) -> None:
        """
        Args:
            model: Whose lids.
        """
        moved, rest = expression_displacements(model), model.template[None]
        self.slope, (self.at_rest,) = (
            points[:, _UPPER_LIDS].mean(1) - points[:, _LOWER_LIDS].mean(1)
            for points in (model.landmarks_3d(each)[..., 1] for each in (moved, rest))
        )

    def __call__(self, expressions: Float[Tensor, "T E"]) -> Float[Tensor, " T"]:
        """Height between the upper and the lower lids' edges, metres, mean of both eyes."""
        return expressions @ self.slope + self.at_rest


def blink_frames(gap: Float[Tensor, " T"], fps: float) -> Float[Tensor, " K"]:
    """The frames, K of T, in which lids are most closed in a blink."""
    widths = gap.double().numpy()
    is_open = percentile_filter(widths, _OPEN_PERCENTILE, max(1, round(_OPEN_SECONDS * fps)), mode="nearest")
    closing = 1 - widths / np.maximum(is_open, 1e-6)
    peaks, _ = find_peaks(closing, prominence=_LEAST_CLOSING, height=_LEAST_CLOSING, width=(None, _LONGEST * fps))
    return torch.from_numpy(peaks).float()


def blink_pulses(frames: Float[Tensor, " K"], num_frames: int, fps: float) -> Float[Tensor, " T"]:
    """A bump of height 1 around each blink: how a network is told of it.

    Args:
        frames: When, in frames.
        num_frames: T.
        fps: Frames a second.
    """
    since = torch.arange(num_frames)[:, None] - frames
    bumps = torch.exp(-0.5 * (since / (_PULSE_SECONDS * fps)) ** 2)
    return bumps.amax(1) if len(frames) else torch.zeros(num_frames)


def pulse_frames(fps: float) -> float:
    """The area of one blink's pulse, frames."""
    return math.sqrt(2 * math.pi) * _PULSE_SECONDS * fps
