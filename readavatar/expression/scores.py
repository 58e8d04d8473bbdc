"""How good generated motion is, against the true motion of the same seconds."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.expression.face_space import FaceSpace
from readavatar.metrics import motion_std, pearson_correlation


def score_motion(
    samples: Float[Tensor, "S T E"], target: Float[Tensor, "T E"], space: FaceSpace
) -> dict[str, Float[Tensor, ""]]:
    """Compare several motions drawn for one sound with the true one.

    Args:
        samples: S draws.
        target: The truth.
        space: Measures on the face.

    Returns:
        ``lip_error``: of the worst lip vertex, mean over frames and samples, millimetres.
        ``lip_error_of_mean``: the same of the samples' mean.
        ``opening_correlation``: of the mouth's opening, mean over the samples.
        ``opening_correlation_of_mean``: of the samples' mean.
        ``opening_std_ratio``, ``upper_face_std_ratio``: standard deviation of a sample's motion over the truth's.
    """
    mean = samples.mean(0)
    true_opening = space.opening(target)
    openings = [space.opening(sample) for sample in samples]
    return {
        "lip_error": torch.stack([space.lip_error(sample, target).mean() for sample in samples]).mean(),
        "lip_error_of_mean": space.lip_error(mean, target).mean(),
        "opening_correlation": torch.stack([pearson_correlation(each, true_opening) for each in openings]).mean(),
        "opening_correlation_of_mean": pearson_correlation(space.opening(mean), true_opening),
        "opening_std_ratio": torch.stack([motion_std(each) for each in openings]).mean() / motion_std(true_opening),
        "upper_face_std_ratio": torch.stack([_spread("upper_face", each, space) for each in samples]).mean()
        / _spread("upper_face", target, space),
    }


def _spread(part: str, expressions: Float[Tensor, "T E"], space: FaceSpace) -> Float[Tensor, ""]:
    """Root mean square over a part's vertices of their distance from where they are on average."""
    return motion_std(space.displacement(part, expressions)).square().sum().sqrt()


def describe_scores(scores: dict[str, Float[Tensor, ""]]) -> str:
    """One line for people."""
    number = {name: float(value) for name, value in scores.items()}
    return (
        f"lip error {number['lip_error']:.2f} mm (mean of samples {number['lip_error_of_mean']:.2f}), mouth opening's "
        f"correlation {number['opening_correlation']:.2f} (mean of samples "
        f"{number['opening_correlation_of_mean']:.2f}), motion generated / true: opening "
        f"{number['opening_std_ratio']:.2f}, upper face {number['upper_face_std_ratio']:.2f}"
    )
