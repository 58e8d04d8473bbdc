"""What is known of expressions before looking at points or pixels: the detector's blendshapes, and what each may do."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.data.datasets.tracking import Observations
from readavatar.detection.landmark_sets import ARKIT_NAMES
from readavatar.morphable.model import arkit_name
from readavatar.types import Tensors

DEVIATION = 0.15
"""How far a coefficient in [0, 1] strays from the detector's: the network's error on faces it did not learn from."""
NEUTRAL_DEVIATION = 0.06
"""Likewise of brows and eyes in frames that are labelled neutral: what is there, is the face's own shape."""
UNSEEN_DEVIATION = 0.04
UNSEEN = {"cheekPuff", "jawForward", "mouthShrugLower", "mouthShrugUpper", "cheekSquint", "tongueOut"}
"""Hardly move a landmark in the image, so that a landmark fit abuses them for whatever is left over."""
FAST = re.compile(r"eyeBlink|eyeLook|eyeSquint|eyeWide|jaw|mouth")
"""Plosives and blinks last two or three frames; brows, cheeks and nose move more slowly."""
FAST_SMOOTHNESS = 0.15
"""Of a slow expression's."""
REST_QUANTILE = 0.1
"""Of a person's frames: below it a coefficient is taken for noise around rest."""
ENOUGH_NEUTRAL = 10
"""Frames."""
LEAST_RANGE = 0.3
"""What is left of a blendshape's range above rest is not stretched more than this makes it."""
BIASED = re.compile(r"brow|eyeLook|eyeSquint|eyeWide")
BIASED_LIMIT, OTHER_LIMIT = 0.6, 0.2
"""The most that is taken for bias: a smile held through all of a clip is a smile."""


@dataclass(frozen=True)
class ExpressionPrior(Tensors):
    """Where expression coefficients start and how tightly they are held there."""

    mean: Float[Tensor, "N E"]
    deviation: Float[Tensor, "N E"]
    acceleration: Float[Tensor, " E"]
    """How much each expression's change changes from frame to frame, relative to a slow one's."""


def neutral_blendshapes(observations: Observations, known: Bool[Tensor, " N"]) -> Float[Tensor, " 52"]:
    """What the detector gives for this person's face at rest: every network's coefficients have a bias of their own for
    every face (raised brows, a down-turned look), and what a person never drops below is no expression.

    Frames that are labelled neutral tell most; without any, the low end of all frames is taken for rest, within limits.

    Args:
        observations: Of all frames of all clips.
        known: Frames with blendshapes.
    """
    blendshapes = observations.blendshapes
    if not bool(known.any()):
        return torch.zeros(blendshapes.shape[1])
    biased = torch.tensor([bool(BIASED.match(name)) for name in ARKIT_NAMES])
    neutral = known & (observations.is_neutral > 0)
    if int(neutral.sum()) >= ENOUGH_NEUTRAL:
        calm = blendshapes[neutral]
        return torch.where(biased, calm.median(0).values, calm.quantile(REST_QUANTILE, dim=0))
    rest = blendshapes[known].quantile(REST_QUANTILE, dim=0)
    return torch.minimum(rest, torch.where(biased, BIASED_LIMIT, OTHER_LIMIT))


def blendshape_prior(
    observations: Observations, expression_names: tuple[str, ...], bounds: Float[Tensor, "E 2"]
) -> ExpressionPrior:
    """Spread the detector's blendshapes, less the person's own rest, over a model's expressions.

    An expression that the detector has no name for (all of FLAME's) and a frame without blendshapes are held near zero,
    with twice the deviation: nothing is known of them but that faces are mostly near neutral.
    """
    blendshapes = observations.blendshapes
    known = (blendshapes.sum(1) > 0) & (observations.confidence > 0)
    rest = neutral_blendshapes(observations, known)
    moved = ((blendshapes - rest) / (1 - rest).clamp(min=LEAST_RANGE)).clamp(min=0)
    mean = torch.zeros(len(blendshapes), len(expression_names))
    deviation = torch.full_like(mean, 2 * DEVIATION)
    for column, name in enumerate(expression_names):
        arkit = arkit_name(name)
        if arkit in ARKIT_NAMES:
            mean[known, column] = moved[known, ARKIT_NAMES.index(arkit)]
            deviation[known, column] = DEVIATION
            if BIASED.match(name):
                deviation[known & (observations.is_neutral > 0), column] = NEUTRAL_DEVIATION
        if re.sub(r"_[LR]$", "", name) in UNSEEN:
            deviation[:, column] = UNSEEN_DEVIATION
    reach = bounds.abs().amax(1)
    scale = torch.tensor([1.0 / FAST_SMOOTHNESS**0.5 if FAST.match(name) else 1.0 for name in expression_names])
    return ExpressionPrior(mean.clamp(bounds[:, 0], bounds[:, 1]), deviation * reach, scale * reach)
