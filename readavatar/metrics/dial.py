"""Whether what is asked for comes: rank, steps and speed of a measured answer to an asked one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor


def rank_correlation(asked: Float[Tensor, " K"], measured: Float[Tensor, " K"]) -> float:
    """Spearman's ρ in [−1, 1]; 0 where an answer does not vary."""
    if bool((measured == measured[0]).all()) or bool((asked == asked[0]).all()):
        return 0.0
    return float(spearmanr(asked.numpy(), measured.numpy()).statistic)


class StepBack(NamedTuple):
    """Where an answer that should rise falls."""

    size: float
    """The largest fall of the mean from one step to the next, 0 where there is none."""
    in_errors: float
    """The largest fall in its own standard errors."""


def largest_step_back(answers: Float[Tensor, "R K"]) -> StepBack:
    """The largest fall between neighbouring steps of a dial, against the noise of R independent repetitions.

    Args:
        answers: R ≥ 2 repetitions (sentences, say), each with the answers to K rising steps.
    """
    rises = answers.double().diff(dim=1)
    falls = -rises.mean(0)
    errors = rises.std(0) / len(rises) ** 0.5
    ratio = torch.where(falls > 0, falls / errors.clamp(min=1e-12), 0.0)
    return StepBack(max(0.0, float(falls.max())), float(ratio.max()))


class Response(NamedTuple):
    """When an answer passes shares of the way between its two plateaus, seconds from its first sample."""

    tenth: float
    half: float
    nine_tenths: float

    @property
    def rise(self) -> float:
        """Seconds from 10 % to 90 %."""
        return self.nine_tenths - self.tenth


def step_response(curve: Float[Tensor, " T"], plateau: int, fps: int | float) -> Response:
    """Time an answer to a step, up or down.

    The plateaus are the means of the first and the last ``plateau`` samples. The half is first reached; the tenth is
    last left before it and nine tenths are first reached after it, so that ripples on the plateaus do not count. All
    three are NaN where the answer has no step: where its plateaus are no further apart than twice the ripple on them.

    Args:
        curve: T samples.
        plateau: Samples at either end that are before and after the step.
        fps: Samples a second.
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
    """The first of ``ends``' samples, in their order, up to which the curve rises through ``level``: where it does."""
    for end in ends:
        before, after = way[end - 1], way[end]
        if before < level <= after:
            return end - 1 + (level - before) / (after - before)
    return float("nan")
