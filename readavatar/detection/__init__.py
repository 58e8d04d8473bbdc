"""Face detection: images → landmarks, blendshapes and head pose, by MediaPipe's face landmarker."""

from readavatar.detection.face_landmarker import DetectedFace, FaceDetector, detect_video
from readavatar.detection.landmark_sets import ARKIT_NAMES, IRIS_LEFT, IRIS_RIGHT, LANDMARKS_68, to_landmarks_68

__all__ = [
    "ARKIT_NAMES",
    "IRIS_LEFT",
    "IRIS_RIGHT",
    "LANDMARKS_68",
    "DetectedFace",
    "FaceDetector",
    "detect_video",
    "to_landmarks_68",
]
