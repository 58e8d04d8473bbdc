"""The square around a face: chosen once for a clip, cut out of every frame.

A crop that followed the face would add its own jitter to the head's motion and to every pixel; this one stands still.

The part of a frame that is face, from its landmarks.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from readavatar.data.store import Crop

ABOVE, BELOW, BESIDE = 0.45, 0.30, 0.35
"""Margins around the landmarks' box, in its heights (above: the rest of the forehead and the hair; below: the neck) and
its widths (beside: the ears)."""
OUTLIERS = 0.005
"""Of the frames, at each side; a few wrong landmarks must not widen the crop of a whole clip."""
STRETCH = 1.25
"""A crop is widened by up to this to be of just the clip's size, which spares a resampling."""
SIZE_STEP = 16
"""Pixels; a clip smaller than asked for has a size that is a multiple of this."""


def choose_crop(landmarks: Float[Tensor, "T L 2"], height: int, width: int, size: int) -> tuple[Crop, int]:
    """Choose a clip's crop and the size of its frames.

    Args:
        landmarks: Source pixels, in the frames that have a face.
        height: Of the source, pixels.
        width: Pixels.
        size: Wanted height and width of the clip's frames, pixels.

    Returns:
        The crop, on whole source pixels, in the source wherever the face allows it; and the frames' size: ``size``, or
        less where the crop has fewer pixels.
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
    # Rather less margin than pixels that the source has not; rather such pixels than half a face.
    side = max(min(side, height, width), round(face_side))
    x = _inside(round((left + right - side) / 2), side, width)
    y = _inside(round((top + bottom - side) / 2), side, height)
    if side < size:
        size = max(side // SIZE_STEP * SIZE_STEP, SIZE_STEP)
    return Crop(float(x), float(y), float(side)), size


def crop_frame(frame: UInt8[np.ndarray, "H W 3"], crop: Crop, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Cut the crop out of a source frame; beyond the source its edge is repeated. Downscaling is antialiased."""
    height, width = frame.shape[:2]
    left, top, side = round(crop.left), round(crop.top), round(crop.size)
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    padding = ((rows.start - top, top + side - rows.stop), (columns.start - left, left + side - columns.stop), (0, 0))
    square = np.pad(frame[rows, columns], padding, mode="edge")
    if side == size:
        return square
    # Pillow's box edges are pixels' outer corners, as `Crop` counts, and its filter widens as the picture shrinks.
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


def _inside(start: int, side: int, length: int) -> int:
    """The start nearest to ``start`` from which ``side`` lies in [0, length); centred where it is longer."""
    return min(max(start, 0), length - side) if side <= length else (length - side) // 2


FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""MediaPipe's outline of the face, clockwise in the image of a frontal face, from the top of the forehead."""
_TOP, _CHIN = 10, 152
FOREHEAD = 0.10
"""MediaPipe's outline ends below the hairline: its top is moved up by this, in heights of the face."""
_BROW = 0.65
"""Where the extension begins, in heights of the face above the chin."""
_SUPERSAMPLING = 4


def face_mask(landmarks_2d: Float[np.ndarray, "478 2"], size: int) -> UInt8[np.ndarray, "size size"]:
    """The landmarks' hull, extended over the forehead: 255 inside, with an antialiased edge.

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
    except QhullError:  # a face seen as a line has no inside
        return np.zeros((size, size), np.uint8)
    # Pillow draws through pixel centres, which it counts from 0; ours lie at 0.5.
    ImageDraw.Draw(large).polygon([tuple(point) for point in (hull * _SUPERSAMPLING - 0.5).tolist()], fill=255)
    return np.asarray(large.reduce(_SUPERSAMPLING))
