"""A strength for every moment of clips that are labelled with an emotion's name alone, measured on the face.

Whoever is filmed "happy" is not equally happy all the time. Symbols, for one person and one emotion: x(t) are the
coefficients' means over about a second, μ₀ their mean in neutral clips, μ in the emotion's, S their scatter within
clips, which is what speech does to them. Fisher's direction w = (S + ridge)⁻¹ (μ − μ₀) looks away from what speech
moves; the strength is w · (x(t) − μ₀), 0 for the neutral mean and 1 for the emotion's 95th percentile.

Variation of the strength itself within clips does little harm: adding c (μ − μ₀)(μ − μ₀)ᵀ to S leaves w's direction as
it is (Sherman & Morrison 1950).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.data.datasets.expression_windows import ExpressionClip
from readavatar.errors import UserError

_WINDOW_SECONDS = 1.0
"""Equivalent width of the windows: longer than a syllable or a blink, shorter than a mood."""
_FULL = 0.95
"""Quantile of an emotion's windows that is full strength: one grimace alone is not."""
_RIDGE = 1.0
"""Added to the scatter of standardised coefficients, whose diagonal is 1, since short clips have fewer independent
windows than coefficients. On digital actors, 0.3 to 3 differ by 0.02 at most in rank correlation; with less, strengths
that change within a clip are taken for speech."""
_LEAST_SPREAD = 0.02
"""Of a coefficient, in its own unit: one that never moves says nothing when it moves by less."""


def measured_strengths(
    clips: Sequence[ExpressionClip],
    names: Sequence[str],
    fps: int | float,
    num_known: Sequence[int] | None = None,
) -> list[Float[Tensor, "_ N"]]:
    """The emotions of clips with the strength that the face shows in place of the labels' 1.

    Measured for each person and emotion by itself; where any clip of the two has a label between 0 and 1, the corpus
    knows better, and they are left as they are, as are mixtures and clips that change. Without neutral clips of a
    person, coefficients of zero are their neutral face.

    Args:
        clips: With one emotion of strength 1 throughout, or neutral (zeros).
        names: N, of the emotions.
        fps: Frames a second.
        num_known: Frames at each clip's beginning that the measure is made from, so that what is held out decides
            nothing; None takes all.

    Returns:
        (T, N) of each clip, in [0, 1].

    Raises:
        UserError: A named emotion whose clips do not differ from neutral.
    """
    labels = [_label(clip.emotion) for clip in clips]
    averages = [average_windows(clip.expressions, clip.is_valid, fps) for clip in clips]
    strengths = [clip.emotion.clone() for clip in clips]
    ends = [None] * len(clips) if num_known is None else list(num_known)
    known = [average[:end] for average, end in zip(averages, ends, strict=True)]
    for person in dict.fromkeys(clip.person for clip in clips):
        own = [index for index, clip in enumerate(clips) if clip.person == person and bool(clip.is_valid.any())]
        if not own:
            continue
        neutral = [known[index] for index in own if labels[index] == _NEUTRAL]
        origin = torch.cat(neutral).mean(0) if neutral else torch.zeros(clips[0].expressions.shape[1])
        spread, scatter = _within_clips([known[index] for index in own])
        for emotion, name in enumerate(names):
            shown = [index for index in own if bool(clips[index].emotion[:, emotion].any())]
            if not shown or any(labels[index] != emotion for index in shown):
                continue
            seen = torch.cat([known[index][clips[index].is_valid[: ends[index]]] for index in shown])
            direction = _fisher_direction((seen.mean(0) - origin) / spread, scatter) / spread
            full = float(((seen - origin) @ direction).quantile(_FULL))
            if not full > 0:
                raise UserError(f"Expected clips labelled '{name}' to look unlike neutral ones, but they do not.")
            for index in shown:
                strengths[index][:, emotion] = (((averages[index] - origin) @ direction) / full).clamp(0, 1)
    return strengths


_NEUTRAL, _GRADED = -1, -2


def _label(emotion: Float[Tensor, "T N"]) -> int:
    """Which emotion is shown at strength 1 throughout; ``_NEUTRAL``; or ``_GRADED`` for everything else."""
    if not bool(emotion.any()):
        return _NEUTRAL
    strongest = int(emotion[0].argmax())
    named = torch.zeros_like(emotion)
    named[:, strongest] = 1
    return strongest if torch.equal(emotion, named) else _GRADED


def average_windows(
    values: Float[Tensor, "T E"], is_valid: Bool[Tensor, " T"], fps: int | float
) -> Float[Tensor, "T E"]:
    """Means over a Hann window of about a second around each frame, of the frames that are valid.

    Where none is near, the mean of all that are valid (zeros if none is).
    """
    # A Hann window of twice the length is as wide as a box, without the steps at its ends.
    window = torch.hann_window(2 * round(_WINDOW_SECONDS * fps) + 1, periodic=False)
    weight = is_valid.float()[:, None]
    radius = len(window) // 2
    sums, counts = (
        F.conv1d(each.T[:, None], window[None, None], padding=radius)[:, 0].T for each in (values * weight, weight)
    )
    overall = (values * weight).sum(0) / weight.sum().clamp(min=1)
    return torch.where(counts > 1e-3, sums / counts.clamp(min=1e-3), overall)


def _within_clips(averages: Sequence[Float[Tensor, "_ E"]]) -> tuple[Float[Tensor, " E"], Float[Tensor, "E E"]]:
    """Standard deviation of each coefficient within clips, and the correlations."""
    centred = torch.cat([average - average.mean(0) for average in averages])
    spread = centred.square().mean(0).sqrt().clamp(min=_LEAST_SPREAD)
    centred = centred / spread
    return spread, centred.T @ centred / len(centred)


def _fisher_direction(difference: Float[Tensor, " E"], scatter: Float[Tensor, "E E"]) -> Float[Tensor, " E"]:
    return torch.linalg.solve(scatter + _RIDGE * torch.eye(len(scatter)), difference)
