"""Contact sheets of the appearance scorecard: real and rendered faces, with close-ups of mouths and eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from readavatar.benchmarks.appearance.likeness import Moment, bounding_window, landmark_hull, mouth_window
from readavatar.data.raster.render_inputs import Window
from readavatar.detection.landmark_sets import to_landmarks_68
from readavatar.directing.report import write_contact_sheet

TILE = 256
"""Pixels of a picture's sides."""
DIFFERENCE_GAIN = 4.0
FACE_MARGIN = 0.15
"""Around the face's landmarks, as a share of their hull's size, so that the seam is visible."""
MOUTH_MARGIN = 1.25
"""Side of the square around a mouth, relative to the longer side of its box."""
EYES_MARGIN = 1.3
"""Side of the square around both eyes, relative to their width; it includes the brows."""
REAL = "real"
_EYES = slice(36, 48)


def write_painting_sheet(
    path: str | Path, moments: Sequence[Moment], painted: Mapping[str, Sequence[Float[Tensor, "3 H W"]]], fps: float
) -> None:
    """Draw a column for each moment: the real face, each painter's, 4 × the first one's difference, and the mouths.

    Args:
        path: The PNG.
        moments: The real frames.
        painted: By painter, each moment's first frame.
        fps: Of the clip.
    """
    real = [moment.frames[0] for moment in moments]
    first, ours = next(iter(painted.items()))
    difference = [(DIFFERENCE_GAIN * (a - b).abs()).clamp(0, 1) for a, b in zip(ours, real, strict=True)]
    faces = [face_square(moment.landmarks[0], *moment.frames.shape[-2:]) for moment in moments]
    mouths = [mouth_square(moment.landmarks[0], *moment.frames.shape[-2:]) for moment in moments]
    rows = [(name, images, faces) for name, images in ((REAL, real), *painted.items())]
    rows.append((f"{DIFFERENCE_GAIN:g} x |{first} - {REAL}|", difference, faces))
    rows += [(f"mouth, {name}", images, mouths) for name, images in ((REAL, real), *painted.items())]
    tiles, captions = [], []
    for name, images, windows in rows:
        tiles += [tile(image, window) for image, window in zip(images, windows, strict=True)]
        captions += [f"{name}, {moment.index / fps:.2f} s" for moment in moments]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_contact_sheet(path, tiles, captions, len(moments))


def write_driven_sheet(
    path: str | Path,
    rows: Sequence[Float[Tensor, "M 3 H W"]],
    landmarks: Sequence[Sequence[Float[Tensor, "L 2"] | None]],
    names: Sequence[str],
    seconds: Sequence[float],
) -> None:
    """Draw a column for each moment: the face in every row's clip, then the mouths and eyes of the last row.

    Args:
        path: The PNG.
        rows: The frames of each row.
        landmarks: Of each frame; None (no face) shows the whole frame.
        names: Of the rows.
        seconds: Times of the moments.
    """
    height, width = rows[0].shape[-2:]
    parts = [(names[index], index, face_square) for index in range(len(rows))]
    parts += [(f"{names[-1]}, {what}", -1, square) for what, square in (("mouth", mouth_square), ("eyes", eyes_square))]
    tiles, captions = [], []
    for name, index, square in parts:
        for frame, points, second in zip(rows[index], landmarks[index], seconds, strict=True):
            tiles.append(tile(frame, None if points is None else square(points, height, width)))
            captions.append(f"{name}, {second:.2f} s")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_contact_sheet(path, tiles, captions, len(rows[0]))


def tile(image: Float[Tensor, "3 H W"], window: Window | None = None) -> UInt8[np.ndarray, "256 256 3"]:
    """A square part of a picture, scaled to the size of a tile."""
    part = image if window is None else image[..., window.rows, window.columns]
    part = F.interpolate(part[None], (TILE, TILE), mode="bicubic", antialias=True, align_corners=False)[0]
    return (part.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def face_square(landmarks: Float[Tensor, "L 2"], height: int, width: int) -> Window:
    """The square around a face, clipped to the picture."""
    hull = bounding_window(landmark_hull(landmarks, height, width)[0])
    longer = max(hull.rows.stop - hull.rows.start, hull.columns.stop - hull.columns.start)
    return _square(hull, round((1 + 2 * FACE_MARGIN) * longer), height, width)


def mouth_square(landmarks: Float[Tensor, "L 2"], height: int, width: int) -> Window:
    """The square around a mouth."""
    mouth = mouth_window(landmarks, height, width)
    longer = max(mouth.rows.stop - mouth.rows.start, mouth.columns.stop - mouth.columns.start)
    return _square(mouth, round(MOUTH_MARGIN * longer), height, width)


def eyes_square(landmarks: Float[Tensor, "L 2"], height: int, width: int) -> Window:
    """The square around both eyes."""
    points = to_landmarks_68(landmarks)[_EYES].round().long()
    (left, top), (right, bottom) = points.amin(0).clamp(min=0).tolist(), points.amax(0).tolist()
    window = Window(slice(top, bottom + 1), slice(left, right + 1))
    return _square(window, round(EYES_MARGIN * (right - left + 1)), height, width)


def _square(window: Window, side: int, height: int, width: int) -> Window:
    side = min(side, height, width)
    spans = []
    for span, size in zip(window, (height, width), strict=True):
        start = min(max((span.start + span.stop - side) // 2, 0), size - side)
        spans.append(slice(start, start + side))
    return Window(*spans)
