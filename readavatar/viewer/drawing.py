"""Landmarks, lids and lines of sight drawn over frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from readavatar.viewer.points import FittedPoints, SeenPoints

FITTED, LIDS, SEEN, GAZE = (255, 70, 50), (255, 210, 40), (60, 255, 90), (80, 160, 255)
"""Colours of the fit's contours, its lids, the detector's points and the lines of sight."""
CONTOURS = (
    (range(17), False, FITTED),
    (range(17, 22), False, FITTED),
    (range(22, 27), False, FITTED),
    (range(27, 31), False, FITTED),
    (range(31, 36), False, FITTED),
    (range(36, 42), True, LIDS),
    (range(42, 48), True, LIDS),
    (range(48, 60), True, FITTED),
    (range(60, 68), True, FITTED),
)
"""Runs of iBUG landmarks that are lines on the face, and whether each is closed (Sagonas et al. 2013)."""
_SUPERSAMPLING = 2
_DOT = 0.0038
"""Radius of the detector's points, frame sides."""
_WIDTH = 0.004
"""Of lines, frame sides."""


def draw_points(
    image: UInt8[np.ndarray, "H W 3"], index: int, seen: SeenPoints, fitted: FittedPoints | None
) -> UInt8[np.ndarray, "H W 3"]:
    """One frame with the fit's contours and gaze (lines) and the detector's landmarks and irises (dots, rings).

    Where they agree the dots lie on the lines. A frame without a face gets a red border.

    Args:
        image: The frame, of any size.
        index: Which of the points' frames it is.
        seen: The detector's points.
        fitted: The fit's, if there is one.
    """
    size = image.shape[0] * _SUPERSAMPLING
    layer = Image.new("RGBA", (size, size))
    draw = ImageDraw.Draw(layer)
    width = max(1, round(_WIDTH * size))
    if fitted is not None:
        landmarks = _pixels(fitted.landmarks[index], size)
        for run, closed, colour in CONTOURS:
            line = [landmarks[place] for place in run]
            draw.line(line + line[:1] if closed else line, fill=colour, width=width, joint="curve")
        for pupil, end in zip(_pixels(fitted.pupils[index], size), _pixels(fitted.sight[index], size), strict=True):
            draw.line([pupil, end], fill=GAZE, width=width)
            _dot(draw, pupil, 1.5 * width, GAZE)
    if bool(seen.found[index]):
        for point in _pixels(seen.landmarks[index], size):
            _dot(draw, point, _DOT * size, SEEN)
        for iris in () if seen.irises is None else seen.irises[index]:
            centre, rim = iris[:1], iris[1:]
            (x, y), radius = _pixels(centre, size)[0], float((rim - centre).norm(dim=1).mean()) * size
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=SEEN, width=max(1, width // 2))
    else:
        draw.rectangle((0, 0, size - 1, size - 1), outline=FITTED, width=2 * width)
    picture = Image.fromarray(image).convert("RGBA")
    return np.asarray(Image.alpha_composite(picture, layer.reduce(_SUPERSAMPLING)).convert("RGB"))


def _pixels(points: Float[Tensor, "n 2"], size: int) -> list[tuple[float, float]]:
    # Pillow draws through pixel centres, which it counts from 0; ours lie at 0.5.
    return [tuple(point) for point in (points * size - 0.5).tolist()]


def _dot(draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, colour: tuple[int, int, int]) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
