"""What a fit costs: functions on tensors, each a mean that is 1 when everything is off by its typical error.

Lengths in the image are in frame sides; ``unit`` (B,) is the head's size there: the distance between the outer eye
corners of the mean face, were it seen from the front.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

LANDMARK_ERROR = 0.01
"""Of ``unit``: what a fit of landmarks alone leaves (0.95 % on MEAD)."""
OUTLIER = 0.06
"""Of ``unit``: beyond this a landmark is wrong rather than inaccurate."""
COLOUR_ERROR = 0.04
"""Of the gamma-encoded range: 28 dB."""
COLOUR_OUTLIER = 0.15

_INNER, _JAW = range(17, 68), range(17)
JAW_WEIGHT = 0.05
"""The jaw line's landmarks slide along the contour as the head turns (Deng et al. 2019 weigh them down likewise)."""
LIP_GAPS = ((61, 67), (62, 66), (63, 65))
EYE_GAPS = ((37, 41), (38, 40), (43, 47), (44, 46))


def robust(squared: Float[Tensor, "*shape"], outlier: float) -> Float[Tensor, "*shape"]:
    """Geman & McClure's ρ of a squared residual: itself where small, ``outlier²`` at most."""
    return squared / (1 + squared / outlier**2)


def landmark_energy(
    predicted: Float[Tensor, "B 68 2"], target: Float[Tensor, "B 68 2"], unit: Float[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """Reprojection of the 68 landmarks; the jaw line counts little."""
    squared = ((predicted - target) / unit[:, None, None]).square().sum(-1)
    weights = torch.ones(68, device=squared.device)
    weights[list(_JAW)] = JAW_WEIGHT
    return (robust(squared, OUTLIER) * weights).sum(1) / (weights.sum() * LANDMARK_ERROR**2)


def gap_energy(
    predicted: Float[Tensor, "B 68 2"], target: Float[Tensor, "B 68 2"], unit: Float[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """How far lips and lids are apart, whatever the place: a mouth closes where the landmarks close."""
    upper, lower = zip(*(LIP_GAPS + EYE_GAPS), strict=True)

    def gaps(points: Tensor) -> Tensor:
        return points[:, list(upper)] - points[:, list(lower)]

    squared = ((gaps(predicted) - gaps(target)) / unit[:, None, None]).square().sum(-1)
    return robust(squared, OUTLIER).mean(1) / LANDMARK_ERROR**2


def iris_energy(
    predicted: Float[Tensor, "B 2 2"],
    target: Float[Tensor, "B 2 2"],
    unit: Float[Tensor, " B"],
    openness: Float[Tensor, "B 2"],
) -> Float[Tensor, " B"]:
    """Reprojection of the pupils, of each eye as far as it is open (a closed lid hides where the iris is)."""
    squared = ((predicted - target) / unit[:, None, None]).square().sum(-1)
    return (robust(squared, OUTLIER) * openness).mean(1) / LANDMARK_ERROR**2


def eye_openness(landmarks_2d: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B 2"]:
    """Of the left and the right eye: 0 closed, 1 as open as at rest (lids apart by a quarter of the eye's width)."""
    opening = []
    for pairs, (inner, outer) in ((EYE_GAPS[2:], (42, 45)), (EYE_GAPS[:2], (36, 39))):
        gap = sum((landmarks_2d[:, a] - landmarks_2d[:, b]).norm(dim=-1) for a, b in pairs) / 2
        width = (landmarks_2d[:, inner] - landmarks_2d[:, outer]).norm(dim=-1).clamp(min=1e-6)
        opening.append((gap / width - 0.1) / 0.15)
    return torch.stack(opening, 1).clamp(0, 1)


def gaussian_energy(
    values: Float[Tensor, "B E"], mean: Float[Tensor, "B E"], deviation: Float[Tensor, "B E"]
) -> Float[Tensor, " B"]:
    """Squared deviations from a prior."""
    return ((values - mean) / deviation).square().mean(1)


def sparsity_energy(expression: Float[Tensor, "B E"]) -> Float[Tensor, " B"]:
    """The sum of coefficients: of two expressions that explain a face equally well, the fewer win."""
    return expression.abs().sum(1)


def second_differences(values: Float[Tensor, "T D"], clip_index: Int[Tensor, " T"]) -> Float[Tensor, "t D"]:
    """Accelerations a frame², inside clips; ``values`` of consecutive frames."""
    inside = clip_index[2:] == clip_index[:-2]
    return (values[2:] - 2 * values[1:-1] + values[:-2])[inside]


def photometric_energy(
    rendered: Float[Tensor, "B 3 H W"], frames: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, " B"]:
    """Gamma-encoded colours inside the mask; hair, hands and glasses saturate the robust function."""
    squared = (rendered - frames).square().mean(1, keepdim=True)
    total = (robust(squared, COLOUR_OUTLIER) * mask).sum((1, 2, 3))
    return total / (mask.sum((1, 2, 3)).clamp(min=1) * COLOUR_ERROR**2)
