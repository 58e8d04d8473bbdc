"""MediaPipe's face landmarker (Tasks API): one frame → the faces in it.

Pixels: (0, 0) is the outer corner of the top-left pixel. MediaPipe uses that convention, but crops the face
with corner-aligned sampling: index i of its 256² input is index ``x0 + i·s`` of the frame (s source pixels for each
input pixel), which is (s − 1)/2 pixels from where its landmarks are placed. ``detect`` corrects this: upsampling a
frame twice then doubles its landmarks' coordinates (within 0.08 pixels in the mean; 0.44 before).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from readavatar.assets import get_asset
from readavatar.detection.landmark_sets import ARKIT_NAMES
from readavatar.errors import UserError
from readavatar.progress import track

NUM_LANDMARKS = 478
_NETWORK_INPUT_SIZE = 256
"""Pixels of the landmark network's square input."""
_CROP_MARGIN = 1.5
"""MediaPipe's crop is the square around the landmarks, enlarged by this."""
_TIMESTAMP_STEP = 40
"""Milliseconds between the timestamps for MediaPipe's tracker, which only have to increase."""


@dataclass(frozen=True)
class DetectedFace:
    """One face in one frame."""

    landmarks_2d: Float[np.ndarray, "478 2"]
    """Pixels."""
    blendshapes: Float[np.ndarray, " 52"]
    """In [0, 1], in the order of ``ARKIT_NAMES``."""
    head_to_camera: Float[np.ndarray, "4 4"]
    """MediaPipe's canonical head → its camera, centimetres; y up, the camera looks along −z."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the landmarks, pixels."""
        (left, top), (right, bottom) = self.landmarks_2d.min(0), self.landmarks_2d.max(0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


class FaceDetector:
    """A context manager around MediaPipe's face landmarker."""

    def __init__(
        self,
        *,
        video: bool = False,
        num_faces: int = 2,
        min_confidence: float = 0.5,
        model_path: str | Path | None = None,
    ) -> None:
        """
        Args:
            video: Track faces from frame to frame (steadier and faster) instead of detecting them in each one.
            num_faces: Largest number of faces; two are enough to notice a second person.
            min_confidence: Least confidence of a face.
            model_path: By default, the asset ``face_landmarker``.

        Raises:
            UserError: mediapipe or its model is missing.
        """
        self.video = video
        self.options = {
            "num_faces": num_faces,
            "min_face_detection_confidence": min_confidence,
            "min_face_presence_confidence": min_confidence,
            "min_tracking_confidence": min_confidence,
        }
        self.model_path = model_path
        self._landmarker = None
        self._num_frames = 0

    def __enter__(self) -> FaceDetector:
        mediapipe = _mediapipe()
        vision = mediapipe.tasks.vision
        # As bytes, since MediaPipe fails on some relative and non-ASCII paths.
        model = Path(self.model_path or get_asset("face_landmarker")).read_bytes()
        options = vision.FaceLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=model),
            running_mode=vision.RunningMode.VIDEO if self.video else vision.RunningMode.IMAGE,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
            **self.options,
        )
        self._image = lambda frame: mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
        with _quiet():
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
        return self

    def __exit__(self, *_: object) -> None:
        with _quiet():
            self._landmarker.close()
        self._landmarker = None

    def detect(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[DetectedFace]:
        """Detect the faces in an RGB frame, the largest first."""
        if self._landmarker is None:
            raise RuntimeError("Expected `detect` inside `with FaceDetector() as detector`.")
        image = self._image(np.ascontiguousarray(frame))
        if self._num_frames == 0:  # MediaPipe still prints messages with the first frame
            with _quiet():
                result = self._run(image)
        else:
            result = self._run(image)
        self._num_frames += 1
        height, width = frame.shape[:2]
        faces = [
            _detected_face(landmarks, blendshapes, matrix, width, height)
            for landmarks, blendshapes, matrix in zip(
                result.face_landmarks, result.face_blendshapes, result.facial_transformation_matrixes, strict=True
            )
        ]
        return sorted(faces, key=lambda face: face.area, reverse=True)

    def _run(self, image):
        if self.video:
            return self._landmarker.detect_for_video(image, self._num_frames * _TIMESTAMP_STEP)
        return self._landmarker.detect(image)


def detect_video(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], num_faces: int = 2, progress: bool | None = None
) -> Iterator[list[DetectedFace]]:
    """Detect and track the faces of a video, frame by frame.

    Args:
        frames: RGB.
        num_faces: Largest number of faces in a frame.
        progress: Draw a progress bar; by default only within ``progress_bars()``.
    """
    with FaceDetector(video=True, num_faces=num_faces) as detector:
        for frame in track(frames, "finding the face", enabled=progress):
            yield detector.detect(frame)


def _detected_face(landmarks, blendshapes, matrix, width: int, height: int) -> DetectedFace:
    points = np.array([[point.x * width, point.y * height] for point in landmarks], dtype=np.float32)
    crop_scale = _CROP_MARGIN * float(np.ptp(points, axis=0).max()) / _NETWORK_INPUT_SIZE
    weights = {category.category_name: category.score for category in blendshapes}
    return DetectedFace(
        landmarks_2d=points - np.float32((crop_scale - 1) / 2),
        blendshapes=np.array([weights[name] for name in ARKIT_NAMES], dtype=np.float32),
        head_to_camera=np.asarray(matrix, dtype=np.float32),
    )


def _mediapipe():
    try:
        with _quiet():
            import mediapipe
    except ImportError as error:
        raise UserError(
            f"Expected the package mediapipe for finding faces, but it is not installed ({error}); "
            "run pip install 'readavatar[tracking]'."
        ) from None
    _ignore_profiling_timer()
    return mediapipe


def _ignore_profiling_timer() -> None:
    """Keep MediaPipe's built-in profiler from ending the process.

    The library sometimes starts the profiling timer (seen with 1.2.2 when a second landmarker is created after other
    work) without a handler for its signal, which by default kills the process.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()  # Python can set handlers only there
    if hasattr(signal, "SIGPROF") and in_main_thread and signal.getsignal(signal.SIGPROF) == signal.SIG_DFL:
        signal.signal(signal.SIGPROF, signal.SIG_IGN)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide MediaPipe's C++ start-up messages, which ignore the log level."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "w") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
