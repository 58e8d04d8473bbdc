"""Which frames a training should leave out, and why."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.doctor.measurements import FrameStatistics, interocular, runs

LOW_CONFIDENCE = 0.5
"""What detectors themselves take for a face."""
_RIGID = [27, 30, 33, 36, 39, 42, 45]
"""iBUG's nose and eye corners, which move with the head alone."""
_INNER = slice(17, 68)
MOST_HEAD_SPEED = 6.0
"""Inter-ocular distances a second, half a metre: heads that shake reach half of it, a cut or a detector that found
something else is beyond."""
MOST_SHAPE_SPEED = 3.0
"""The same for the mean landmark within the face; the fastest lips reach half of it."""
_MOST_OUTSIDE = 0.05
"""Of the landmarks."""
_BLURRED = 0.5
"""Of the clip's median sharpness; closed eyes and turned heads go down to 0.7."""
BLANK = 3.0
"""Levels of contrast: a black, white or grey picture."""
DUPLICATE = 0.03
"""Levels of change: compressed video of a still face changes by 0.05 and more from frame to frame."""
_FROZEN_FRAMES = 2
"""Duplicates in a row; a single one comes from a conversion of the frame rate, and is counted there."""


@dataclass(frozen=True)
class LeftOut:
    """A stretch of frames [first, last)."""

    first: int
    last: int
    reason: str


def frames_to_leave_out(
    landmarks: Float[Tensor, "T 68 2"],
    confidence: Float[Tensor, " T"],
    statistics: FrameStatistics,
    size: int,
    fps: float,
) -> list[LeftOut]:
    """All stretches, by time; a frame has one reason, the first of those below that holds.

    Args:
        landmarks: Pixels; those of frames without a face filled in.
        confidence: The detector's; 0 without a face.
        statistics: Of the pictures.
        size: Of the frames, pixels.
        fps: Frames a second.
    """
    seen = confidence > 0
    reasons = {
        "the picture cannot be read": statistics.unreadable,
        "the picture is black or blank": statistics.contrast < BLANK,
        "the picture is frozen": frozen(statistics.change),
        "no face was found": ~seen,
        "the detector is not sure": seen & (confidence < LOW_CONFIDENCE),
        "the landmarks jump: a cut, or another face": seen & _fast(landmarks, seen, fps),
        "the face changes its shape at once: a failure of the detector": seen & _reshaped(landmarks, seen, fps),
        "the face is cut by the frame's edge": seen & _is_cut(landmarks, size),
        "the picture is blurred": statistics.sharpness < _BLURRED * statistics.sharpness.nanmedian(),
    }
    taken = torch.zeros(len(seen), dtype=torch.bool)
    found = []
    for reason, flags in reasons.items():
        found += [LeftOut(first, last, reason) for first, last in runs(flags & ~taken)]
        taken |= flags
    return sorted(found, key=lambda part: part.first)


def as_flags(parts: list[LeftOut], num_frames: int) -> Bool[Tensor, " T"]:
    """Whether each frame is left out."""
    flags = torch.zeros(num_frames, dtype=torch.bool)
    for part in parts:
        flags[part.first : part.last] = True
    return flags


def frozen(change: Float[Tensor, " T"]) -> Bool[Tensor, " T"]:
    """Frames in a run of pictures equal to the one before."""
    flags = torch.zeros(len(change), dtype=torch.bool)
    for first, last in runs(change < DUPLICATE):
        if last - first >= _FROZEN_FRAMES:
            flags[first:last] = True
    return flags


def _fast(landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"], fps: float) -> Bool[Tensor, " T"]:
    points = landmarks[:, _RIGID]
    return _above(_steps(points, landmarks, seen).median(-1).values, MOST_HEAD_SPEED / fps)


def _reshaped(landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"], fps: float) -> Bool[Tensor, " T"]:
    points = landmarks[:, _INNER]
    points = points - points.mean(1, keepdim=True)
    return _above(_steps(points, landmarks, seen).mean(-1), MOST_SHAPE_SPEED / fps)


def _steps(
    points: Float[Tensor, "T n 2"], landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"]
) -> Float[Tensor, "steps n"]:
    """How far each point moves from frame to frame, in the clip's usual inter-ocular distance."""
    distance = interocular(landmarks)
    usual = distance[seen].median() if bool(seen.any()) else distance.new_tensor(1.0)
    return points.diff(dim=0).norm(dim=-1) / usual.clamp(min=1e-6)


def _above(steps: Float[Tensor, " steps"], most: float) -> Bool[Tensor, " T"]:
    return torch.nn.functional.pad(steps > most, (1, 0))


def _is_cut(landmarks: Float[Tensor, "T 68 2"], size: int) -> Bool[Tensor, " T"]:
    outside = (landmarks < -1) | (landmarks > size + 1)
    return outside.any(-1).float().mean(-1) > _MOST_OUTSIDE
