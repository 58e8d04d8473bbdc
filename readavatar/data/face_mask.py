"""The part of a frame that is face, from its landmarks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull, QhullError

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
