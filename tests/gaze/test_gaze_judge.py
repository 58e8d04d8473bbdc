"""The gaze judge: irises relative to the corners of the eyes."""

from __future__ import annotations

import math

import pytest
import torch

from readavatar.gaze import gaze_error, iris_gaze, measure_gaze_error
from readavatar.gaze.judge import EYE_WIDTH, PUPIL_RADIUS


def drawn_landmarks(yaw: float = 0.0, pitch: float = 0.0, opening: float = 0.3, roll: float = 0.0) -> torch.Tensor:
    """Two eyes 30 pixels wide whose pupils are turned, as MediaPipe's 478 landmarks."""
    points, width = torch.zeros(478, 2), 30.0
    reach = PUPIL_RADIUS / EYE_WIDTH * width
    offset = torch.tensor([reach * math.sin(yaw) * math.cos(pitch), -reach * math.sin(pitch)])
    for middle, corners, lids, iris in ((-30.0, (33, 133), (159, 145), 468), (30.0, (362, 263), (386, 374), 473)):
        centre = torch.tensor([middle, 0.0])
        points[corners[0]], points[corners[1]] = centre - torch.tensor([15.0, 0]), centre + torch.tensor([15.0, 0])
        points[lids[0]] = centre - torch.tensor([0, opening * width / 2])
        points[lids[1]] = centre + torch.tensor([0, opening * width / 2])
        points[iris] = centre + offset
    turn = torch.tensor([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    return (points @ turn.T + 100)[None]


@pytest.mark.parametrize("roll", [0.0, 0.5])
@pytest.mark.parametrize("yaw,pitch", [(0.3, 0.0), (-0.2, 0.1), (0.0, -0.25), (0.4, 0.3)])
def test_turned_pupils_have_their_angles_however_the_head_is_tilted(yaw, pitch, roll):
    gaze = iris_gaze(drawn_landmarks(yaw, pitch, roll=roll))
    torch.testing.assert_close(gaze, torch.tensor([[yaw, pitch]]), atol=1e-4, rtol=0)


def test_the_error_is_the_angle_between_two_gazes_and_zero_at_identity():
    straight = drawn_landmarks()
    assert gaze_error(straight, straight) == 0
    torch.testing.assert_close(gaze_error(drawn_landmarks(0.2), straight), torch.tensor([0.2]), atol=1e-4, rtol=0)
    both = gaze_error(drawn_landmarks(0.2, 0.2), straight)
    assert 0.2 < both < 0.4


def test_closed_eyes_look_nowhere():
    assert gaze_error(drawn_landmarks(0.2), drawn_landmarks(opening=0.05)).isnan().all()
    assert gaze_error(drawn_landmarks(0.2, opening=0.05), drawn_landmarks()).isfinite().all()


def test_real_frames_have_a_gaze_error_and_one_without_a_face_has_none(shared_data):
    pytest.importorskip("mediapipe")
    from readavatar.assets import find_asset
    from readavatar.media.video import read_video

    if find_asset("face_landmarker") is None:
        pytest.skip("no face_landmarker.task here ('readavatar assets get face_landmarker')")
    frames = list(read_video(shared_data / "video" / "expression_12s_512.mp4", stop=31))
    first, last = (torch.from_numpy(frames[index].copy()).permute(2, 0, 1).float() / 255 for index in (0, 30))
    same, other, none = measure_gaze_error(torch.stack([first, last, 0 * first]), torch.stack([first] * 3)).rad2deg()
    assert same == 0 and other > 5
    assert none.isnan()
