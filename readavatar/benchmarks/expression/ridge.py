"""What a line through a few frames of speech features tells of a mouth: the least that a network has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.metrics import pearson_correlation

REACH = 3
"""Frames to either side."""
NUM_FOLDS = 5
PENALTIES = tuple(10.0**exponent for exponent in range(0, 8))


def frame_windows(features: Float[Tensor, "T D"], reach: int = REACH) -> Float[Tensor, "T W"]:
    """Each frame's features beside those of ``reach`` frames on either side; the ends are repeated."""
    frames = torch.arange(len(features))[:, None] + torch.arange(-reach, reach + 1)
    return features[frames.clamp(0, len(features) - 1)].flatten(1)


def predict_by_ridge(
    features: Float[Tensor, "T W"],
    target: Float[Tensor, " T"],
    test: Float[Tensor, "U W"],
    penalties: Sequence[float] = PENALTIES,
) -> Float[Tensor, " U"]:
    """Ridge regression of standardised features, with the penalty that predicts left-out stretches of training best.

    Args:
        features: Of the training frames, in order.
        target: Likewise.
        test: Of the frames to predict.
        penalties: To choose from, by the mean correlation over ``NUM_FOLDS`` stretches, each left out in turn
            (neighbouring frames are alike, so that frames left out one by one would prefer to learn by heart).
    """
    scores = torch.zeros(len(penalties))
    for left_out in torch.arange(len(target)).chunk(NUM_FOLDS):
        kept = torch.ones(len(target), dtype=torch.bool)
        kept[left_out] = False
        predicted = _fit_and_predict(features[kept], target[kept], features[left_out], penalties)
        scores += pearson_correlation(predicted, target[left_out][:, None].expand_as(predicted))
    return _fit_and_predict(features, target, test, [penalties[int(scores.argmax())]])[:, 0]


def _fit_and_predict(
    features: Float[Tensor, "T W"], target: Float[Tensor, " T"], test: Float[Tensor, "U W"], penalties: Sequence[float]
) -> Float[Tensor, "U P"]:
    """In the dual: windows have more features than a clip has frames, and one decomposition serves all penalties."""
    mean, std = features.mean(0), features.std(0).clamp(min=1e-6)
    features, test = ((each - mean).double() / std for each in (features, test))
    level = target.double().mean()
    values, vectors = torch.linalg.eigh(features @ features.mT)
    answer = vectors.mT @ (target.double() - level)
    shrunk = answer[:, None] / (values.clamp(min=0)[:, None] + torch.tensor(penalties, dtype=torch.float64))
    return (test @ (features.mT @ (vectors @ shrunk)) + level).float()
