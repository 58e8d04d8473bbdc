"""An independent judge of gaze for tests: MediaPipe's iris landmarks, which no gaze expert uses.

The pupil's position between the corners of its eye shows how far the eyeball is rotated. It also changes with the
head's rotation, so that the angles of two pictures can only be compared if the head is the same: a rendered and the
real frame.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.detection import IRIS_LEFT, IRIS_RIGHT, FaceDetector
from readavatar.progress import track

_CORNERS = ((33, 133), (362, 263))
"""MediaPipe's corners of the subject's right and left eye, each from the subject's right to its left."""
_LIDS = ((159, 145), (386, 374))
"""The middle of the upper and of the lower lid of each eye."""
_PUPILS = (IRIS_RIGHT[0], IRIS_LEFT[0])
EYE_WIDTH, PUPIL_RADIUS = 0.027, 0.0099
"""Metres: between the corners of MediaPipe's canonical eye, and from the eyeball's centre of rotation to the pupil
(13.5 mm behind the cornea's apex, minus an anterior chamber of 3.6 mm)."""
CLOSED = 0.12
"""Opening of the lids, in widths of the eye, below which an eye counts as closed; open ones have 0.25–0.4."""


def iris_gaze(landmarks_2d: Float[Tensor, "T 478 2"]) -> Float[Tensor, "T 2"]:
    """(yaw, pitch), mean of both eyes, relative to their corners: radians, yaw to the subject's left, pitch up.

    Args:
        landmarks_2d: MediaPipe's, pixels.
    """
    offsets = [_pupil_offset(landmarks_2d, pupil, corners) for pupil, corners in zip(_PUPILS, _CORNERS, strict=True)]
    turned = torch.stack(offsets).mean(0) * EYE_WIDTH / PUPIL_RADIUS
    right, up = turned[:, 0], -turned[:, 1]
    pitch = up.clamp(-1, 1).asin()
    return torch.stack([(right / pitch.cos().clamp(min=1e-3)).clamp(-1, 1).asin(), pitch], 1)


def eye_opening(landmarks_2d: Float[Tensor, "T 478 2"]) -> Float[Tensor, " T"]:
    """The lid opening of the eye that is open wider, in widths of the eye."""
    openings = []
    for (upper, lower), (start, end) in zip(_LIDS, _CORNERS, strict=True):
        height = (landmarks_2d[:, upper] - landmarks_2d[:, lower]).norm(dim=1)
        openings.append(height / (landmarks_2d[:, start] - landmarks_2d[:, end]).norm(dim=1).clamp(min=1e-6))
    return torch.stack(openings).amax(0)


def gaze_error(
    predicted_landmarks: Float[Tensor, "T 478 2"], target_landmarks: Float[Tensor, "T 478 2"]
) -> Float[Tensor, " T"]:
    """The angle between the two gazes, radians; NaN if the target's eyes are closed."""
    predicted, target = _direction(iris_gaze(predicted_landmarks)), _direction(iris_gaze(target_landmarks))
    # By half the chord, since the arc cosine is inaccurate at small angles.
    angle = 2 * ((predicted - target).norm(dim=1) / 2).clamp(max=1).asin()
    return angle.masked_fill(eye_opening(target_landmarks) < CLOSED, torch.nan)


def measure_gaze_error(
    rendered: Float[Tensor, "T 3 H W"],
    real: Float[Tensor, "T 3 H W"],
    description: str = "gaze",
    progress: bool | None = None,
) -> Float[Tensor, " T"]:
    """The angle between the gaze in each rendered frame and in the real one, radians.

    Every frame is detected on its own, without tracking.

    Args:
        rendered: Whole frames in [0, 1], with enough margin to detect the face.
        real: The footage at the same moments, with the same head pose.
        description: Text of the progress bar.
        progress: Draw one; by default only within ``progress_bars()``.

    Returns:
        The angle; NaN if the real eyes are closed or no face is detected.

    Raises:
        UserError: mediapipe or its model is missing.
    """
    errors = torch.full((len(real),), torch.nan)
    with FaceDetector() as detector:
        for index in track(range(len(real)), description, enabled=progress):
            ours, theirs = (detected_landmarks(detector, frames[index]) for frames in (rendered, real))
            if ours is not None and theirs is not None:
                errors[index] = gaze_error(ours[None], theirs[None])[0]
    return errors


def detected_landmarks(detector: FaceDetector, frame: Float[Tensor, "3 H W"]) -> Float[Tensor, "478 2"] | None:
    """The largest face's landmarks in a frame in [0, 1], pixels; None if there is no face."""
    pixels = (frame.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    faces = detector.detect(pixels.cpu().numpy())
    return torch.from_numpy(faces[0].landmarks_2d) if faces else None


def _pupil_offset(landmarks_2d: Float[Tensor, "T 478 2"], pupil: int, corners: tuple[int, int]) -> Float[Tensor, "T 2"]:
    """From the middle of the corners to the pupil: along their line and down, relative to their distance."""
    start, end = landmarks_2d[:, corners[0]], landmarks_2d[:, corners[1]]
    line, offset = end - start, landmarks_2d[:, pupil] - (start + end) / 2
    down = torch.stack([-line[:, 1], line[:, 0]], 1)
    squared = line.square().sum(1).clamp(min=1e-6)
    return torch.stack([(offset * line).sum(1), (offset * down).sum(1)], 1) / squared[:, None]


def _direction(gaze: Float[Tensor, "T 2"]) -> Float[Tensor, "T 3"]:
    yaw, pitch = gaze.double().unbind(1)
    return torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], 1).to(gaze.dtype)
