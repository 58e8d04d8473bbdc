"""Statistics of measurements: intervals of means, responses to a dial, distances of distributions, classification."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import bootstrap, spearmanr
from torch import Tensor

_BATCH = 100
"""Resamples drawn at once; memory is this many times n."""


class Interval(NamedTuple):
    """A mean and its interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: Float[Tensor, " n"], confidence: float = 0.95, num_resamples: int = 2000, seed: int = 0
) -> Interval:
    """A mean with its percentile bootstrap interval (Efron 1979).

    Args:
        values: One for each independent sample: clips rather than frames, since neighbouring frames are correlated.
        confidence: Share of resampled means inside the interval, in (0, 1).
        num_resamples: Draws with replacement.
        seed: Of the draws; the same values give the same interval.

    Raises:
        ValueError: No values, a value that is not finite, or a confidence outside (0, 1).

    Example:
        >>> import torch
        >>> from readavatar.metrics import bootstrap_interval
        >>> value, low, high = bootstrap_interval(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        >>> value, low <= value <= high
        (2.5, True)
    """
    if len(values) == 0 or not torch.isfinite(values).all():
        raise ValueError(f"Expected at least one value, all finite, but got {values.tolist()[:5]}.")
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` in (0, 1), but got {confidence}.")
    samples = values.detach().double().cpu().numpy()
    mean = float(samples.mean())
    if len(samples) == 1:
        return Interval(mean, mean, mean)
    low, high = bootstrap(
        (samples,),
        np.mean,
        n_resamples=num_resamples,
        batch=_BATCH,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(low), float(high))


def rank_correlation(asked: Float[Tensor, " K"], measured: Float[Tensor, " K"]) -> float:
    """Spearman's ρ.

    Args:
        asked: K settings of a dial.
        measured: The measured responses.

    Returns:
        In [−1, 1]; 0 if either is constant.

    Example:
        >>> import torch
        >>> from readavatar.metrics import rank_correlation
        >>> round(rank_correlation(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 5.0, 30.0])), 3)
        1.0
    """
    if bool((measured == measured[0]).all()) or bool((asked == asked[0]).all()):
        return 0.0
    return float(spearmanr(asked.numpy(), measured.numpy()).statistic)


class StepBack(NamedTuple):
    """The largest fall of a response that should rise."""

    size: float
    """Largest fall of the mean from one step to the next; 0 if there is none."""
    in_errors: float
    """Largest fall in units of its standard error."""


def largest_step_back(answers: Float[Tensor, "R K"]) -> StepBack:
    """The largest fall between neighbouring steps of a dial, against the noise of R independent repetitions.

    Args:
        answers: R ≥ 2 repetitions (such as sentences) of the responses to K rising steps.

    Example:
        >>> import torch
        >>> from readavatar.metrics import largest_step_back
        >>> largest_step_back(torch.tensor([[0.0, 0.5, 0.25, 1.0], [0.0, 0.5, 0.25, 1.0]])).size
        0.25
    """
    rises = answers.double().diff(dim=1)
    falls = -rises.mean(0)
    errors = rises.std(0) / len(rises) ** 0.5
    ratio = torch.where(falls > 0, falls / errors.clamp(min=1e-12), 0.0)
    return StepBack(max(0.0, float(falls.max())), float(ratio.max()))


class Response(NamedTuple):
    """The times at which a response passes shares of the way between its plateaus, seconds from its first sample."""

    tenth: float
    half: float
    nine_tenths: float

    @property
    def rise(self) -> float:
        """Seconds from 10 % to 90 %."""
        return self.nine_tenths - self.tenth


def step_response(curve: Float[Tensor, " T"], plateau: int, fps: int | float) -> Response:
    """Measure the timing of a response to a step, up or down.

    The plateaus are the means of the first and the last ``plateau`` samples. The time of
    the half is when it is first reached; that of a tenth is the last before it, and that of nine tenths the first after
    it, so that ripples on the plateaus do not count. All are NaN without a step: if the plateaus differ by at most
    twice their ripple.

    Args:
        curve: T samples.
        plateau: Number of samples at either end, before and after the step.
        fps: Samples a second.

    Example:
        >>> import torch
        >>> from readavatar.metrics import step_response
        >>> curve = torch.cat([torch.zeros(10), torch.linspace(0, 1, 11), torch.ones(10)])
        >>> response = step_response(curve, plateau=5, fps=25)
        >>> f"half-way after {response.half:.2f} s, rise {response.rise:.2f} s"
        'half-way after 0.60 s, rise 0.32 s'
    """
    first, last = curve[:plateau], curve[-plateau:]
    ripple = torch.cat([first - first.mean(), last - last.mean()]).square().mean().sqrt()
    height = last.mean() - first.mean()
    if float(height.abs()) <= 2 * float(ripple) or float(height.abs()) < 1e-9:
        return Response(float("nan"), float("nan"), float("nan"))
    way = ((curve - first.mean()) / height).double().tolist()
    half = _crossing(way, 0.5, range(1, len(way)))
    tenth = _crossing(way, 0.1, range(int(half + 1), 0, -1))
    nine_tenths = _crossing(way, 0.9, range(max(1, int(half + 1)), len(way)))
    return Response(tenth / fps, half / fps, nine_tenths / fps)


def _crossing(way: list[float], level: float, ends: range) -> float:
    """The position at which the curve rises through ``level``, before the first such sample in ``ends``."""
    for end in ends:
        before, after = way[end - 1], way[end]
        if before < level <= after:
            return end - 1 + (level - before) / (after - before)
    return float("nan")


def motion_windows(curves: Float[Tensor, "T D"], length: int, step: int) -> Float[Tensor, "W k"]:
    """Windows of ``length`` frames, every ``step`` frames, as vectors (k = length · D); none of too few frames.

    Example:
        >>> import torch
        >>> from readavatar.metrics import motion_windows
        >>> motion_windows(torch.arange(4.0)[:, None], length=2, step=1)
        tensor([[0., 1.],
                [1., 2.],
                [2., 3.]])
    """
    if len(curves) < length:
        return curves.new_zeros(0, length * curves.shape[1])
    return curves.unfold(0, length, step).mT.flatten(1)


def principal_axes(samples: Float[Tensor, "n D"], count: int) -> tuple[Float[Tensor, " D"], Float[Tensor, "D k"]]:
    """The samples' mean, and their ``count`` orthonormal axes of largest variance (fewer if there are fewer)."""
    mean = samples.mean(0)
    _, _, axes = torch.linalg.svd(samples - mean, full_matrices=False)
    return mean, axes[:count].mT


def frechet_distance(first: Float[Tensor, "n D"], second: Float[Tensor, "m D"]) -> float:
    """Squared Fréchet distance of the Gaussians that fit two sets of samples (Dowson & Landau 1982, eq. 4).

    ``|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)``, in the square of the samples' unit; the trace of the root is computed as
    that of the symmetric ``(Σ₁^½ Σ₂ Σ₁^½)^½``, whose eigenvalues are real even if a covariance is singular.

    Raises:
        ValueError: Fewer than two samples on a side.

    Example:
        >>> import torch
        >>> from readavatar.metrics import frechet_distance
        >>> samples = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> f"{frechet_distance(samples, samples + torch.tensor([3.0, 0.0])):.3f}"
        '9.000'
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


def window_means(values: Float[Tensor, "T D"], length: int) -> Float[Tensor, "W D"]:
    """Means of consecutive windows of ``length`` frames; an incomplete last one is dropped, unless it is the only one.

    Args:
        values: Curves in any unit.
        length: Frames.

    Example:
        >>> import torch
        >>> from readavatar.metrics import window_means
        >>> window_means(torch.tensor([[0.0], [2.0], [4.0], [6.0], [8.0]]), length=2)
        tensor([[1.],
                [5.]])
    """
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
    """Share of test samples whose nearest class mean of the training samples is their own class's (Euclidean).

    Args:
        train: Samples.
        train_labels: Their classes.
        test: Other samples, in the same unit.
        test_labels: Their classes, of those in ``train_labels``.

    Returns:
        In [0, 1].

    Example:
        >>> import torch
        >>> from readavatar.metrics import nearest_centroid_accuracy
        >>> train, labels = torch.tensor([[0.0], [1.0], [9.0], [10.0]]), torch.tensor([0, 0, 1, 1])
        >>> nearest_centroid_accuracy(train, labels, torch.tensor([[2.0], [4.0]]), torch.tensor([0, 1]))
        0.5
    """
    classes = train_labels.unique()
    centroids = torch.stack([train[train_labels == label].mean(0) for label in classes])
    nearest = classes[torch.cdist(test, centroids).argmin(1)]
    return float((nearest == test_labels).float().mean())
