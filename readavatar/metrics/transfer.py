"""Whether coefficients of one person mean the same on another."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def window_means(values: Float[Tensor, "T D"], length: int) -> Float[Tensor, "W D"]:
    """Means of consecutive windows of ``length`` frames; what is left over at the end is dropped, unless it is all."""
    count = len(values) // length
    return (
        values.mean(0, keepdim=True) if count == 0 else values[: count * length].unflatten(0, (count, length)).mean(1)
    )


def nearest_centroid_accuracy(
    train: Float[Tensor, "n D"],
    train_labels: Int[Tensor, " n"],
    test: Float[Tensor, "m D"],
    test_labels: Int[Tensor, " m"],
) -> float:
    """Share of test samples whose nearest class mean of the training samples is their own class's (Euclidean)."""
    classes = train_labels.unique()
    centroids = torch.stack([train[train_labels == label].mean(0) for label in classes])
    nearest = classes[torch.cdist(test, centroids).argmin(1)]
    return float((nearest == test_labels).float().mean())
