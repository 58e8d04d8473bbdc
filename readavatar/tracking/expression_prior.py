"""What is known of expressions before looking at points or pixels: the detector's blendshapes, and what each may do."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.detection.landmark_sets import ARKIT_NAMES
from readavatar.morphable.expression_names import arkit_name
from readavatar.types import _Tensors

DEVIATION = 0.15
"""How far a coefficient in [0, 1] strays from the detector's: the network's error on faces it did not learn from."""
UNSEEN_DEVIATION = 0.04
UNSEEN = {"cheekPuff", "jawForward", "mouthShrugLower", "mouthShrugUpper", "cheekSquint", "tongueOut"}
"""Hardly move a landmark in the image, so that a landmark fit abuses them for whatever is left over."""
FAST = re.compile(r"eyeBlink|eyeLook|eyeSquint|eyeWide|jaw|mouth")
"""Plosives and blinks last two or three frames; brows, cheeks and nose move more slowly."""
FAST_SMOOTHNESS = 0.15
"""Of a slow expression's."""


@dataclass(frozen=True)
class ExpressionPrior(_Tensors):
    """Where expression coefficients start and how tightly they are held there."""

    mean: Float[Tensor, "N E"]
    deviation: Float[Tensor, "N E"]
    smoothness: Float[Tensor, " E"]
    """Weight of each expression's second differences over time."""


def expression_prior(
    blendshapes: Float[Tensor, "N 52"],
    confidence: Float[Tensor, " N"],
    expression_names: tuple[str, ...],
    bounds: Float[Tensor, "E 2"],
) -> ExpressionPrior:
    """Spread the detector's blendshapes over a model's expressions.

    An expression that the detector has no name for (all of FLAME's) and a frame without blendshapes are held near zero,
    with twice the deviation: nothing is known of them but that faces are mostly near neutral.
    """
    mean = torch.zeros(len(blendshapes), len(expression_names))
    deviation = torch.full_like(mean, 2 * DEVIATION)
    known_frames = (blendshapes.sum(1) > 0) & (confidence > 0)
    for column, name in enumerate(expression_names):
        arkit = arkit_name(name)
        if arkit in ARKIT_NAMES:
            mean[:, column] = blendshapes[:, ARKIT_NAMES.index(arkit)]
            deviation[known_frames, column] = DEVIATION
        if re.sub(r"_[LR]$", "", name) in UNSEEN:
            deviation[:, column] = UNSEEN_DEVIATION
    reach = bounds.abs().amax(1)
    smoothness = torch.tensor([FAST_SMOOTHNESS if FAST.match(name) else 1.0 for name in expression_names])
    return ExpressionPrior(mean.clamp(bounds[:, 0], bounds[:, 1]), deviation * reach, smoothness / reach.square())
