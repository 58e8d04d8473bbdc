"""The offset between a clip's picture and its sound, in frames.

For each candidate offset, a ridge regression predicts the lips from the sound: it is trained on four fifths of a window
and tested on the held-out fifth. Sound and lips that belong together give a high held-out correlation r. No model is
trained in advance, so that the measure does not depend on the language, voice or face. The evidence
−½ log(1 − r²) (nats for each frame) is that of a Gaussian channel from sound to lips. It is summed over three curves of
the lips (opening, its speed, width), averaged over the kinds of speech features, and summed over the windows of a long
clip. The regression gets the features of one frame only: with those of neighbouring frames it could compensate an
offset by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.doctor.measurements import lip_opening, lip_width
from readavatar.metrics import peak_margin, peak_position

MAX_OFFSET = 15
"""Largest offset that is searched, frames to either side."""
WINDOW_SECONDS, MOST_WINDOWS = 20.0, 6
"""A longer clip is measured in windows, at most so many, spread evenly."""
LEAST_SECONDS = 4.0
"""With less, the held-out fifth is too short."""
LEAST_MARGIN = 36.0
"""Least evidence of the peak above the next best offset, nats. With a wrong or reversed sound, windows of 5 to 20 s
reached at most 29 in 87 trials; with their own sound, 90 % of the windows of 10 s reach 55 and half of those of 5 s
40."""
MOST_SPREAD = 2.0
"""Largest difference between a long clip's windows, frames; more is a drift, which no shift can correct."""
_PEAK_HALF_WIDTH = 4
"""Frames to either side that belong to the peak."""
_FOLDS = 5
_FOLD_GAP = 0.32
"""Seconds left out beside a held-out part, since its neighbours have similar lips."""
_RIDGE = 2.0
"""Relative to a feature's variance, times the number of components."""
_COMPONENTS = 64
"""Number of principal components of the features: as accurate as all features, and much faster."""
_TREND_SECONDS = 2.0
"""Slower motion of the lips (a smile, a head turn) is removed, since it does not depend on the sound."""


@dataclass(frozen=True)
class AudioOffset:
    """The result of a measurement."""

    frames: float
    """By how many frames the picture is late; negative if the sound is late."""
    evidence: Float[Tensor, " offsets"]
    """Nats at each offset from −``MAX_OFFSET`` to ``MAX_OFFSET``."""
    margin: float
    """Evidence of the peak above the best other offset, nats."""
    windows: tuple[float, ...]
    """Each window's own offset, frames."""

    @property
    def spread(self) -> float:
        """Largest distance between the windows' offsets, frames."""
        return max(self.windows) - min(self.windows)

    @property
    def is_sure(self) -> bool:
        """Whether the peak is significant and the same throughout the clip."""
        return self.margin >= LEAST_MARGIN and self.spread <= MOST_SPREAD


def lip_curves(landmarks: Float[Tensor, "T 68 2"], fps: float) -> Float[Tensor, "T 3"]:
    """Opening, its speed, and width of the lips, in inter-ocular distances, without slow motion."""
    opening, width = (_without_trend(curve, fps) for curve in (lip_opening(landmarks), lip_width(landmarks)))
    kernel = torch.tensor([[[0.25, 0.5, 0.25]]], dtype=opening.dtype)
    smooth = F.conv1d(F.pad(opening[None, None], (1, 1), mode="replicate"), kernel)[0, 0]
    speed = F.pad((opening[2:] - opening[:-2]) / 2, (1, 1))
    return torch.stack([smooth, speed, width], 1)


def with_change(features: Float[Tensor, "T D"]) -> Float[Tensor, "T 2*D"]:
    """Features and their change from frame to frame, for an encoder whose frames are shorter than the video's."""
    return torch.cat([features, F.pad((features[2:] - features[:-2]) / 2, (0, 0, 1, 1))], 1)


def measure_audio_offset(
    kinds: Sequence[Float[Tensor, "T _"]],
    curves: Float[Tensor, "T 3"],
    seen: Bool[Tensor, " T"],
    fps: float,
    tick: Callable[[float], None] = lambda share: None,
) -> AudioOffset | None:
    """Measure a clip's offset.

    Args:
        kinds: One or more kinds of speech features of every frame.
        curves: From ``lip_curves``.
        seen: Frames with a face.
        fps: Frames per second.
        tick: Called with the share that is done.

    Returns:
        None if the clip is too short or its lips do not move.
    """
    num_frames = len(curves)
    if num_frames < LEAST_SECONDS * fps or num_frames < 4 * MAX_OFFSET or bool((curves[seen].std(0) < 1e-4).any()):
        return None
    starts, length = _windows(num_frames, fps)
    total, own = torch.zeros(2 * MAX_OFFSET + 1), []
    for number, start in enumerate(starts):
        part = slice(start, start + length)
        found = [_evidence(features[part], curves[part], seen[part], fps) for features in kinds]
        evidence = torch.stack(found).mean(0)
        total += evidence
        own.append(peak_position(evidence) - MAX_OFFSET)
        tick((number + 1) / len(starts))
    margin = peak_margin(total, _PEAK_HALF_WIDTH)
    return AudioOffset(peak_position(total) - MAX_OFFSET, total, margin, tuple(own))


def _windows(num_frames: int, fps: float) -> tuple[list[int], int]:
    length = min(num_frames, round(WINDOW_SECONDS * fps))
    count = min(MOST_WINDOWS, round(num_frames / length))
    return torch.linspace(0, num_frames - length, count).round().int().tolist() if count > 1 else [0], length


def _evidence(
    features: Float[Tensor, "n D"], curves: Float[Tensor, "n 3"], seen: Bool[Tensor, " n"], fps: float
) -> Float[Tensor, " offsets"]:
    features = _principal_components(features)
    result = []
    for offset in range(-MAX_OFFSET, MAX_OFFSET + 1):
        frames = torch.arange(max(0, -offset), len(curves) - max(0, offset))
        frames = frames[seen[frames + offset]]
        if len(frames) < 2 * _FOLDS:
            return torch.zeros(2 * MAX_OFFSET + 1)
        correlation = _held_out_correlation(features[frames], curves[frames + offset], round(_FOLD_GAP * fps))
        result.append(-0.5 * len(frames) * torch.log1p(-correlation.clamp(0, 0.999).square()).sum())
    return torch.stack(result)


def _held_out_correlation(
    features: Float[Tensor, "n D"], curves: Float[Tensor, "n 3"], gap: int
) -> Float[Tensor, " 3"]:
    """Correlation of the curves with their prediction for each fold from the others."""
    count, dimensions = features.shape
    predicted = torch.zeros_like(curves)
    ridge = _RIDGE * dimensions * torch.eye(dimensions)
    index = torch.arange(count)
    bounds = [round(count * fold / _FOLDS) for fold in range(_FOLDS + 1)]
    for first, last in itertools.pairwise(bounds):
        kept = index[(index < first - gap) | (index >= last + gap)]
        known, target = features[kept], curves[kept]
        mean, level = known.mean(0), target.mean(0)
        known = known - mean
        weights = torch.linalg.solve(known.T @ known + ridge, known.T @ (target - level))
        predicted[first:last] = (features[first:last] - mean) @ weights + level
    predicted, curves = predicted - predicted.mean(0), curves - curves.mean(0)
    power = predicted.square().sum(0) * curves.square().sum(0)
    return (predicted * curves).sum(0) / power.sqrt().clamp(min=1e-9)


def _principal_components(features: Float[Tensor, "n D"]) -> Float[Tensor, "n K"]:
    """Principal components of the standardised features, with their variances, so that a ridge has the same meaning."""
    scaled = (features - features.mean(0)) / features.std(0).clamp(min=1e-4)
    if scaled.shape[1] <= _COMPONENTS:
        return scaled
    left, size, _ = torch.linalg.svd(scaled, full_matrices=False)
    return left[:, :_COMPONENTS] * size[:_COMPONENTS]


def _without_trend(curve: Float[Tensor, " T"], fps: float) -> Float[Tensor, " T"]:
    length = 2 * round(_TREND_SECONDS * fps / 2) + 1
    padded = F.pad(curve[None, None], (length // 2, length // 2), mode="replicate")
    return curve - F.avg_pool1d(padded, length, 1)[0, 0]
