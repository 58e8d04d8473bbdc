"""Where the eyes of a picture look: a trained expert for a loss to follow, and a judge that shares nothing with it."""

from readavatar.gaze.expert import EXPERT_NAMES, FaceGazeNetwork, GazeExpert, load_gaze_expert
from readavatar.gaze.judge import detected_landmarks, gaze_error, iris_gaze, measure_gaze_error
from readavatar.gaze.placement import FacePlacement, face_crops, place_faces

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
