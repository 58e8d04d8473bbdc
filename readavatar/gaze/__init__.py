"""Gaze in pictures: a trained expert for a loss, and an independent judge for tests."""

from readavatar.gaze.expert import (
    EXPERT_NAMES,
    FaceGazeNetwork,
    FacePlacement,
    GazeExpert,
    face_crops,
    load_gaze_expert,
    place_faces,
)
from readavatar.gaze.judge import detected_landmarks, gaze_error, iris_gaze, measure_gaze_error

__all__ = [
    "EXPERT_NAMES",
    "FaceGazeNetwork",
    "FacePlacement",
    "GazeExpert",
    "detected_landmarks",
    "face_crops",
    "gaze_error",
    "iris_gaze",
    "load_gaze_expert",
    "measure_gaze_error",
    "place_faces",
]
