"""How far a mean over few samples can be trusted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Interval(NamedTuple):
    """A mean and the interval that holds it."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: Float[Tensor, " n"], confidence: float = 0.95, num_resamples: int = 2000, seed: int = 0
) -> Interval:
    """A mean with its percentile bootstrap interval (Efron 1979).

    Args:
        values: One for each independent sample: clips rather than frames, since neighbouring frames are not.
        confidence: Share of resampled means inside the interval, in (0, 1).
        num_resamples: Draws with replacement.
        seed: Of the draws; the same values give the same interval.

    Raises:
        ValueError: No values, a value that is not finite, or a confidence outside (0, 1).
    """
    if len(values) == 0 or not torch.isfinite(values).all():
        raise ValueError(f"Expected at least one value, all finite, but got {values.tolist()[:5]}.")
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` in (0, 1), but got {confidence}.")
    samples = values.detach().double().cpu().numpy()
    generator = np.random.default_rng(seed)
    # One resample at a time keeps memory at n for any n.
    means = [samples[generator.integers(len(samples), size=len(samples))].mean() for _ in range(num_resamples)]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(samples.mean()), float(low), float(high))
