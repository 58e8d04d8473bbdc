"""Where painted eyes look, by a judge that no training follows: MediaPipe's irises."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from readavatar.detection import FaceDetector
from readavatar.gaze import gaze_error
from readavatar.gaze.judge import detected_landmarks

GAZE = "gaze: angle to the real"


def measure_gaze(
    detector: FaceDetector, painted: Mapping[str, Float[Tensor, "3 H W"]], real: Float[Tensor, "3 H W"]
) -> dict[str, float]:
    """How far the eyes of each painter's picture look from where the real one's do.

    Args:
        detector: Entered; every picture is judged by itself.
        painted: Whole frames in [0, 1], by painter.
        real: The footage of that moment.

    Returns:
        By painter, degrees; NaN where the real eyes are closed or a picture shows no face.
    """
    target = detected_landmarks(detector, real)
    angles = dict.fromkeys(painted, math.nan)
    for name, image in painted.items():
        found = None if target is None else detected_landmarks(detector, image)
        if found is not None:
            angles[name] = math.degrees(float(gaze_error(found[None], target[None])[0]))
    return angles
