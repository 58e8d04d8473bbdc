"""Stage 1: video → the morphable model's coefficients, camera, lighting and gaze of every frame."""

from readavatar.tracking.module import TrackingModule
from readavatar.tracking.schedule import FitStage

__all__ = ["FitStage", "TrackingModule"]
