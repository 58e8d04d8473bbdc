"""Stage 1: video → the morphable model's coefficients, camera, light and gaze of every frame."""

from readavatar.tracking.module import TrackingModule
from readavatar.tracking.stages import Stage

__all__ = ["Stage", "TrackingModule"]
