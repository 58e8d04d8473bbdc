"""Annotations of a clip's frames: emotion labels, emotion strengths measured on the face, and blinks.

Strengths. The intensity of an emotion varies within a clip that is labelled "happy". Symbols, for one person and one
emotion: x(t) are the coefficients' means over about a second, μ₀ their mean in neutral clips, μ in the emotion's, S
    their
covariance within clips, which is mostly due to speech. Fisher's direction w = (S + ridge)⁻¹ (μ − μ₀) reduces the effect
of speech; the strength is w · (x(t) − μ₀), scaled to 0 for the neutral mean and 1 for the emotion's 95th percentile.
Variation of the strength itself within clips does little harm: adding c (μ − μ₀)(μ − μ₀)ᵀ to S does not change w's
direction (Sherman & Morrison 1950).

Blinks. The sound does not predict blinks, and a network trained to predict them keeps the lids half closed. So blinks
are an input: those of the footage in training, random or chosen ones in use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.ndimage import percentile_filter
from scipy.signal import find_peaks
from torch import Tensor

from readavatar.data.datasets.expression_windows import ExpressionClip
from readavatar.data.store.clip_store import ClipStore
from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace
from readavatar.errors import UserError
from readavatar.morphable import MorphableModel
from readavatar.morphable.model import expression_displacements

EmotionCoding = Literal["continuous", "one_hot", "none"]


def label_names(stores: Sequence[ClipStore]) -> tuple[str, ...]:
    """The emotion names of the clips' labels, each once; MEAD's if no clip is labelled."""
    names: dict[str, None] = {}
    for store in stores:
        if track := store.emotion():
            names |= dict.fromkeys(track.space.names)
    return tuple(names) or MEAD_EMOTIONS


def read_emotion(
    store: ClipStore, space: EmotionSpace, num_frames: int, fps: float, coding: EmotionCoding = "continuous"
) -> Float[Tensor, "T N"]:
    """The labels of a clip's frames; neutral if it has none.

    Args:
        store: The clip.
        space: N names.
        num_frames: T.
        fps: Frames a second.
        coding: As for ``coded``.

    Raises:
        UserError: A label is not in the space.
    """
    track = store.emotion()
    emotion = torch.zeros(num_frames, space.num_emotions)
    if track is None or coding == "none":
        return emotion
    labels = track.sample_frames(num_frames, fps)
    for name, strength in zip(track.space.names, labels.T, strict=True):
        if name in space.names:
            emotion[:, space.names.index(name)] = strength
        elif bool(strength.any()):
            raise UserError(
                f"Expected labels of {', '.join(space.names)} in '{store.path}', but it shows '{name}'; add it to "
                "data.emotion_names or leave the clip out."
            )
    return coded(emotion, coding)


def coded(emotion: Float[Tensor, "T N"], coding: EmotionCoding) -> Float[Tensor, "T N"]:
    """Labels in a coding: all strengths, only the strongest emotion at strength 1, or zeros."""
    if coding == "none":
        return torch.zeros_like(emotion)
    if coding == "one_hot":
        strongest = emotion.argmax(1, keepdim=True)
        shown = (emotion.gather(1, strongest) > 0).float()
        return torch.zeros_like(emotion).scatter_(1, strongest, shown)
    return emotion


_WINDOW_SECONDS = 1.0
"""Equivalent width of the windows: longer than a syllable or a blink."""
_FULL = 0.95
"""Quantile of an emotion's windows that counts as strength 1; robust to a single extreme."""
_RIDGE = 1.0
"""Added to the scatter of standardised coefficients, whose diagonal is 1, since short clips have fewer independent
windows than coefficients. On digital actors, 0.3 to 3 differ by 0.02 at most in rank correlation; with less, changes
of strength within a clip count as speech."""
_LEAST_SPREAD = 0.02
"""Least standard deviation of a coefficient, in its own unit, for the division."""


def measured_strengths(
    clips: Sequence[ExpressionClip],
    names: Sequence[str],
    fps: int | float,
    num_known: Sequence[int] | None = None,
) -> list[Float[Tensor, "_ N"]]:
    """Replace labels of strength 1 by the strength that is measured on the face.

    Each person and emotion is measured separately. Labels stay as they are if any clip of that person and emotion has a
    strength between 0 and 1, a mixture or a change. Without neutral clips of a person, coefficients of zero are their
    neutral face.

    Args:
        clips: Each with one emotion of strength 1 throughout, or neutral (zeros).
        names: Of the N emotions.
        fps: Frames a second.
        num_known: Number of frames at each clip's beginning that the measure is computed from, so that held-out frames
            are not used; None takes all.

    Returns:
        (T, N) for each clip, in [0, 1].

    Raises:
        UserError: The clips of an emotion do not differ from neutral ones.
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
    """The emotion whose strength is 1 throughout; ``_NEUTRAL``; or ``_GRADED`` for everything else."""
    if not bool(emotion.any()):
        return _NEUTRAL
    strongest = int(emotion[0].argmax())
    named = torch.zeros_like(emotion)
    named[:, strongest] = 1
    return strongest if torch.equal(emotion, named) else _GRADED


def average_windows(
    values: Float[Tensor, "T E"], is_valid: Bool[Tensor, " T"], fps: int | float
) -> Float[Tensor, "T E"]:
    """Means over a Hann window of about a second around each frame, over its valid frames.

    Without a valid frame in the window, the mean of all valid frames (zeros if there are none).
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


_UPPER_LIDS, _LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]
"""iBUG's."""
_PULSE_SECONDS = 0.06
"""Standard deviation of the pulse that represents a blink; a blink lasts about a quarter of a second."""
_OPEN_SECONDS, _OPEN_PERCENTILE = 2.0, 80
"""Window and percentile for the opening of the lids apart from blinks."""
_LEAST_CLOSING = 0.4
"""Least closing in a blink, relative to that opening."""
_LONGEST = 0.5
"""Seconds; a longer closing is not a blink."""


class LidGap:
    """The opening of a morphable model's lids, which is linear in the expressions."""

    def __init__(self, model: MorphableModel) -> None:
        """
        Args:
            model: The morphable model.
        """
        moved, rest = expression_displacements(model), model.template[None]
        self.slope, (self.at_rest,) = (
            points[:, _UPPER_LIDS].mean(1) - points[:, _LOWER_LIDS].mean(1)
            for points in (model.landmarks_3d(each)[..., 1] for each in (moved, rest))
        )

    def __call__(self, expressions: Float[Tensor, "T E"]) -> Float[Tensor, " T"]:
        """Height between the upper and the lower lids' edges, metres, mean of both eyes."""
        return expressions @ self.slope + self.at_rest


def blink_frames(gap: Float[Tensor, " T"], fps: float) -> Float[Tensor, " K"]:
    """The K of T frames at which the lids are most closed in a blink."""
    widths = gap.double().numpy()
    is_open = percentile_filter(widths, _OPEN_PERCENTILE, max(1, round(_OPEN_SECONDS * fps)), mode="nearest")
    closing = 1 - widths / np.maximum(is_open, 1e-6)
    peaks, _ = find_peaks(closing, prominence=_LEAST_CLOSING, height=_LEAST_CLOSING, width=(None, _LONGEST * fps))
    return torch.from_numpy(peaks).float()


def blink_pulses(frames: Float[Tensor, " K"], num_frames: int, fps: float) -> Float[Tensor, " T"]:
    """A pulse of height 1 around each blink: the network's input.

    Args:
        frames: Times of the blinks, in frames.
        num_frames: T.
        fps: Frames a second.
    """
    since = torch.arange(num_frames)[:, None] - frames
    bumps = torch.exp(-0.5 * (since / (_PULSE_SECONDS * fps)) ** 2)
    return bumps.amax(1) if len(frames) else torch.zeros(num_frames)


def pulse_frames(fps: float) -> float:
    """The area of one blink's pulse, frames."""
    return math.sqrt(2 * math.pi) * _PULSE_SECONDS * fps
