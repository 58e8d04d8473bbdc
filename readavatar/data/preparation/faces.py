"""The person's face in a video: which of the detected faces it is, the crop around it, and its mask.

The crop is chosen once for a clip: a crop that follows the face would add its own jitter to the head motion and to
every pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from readavatar.data.store import Crop
from readavatar.detection import ARKIT_NAMES, DetectedFace
from readavatar.errors import UserError
from readavatar.types import Landmarks

SMALL = 1 / 3
"""Relative to the person's size (root of the box's area): smaller faces are in the background, or in a picture."""
DUPLICATE_OVERLAP = 0.5
"""Intersection over union above which two boxes are the same face."""
STRAY_FRAMES = 0.01
"""Share of the frames; a second face in at most so many is a false detection."""
MOST_OUTSIDE = 0.25
"""Share of the landmarks; a face with more of them outside the picture is not reliable."""
MOST_MISSING = 0.5
"""Share of the frames; a clip that misses the face in more of them is refused."""


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
        name: Name of the video in messages.

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
    """Whether each frame has a face."""
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
    """Intersection over union of the boxes; for disjoint ones, minus their distance in units of ``b``'s size."""
    (a_left, a_top, a_right, a_bottom), (b_left, b_top, b_right, b_bottom) = a.box, b.box
    width = min(a_right, b_right) - max(a_left, b_left)
    height = min(a_bottom, b_bottom) - max(a_top, b_top)
    if width <= 0 or height <= 0:
        return min(width, height) / max(b.area, 1e-6) ** 0.5
    return width * height / (a.area + b.area - width * height)


def _fraction_outside(face: DetectedFace, height: int, width: int) -> float:
    outside = (face.landmarks_2d < 0).any(1) | (face.landmarks_2d > np.array([width, height])).any(1)
    return float(outside.mean())


ABOVE, BELOW, BESIDE = 0.45, 0.30, 0.35
"""Margins around the landmarks' box, relative to its height (above: forehead and hair; below: neck) and its width
(beside: ears)."""
OUTLIERS = 0.005
"""Share of the frames that is ignored at each side, since a few wrong landmarks must not enlarge the crop."""
STRETCH = 1.25
"""A crop is enlarged by up to this factor to the exact size of the clip, which avoids resampling."""
SIZE_STEP = 16
"""Pixels; a clip that is smaller than requested has a size that is a multiple of this."""


def choose_crop(landmarks: Float[Tensor, "T L 2"], height: int, width: int, size: int) -> tuple[Crop, int]:
    """Choose a clip's crop and the size of its frames.

    Args:
        landmarks: Source pixels, of the frames with a face.
        height: Of the source, pixels.
        width: Pixels.
        size: Requested height and width of the clip's frames, pixels.

    Returns:
        The crop, in whole source pixels and inside the source if the face allows it; and the frames' size: ``size``, or
        less if the crop has fewer pixels.
    """
    lower, upper = landmarks.amin(1).double(), landmarks.amax(1).double()
    face_width, face_height = (upper - lower).median(0).values.tolist()
    left, top = torch.quantile(lower, OUTLIERS, dim=0).tolist()
    right, bottom = torch.quantile(upper, 1 - OUTLIERS, dim=0).tolist()
    face_side = max(right - left, bottom - top)
    left, right = left - BESIDE * face_width, right + BESIDE * face_width
    top, bottom = top - ABOVE * face_height, bottom + BELOW * face_height
    side = round(max(right - left, bottom - top))
    if side < size <= STRETCH * side:
        side = size
    # A smaller margin is better than pixels outside the source; pixels outside are better than half a face.
    side = max(min(side, height, width), round(face_side))
    x = _inside(round((left + right - side) / 2), side, width)
    y = _inside(round((top + bottom - side) / 2), side, height)
    if side < size:
        size = max(side // SIZE_STEP * SIZE_STEP, SIZE_STEP)
    return Crop(float(x), float(y), float(side)), size


def crop_frame(frame: UInt8[np.ndarray, "H W 3"], crop: Crop, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Crop and resize a source frame; outside the source its edge is repeated. Downscaling is antialiased."""
    height, width = frame.shape[:2]
    left, top, side = round(crop.left), round(crop.top), round(crop.size)
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    padding = ((rows.start - top, top + side - rows.stop), (columns.start - left, left + side - columns.stop), (0, 0))
    square = np.pad(frame[rows, columns], padding, mode="edge")
    if side == size:
        return square
    # Pillow's boxes use the outer corners of pixels, like `Crop`, and its filter becomes wider when it downscales.
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


def _inside(start: int, side: int, length: int) -> int:
    """The start nearest to ``start`` from which ``side`` lies in [0, length); centred if it is longer."""
    return min(max(start, 0), length - side) if side <= length else (length - side) // 2


FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""MediaPipe's outline of the face, clockwise in the image of a frontal face, from the top of the forehead."""
_TOP, _CHIN = 10, 152
FOREHEAD = 0.10
"""MediaPipe's outline ends below the hairline: its top is moved up by this share of the face's height."""
_BROW = 0.65
"""The extension begins at this share of the face's height above the chin."""
_SUPERSAMPLING = 4


def face_mask(landmarks_2d: Float[np.ndarray, "478 2"], size: int) -> UInt8[np.ndarray, "size size"]:
    """The hull of the landmarks, extended over the forehead: 255 inside, with an antialiased edge.

    Args:
        landmarks_2d: MediaPipe's, in pixels of the clip's frames.
        size: Of the frames, pixels.
    """
    up = landmarks_2d[_TOP] - landmarks_2d[_CHIN]
    outline = landmarks_2d[list(FACE_OVAL)]
    elevation = (outline - landmarks_2d[_CHIN]) @ up / max(float(up @ up), 1e-6)
    lift = FOREHEAD * np.clip((elevation - _BROW) / (1 - _BROW), 0, 1)
    points = np.concatenate([landmarks_2d, outline + lift[:, None] * up])
    large = Image.new("L", (size * _SUPERSAMPLING, size * _SUPERSAMPLING))
    try:
        hull = points[ConvexHull(points).vertices]
    except QhullError:  # all landmarks are on a line
        return np.zeros((size, size), np.uint8)
    # Pillow's pixel centres are at 0, ours at 0.5.
    ImageDraw.Draw(large).polygon([tuple(point) for point in (hull * _SUPERSAMPLING - 0.5).tolist()], fill=255)
    return np.asarray(large.reduce(_SUPERSAMPLING))
