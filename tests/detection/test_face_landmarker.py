"""The face detector, on real frames where they and its model are on this machine."""

from __future__ import annotations

import sys

import av
import numpy as np
import pytest

from readavatar.assets import find_asset
from readavatar.detection import LANDMARKS_68, FaceDetector, detect_video
from readavatar.errors import UserError


@pytest.fixture(scope="module")
def frame(shared_data) -> np.ndarray:
    pytest.importorskip("mediapipe")
    if find_asset("face_landmarker") is None:
        pytest.skip("no face_landmarker.task here ('readavatar assets get face_landmarker')")
    with av.open(str(shared_data / "video" / "emotion" / "W009_neutral_level1.mp4")) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_a_missing_package_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match=r"readavatar\[tracking\]"), FaceDetector(model_path=tmp_path / "any.task"):
        pass


def test_detecting_outside_the_context_is_refused():
    with pytest.raises(RuntimeError, match="with FaceDetector"):
        FaceDetector().detect(np.zeros((8, 8, 3), np.uint8))


def test_landmarks_lie_where_a_face_has_them(frame):
    with FaceDetector() as detector:
        (face,) = detector.detect(frame)
    points = face.landmarks_2d[list(LANDMARKS_68)]
    brows, eyes, nose, mouth = (
        points[part].mean(0) for part in (slice(17, 27), slice(36, 48), slice(31, 36), slice(48, 68))
    )
    assert brows[1] < eyes[1] < nose[1] < mouth[1] < points[8, 1]
    assert points[36, 0] < points[39, 0] < points[42, 0] < points[45, 0]
    assert face.blendshapes.min() >= 0 and face.blendshapes.max() <= 1
    assert face.head_to_camera[2, 3] < 0  # in front of a camera that looks along −z


def test_a_frame_twice_as_large_has_its_landmarks_at_twice_the_coordinates(frame):
    with FaceDetector() as detector:
        (face,), (large,) = detector.detect(frame), detector.detect(frame.repeat(2, 0).repeat(2, 1))
    assert np.abs((large.landmarks_2d - 2 * face.landmarks_2d).mean(0)).max() < 0.3


def test_two_faces_are_both_reported_the_larger_first(frame):
    small = np.zeros_like(frame)
    small[64:192, 64:192] = frame[::2, ::2]
    with FaceDetector() as detector:
        faces = detector.detect(np.concatenate([small, frame], 1))
    assert len(faces) == 2 and faces[0].box[0] > frame.shape[1] > faces[1].box[2]


def test_an_empty_frame_has_no_face(frame):
    assert [len(faces) for faces in detect_video([np.zeros_like(frame)] * 2)] == [0, 0]


def test_a_followed_face_stays_where_it_is(frame):
    first, *_, last = [faces[0].landmarks_2d for faces in detect_video([frame] * 4)]
    assert np.abs(first - last).max() < 3
