"""Groups of mouth shapes that speech needs, from what can be measured of the lips: their gap and their width.

Phonemes that look alike are one viseme (Fisher 1968). Five groups can be told by the gap between the inner lips and the
width of the mouth against the person's own middle: closed (m, b, p), rounded (w, oo, sh), spread (ee, s), wide open
(ah) and slightly open (the rest). Teeth and tongue, which tell f and th, are not among the landmarks.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.doctor.lips import EYE_CORNERS_MILLIMETRES, lip_opening, lip_width, runs

CLOSED_MILLIMETRES = 2.2
"""Between the inner lips: the detector's landmarks of closed lips lie up to a pixel apart."""
WIDE_OPEN_MILLIMETRES = 9.0
"""A finger is twice as thick; speech reaches it in stressed open vowels."""
ROUNDED, SPREAD = 0.93, 1.06
"""Of the usual width."""
SHAPES = ("closed", "rounded", "spread", "wide open", "slightly open")


def mouth_shapes(landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"]) -> dict[str, Bool[Tensor, " T"]]:
    """Which frames show which group; each frame with a face shows one.

    Args:
        landmarks: Pixels.
        seen: Where there is a face.
    """
    gap = lip_opening(landmarks) * EYE_CORNERS_MILLIMETRES
    width = lip_width(landmarks)
    width = width / (width[seen].median() if bool(seen.any()) else 1.0)
    flags = {
        "closed": gap < CLOSED_MILLIMETRES,
        "rounded": width < ROUNDED,
        "wide open": gap > WIDE_OPEN_MILLIMETRES,
        "spread": width > SPREAD,
        "slightly open": torch.ones_like(seen),
    }
    taken = ~seen
    shapes = {}
    for name, flag in flags.items():
        shapes[name] = flag & ~taken
        taken = taken | flag
    return {name: shapes[name] for name in SHAPES}


def count_times(flags: Bool[Tensor, " T"]) -> int:
    """How often a shape is taken: stretches of frames, however long."""
    return len(runs(flags))
