"""Which of the faces that a detector finds is the person's, in every frame of a video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from readavatar.detection import ARKIT_NAMES, DetectedFace
from readavatar.errors import UserError
from readavatar.types import Landmarks

SMALL = 1 / 3
"""Of the person's size (the root of the box's area): a smaller face is somebody in the background, or a picture."""
DUPLICATE_OVERLAP = 0.5
"""Intersection over union above which two boxes are one face found twice."""
STRAY_FRAMES = 0.01
"""Of the frames; a second face in no more of them is the detector's mistake."""
MOST_OUTSIDE = 0.25
"""Of the landmarks; a face with more of them outside the picture was guessed there."""
MOST_MISSING = 0.5
"""Of the frames; a clip with fewer faces than that is not one of a person who talks to the camera."""


@dataclass(frozen=True)
class Selection:
    """The person's face in every frame."""

    landmarks: Landmarks
    """In pixels of the video; confidence 0 where the person's face was not found."""
    rejected: dict[str, list[int]]
    """Frames without the face, by reason."""


def select_person(
    frames: Iterable[list[DetectedFace]], height: int, width: int, fps: float | int, name: str
) -> Selection:
    """Follow one person's face through a video.

    Args:
        frames: The detector's faces, frame by frame.
        height: Of the video, pixels.
        width: Pixels.
        fps: Frames a second, for messages.
        name: What to call the video in messages.

    Raises:
        UserError: There is no face, there are two people, or the face is missing in over half of the frames.
    """
    candidates = [_without_duplicates(faces) for faces in frames]
    num_frames = len(candidates)
    sizes = [max(face.area for face in faces) ** 0.5 for faces in candidates if faces]
    if not sizes:
        raise UserError(
            f"Expected one face in '{name}', but none was found in its {num_frames} frames; give a video of one person."
        )
    usual_size = float(np.median(sizes))
    people = [[face for face in faces if face.area**0.5 >= SMALL * usual_size] for faces in candidates]
    crowded = [index for index, faces in enumerate(people) if len(faces) > 1]
    if len(crowded) > STRAY_FRAMES * num_frames:
        raise UserError(
            f"Expected one person in '{name}', but {len(crowded)} of {num_frames} frames show two or more faces "
            f"({describe_times(crowded, fps)}); cut or crop the video so that one is in it."
        )
    rejected: dict[str, list[int]] = {}
    chosen: list[DetectedFace | None] = []
    last: DetectedFace | None = None
    for index, faces in enumerate(people):
        face = max(faces, key=lambda face: face.area if last is None else _overlap(face, last), default=None)
        reason = None
        if face is None:
            reason = "only a much smaller face" if candidates[index] else "no face"
        elif _fraction_outside(face, height, width) > MOST_OUTSIDE:
            reason = "the face lies partly outside the picture"
        if reason is None:
            last = face
        else:
            rejected.setdefault(reason, []).append(index)
        chosen.append(face if reason is None else None)
    num_missing = sum(map(len, rejected.values()))
    if num_missing > MOST_MISSING * num_frames:
        reasons = "; ".join(f"{reason}: {len(indices)}" for reason, indices in rejected.items())
        raise UserError(
            f"Expected a face in most frames of '{name}', but it is missing in {num_missing} of {num_frames} "
            f"({reasons}); cut the video to where the person is seen."
        )
    return Selection(_landmarks(chosen), rejected)


def describe_times(indices: list[int], fps: float | int, most: int = 5) -> str:
    """Frames as times: ``1.2–3.4 s, 5.0 s``."""
    runs = np.split(np.array(indices), np.flatnonzero(np.diff(indices) > 1) + 1)
    spans = [
        f"{run[0] / fps:.1f} s" if len(run) == 1 else f"{run[0] / fps:.1f}–{(run[-1] + 1) / fps:.1f} s" for run in runs
    ]
    return ", ".join(spans[:most]) + (f" and {len(spans) - most} more times" if len(spans) > most else "")


def is_found(landmarks: Landmarks) -> Bool[Tensor, " T"]:
    """Where there is a face."""
    return landmarks.landmark_confidence > 0


def _landmarks(faces: list[DetectedFace | None]) -> Landmarks:
    num_frames = len(faces)
    num_landmarks = next(len(face.landmarks_2d) for face in faces if face is not None)
    landmarks_2d = torch.zeros(num_frames, num_landmarks, 2)
    blendshapes = torch.zeros(num_frames, len(ARKIT_NAMES))
    head_to_camera = torch.eye(4).repeat(num_frames, 1, 1)
    confidence = torch.zeros(num_frames)
    for index, face in enumerate(faces):
        if face is not None:
            landmarks_2d[index] = torch.from_numpy(face.landmarks_2d)
            blendshapes[index] = torch.from_numpy(face.blendshapes)
            head_to_camera[index] = torch.from_numpy(face.head_to_camera)
            confidence[index] = 1
    return Landmarks(landmarks_2d, confidence, blendshapes, head_to_camera)


def _without_duplicates(faces: list[DetectedFace]) -> list[DetectedFace]:
    kept: list[DetectedFace] = []
    for face in sorted(faces, key=lambda face: face.area, reverse=True):
        if all(_overlap(face, other) < DUPLICATE_OVERLAP for other in kept):
            kept.append(face)
    return kept


def _overlap(a: DetectedFace, b: DetectedFace) -> float:
    """Intersection over union of the boxes; disjoint ones: minus their distance in sizes of ``b``."""
    (a_left, a_top, a_right, a_bottom), (b_left, b_top, b_right, b_bottom) = a.box, b.box
    width = min(a_right, b_right) - max(a_left, b_left)
    height = min(a_bottom, b_bottom) - max(a_top, b_top)
    if width <= 0 or height <= 0:
        return min(width, height) / max(b.area, 1e-6) ** 0.5
    return width * height / (a.area + b.area - width * height)


def _fraction_outside(face: DetectedFace, height: int, width: int) -> float:
    outside = (face.landmarks_2d < 0).any(1) | (face.landmarks_2d > np.array([width, height])).any(1)
    return float(outside.mean())
