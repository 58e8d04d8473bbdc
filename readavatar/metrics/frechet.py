"""How far apart two sets of samples are as distributions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def motion_windows(curves: Float[Tensor, "T D"], length: int, step: int) -> Float[Tensor, "W k"]:
    """Every ``step`` frames a window of ``length`` frames as one vector (k = length · D); none of too few frames."""
    if len(curves) < length:
        return curves.new_zeros(0, length * curves.shape[1])
    return curves.unfold(0, length, step).mT.flatten(1)


def principal_axes(samples: Float[Tensor, "n D"], count: int) -> tuple[Float[Tensor, " D"], Float[Tensor, "D k"]]:
    """The samples' mean, and their ``count`` orthonormal axes of largest variance (fewer where there are fewer)."""
    mean = samples.mean(0)
    _, _, axes = torch.linalg.svd(samples - mean, full_matrices=False)
    return mean, axes[:count].mT


def frechet_distance(first: Float[Tensor, "n D"], second: Float[Tensor, "m D"]) -> float:
    """Squared Fréchet distance of the Gaussians that fit two sets of samples (Dowson & Landau 1982, eq. 4).

    ``|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)``, in the square of the samples' unit; the trace of the root is found as
    that of the symmetric ``(Σ₁^½ Σ₂ Σ₁^½)^½``, whose eigenvalues are real also where a covariance is singular.

    Raises:
        ValueError: Fewer than two samples on a side.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"Expected two samples or more on either side, but got {len(first)} and {len(second)}.")
    first, second = first.double(), second.double()
    covariances = [torch.cov(samples.mT).reshape(samples.shape[1], -1) for samples in (first, second)]
    values, vectors = torch.linalg.eigh(covariances[0])
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    product = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    means = (first.mean(0) - second.mean(0)).square().sum()
    return max(0.0, float(means + covariances[0].trace() + covariances[1].trace() - 2 * product))
