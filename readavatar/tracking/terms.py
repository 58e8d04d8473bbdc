"""What a fit minimises beside pixels, as rows of normal equations: landmarks, lip and lid gaps, irises, smoothness.

Every residual is 1 when something is off by its typical error; a term's weight says how many such errors it stands for.
Lengths in the image are frame sides; ``unit`` (B,) is the head's size there: the distance between the outer eye corners
of the mean face, were it seen from the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

LANDMARK_ERROR = 0.01
"""Of ``unit``: what a fit of landmarks alone leaves (0.95 % on MEAD)."""
OUTLIER = 0.06
"""Of ``unit``: beyond this a landmark is wrong rather than inaccurate."""
JAW_WEIGHT = 0.05
"""The jaw line's landmarks slide along the contour as the head turns (Deng et al. 2019 weigh them down likewise)."""
LIP_GAPS = ((61, 67), (62, 66), (63, 65))
EYE_GAPS = ((37, 41), (38, 40), (43, 47), (44, 46))


@dataclass(frozen=True)
class Rows:
    """R residuals of each of B frames, their derivatives by its D own and the G shared unknowns; not yet weighted."""

    residuals: Float[Tensor, "B R"]
    jacobian: Float[Tensor, "B R D"]
    weights: Float[Tensor, "B R"]
    """Of the squares: confidence, and what a robust function leaves of an outlier."""
    shared: Float[Tensor, "B R G"] | None = None
    """None where shared unknowns are not free."""


def robust_weight(squared: Float[Tensor, "*shape"], outlier: float) -> Float[Tensor, "*shape"]:
    """What Geman & McClure's ρ(s) = s / (1 + s / outlier²) makes of a squared residual's weight: ρ'(s)."""
    return 1 / (1 + squared / outlier**2) ** 2


def point_rows(
    predicted: Float[Tensor, "B n 2"],
    target: Float[Tensor, "B n 2"],
    jacobian: Float[Tensor, "B n 2 D"],
    unit: Float[Tensor, " B"],
    weights: Float[Tensor, "#B #n"],
    by_shared: Float[Tensor, "B n 2 G"] | None = None,
) -> Rows:
    """Reprojection of points (landmarks, pupils), or of differences of points (gaps).

    Args:
        predicted: Frame sides.
        target: As detected.
        jacobian: Derivatives of what is predicted by the frames' own unknowns.
        unit: The heads' sizes, frame sides.
        weights: Of the points.
        by_shared: Derivatives by the shared unknowns.
    """
    difference = (predicted - target) / unit[:, None, None]
    weights = weights * robust_weight(difference.square().sum(-1), OUTLIER)
    error = LANDMARK_ERROR * unit[:, None, None, None]
    return Rows(
        difference.flatten(1) / LANDMARK_ERROR,
        (jacobian / error).flatten(1, 2),
        weights[..., None].expand(-1, -1, 2).flatten(1),
        None if by_shared is None else (by_shared / error).flatten(1, 2),
    )


def gaps(points: Float[Tensor, "B 68 *c"]) -> Float[Tensor, "B 7 *c"]:
    """How far lips and lids are apart, whatever the place: a mouth closes where the landmarks close."""
    upper, lower = zip(*(LIP_GAPS + EYE_GAPS), strict=True)
    return points[:, list(upper)] - points[:, list(lower)]


def landmark_weights(like: Tensor) -> Float[Tensor, " 68"]:
    """1 for the inner landmarks, less for the jaw line."""
    weights = torch.ones(68, device=like.device)
    weights[:17] = JAW_WEIGHT
    return weights


def eye_openness(landmarks_2d: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B 2"]:
    """Of the left and the right eye: 0 closed, 1 as open as at rest (lids apart by a quarter of the eye's width)."""
    opening = []
    for pairs, (inner, outer) in ((EYE_GAPS[2:], (42, 45)), (EYE_GAPS[:2], (36, 39))):
        gap = sum((landmarks_2d[:, a] - landmarks_2d[:, b]).norm(dim=-1) for a, b in pairs) / 2
        width = (landmarks_2d[:, inner] - landmarks_2d[:, outer]).norm(dim=-1).clamp(min=1e-6)
        opening.append((gap / width - 0.1) / 0.15)
    return torch.stack(opening, 1).clamp(0, 1)


def second_differences(clip_index: Int[Tensor, " T"]) -> Float[Tensor, "t T"]:
    """The matrix that gives the accelerations a frame² of T consecutive frames, inside clips."""
    rows = torch.arange(len(clip_index) - 2)
    matrix = torch.zeros(len(rows), len(clip_index), device=clip_index.device)
    for offset, factor in ((0, 1.0), (1, -2.0), (2, 1.0)):
        matrix[rows, rows + offset] = factor
    return matrix[clip_index[2:] == clip_index[:-2]]
