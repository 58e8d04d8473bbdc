"""The curves that a page shows."""

from __future__ import annotations

import torch

from readavatar.detection import ARKIT_NAMES
from readavatar.morphable.model import EXPRESSION_NAMES
from readavatar.rendering.camera import matrix_to_axis_angle
from readavatar.viewer.drawing import filled, jumps, openings
from readavatar.viewer.series import ACTIVE_IN_GROUP, OTHER, euler_angles, expression_series, worst_frames

NAN = torch.nan


def test_worst_frames_are_the_highest_that_lie_apart_and_never_unknown():
    values = torch.tensor([0.0, 5.0, 6.0, 4.0, NAN, 3.0, 1.0])
    assert worst_frames(values, count=3, apart=2) == [2, 5, 0]
    assert worst_frames(torch.tensor([NAN, NAN]), count=3, apart=1) == []


def test_the_most_active_expressions_of_a_group_come_first_and_are_shown():
    time = torch.linspace(0, 1, 20)
    names = ("jawOpen", "mouthLeft", "mouthRight", "mouthClose", "mouthFunnel", "blend_07")
    expressions = torch.stack([0.1 * time, 0.1 * time, 0.4 * time, 0.3 * time, 0.2 * time, time], 1)
    found = expression_series(expressions, names)
    mouth = [one.name for one in found if one.group == "mouth"]
    assert mouth == ["mouthRight", "mouthClose", "mouthFunnel", "mouthLeft"]
    assert [one.name for one in found if one.group == "mouth" and one.shown] == mouth[:ACTIVE_IN_GROUP]
    assert [one.name for one in found if one.group == OTHER] == ["blend_07"]


def test_an_expression_stands_beside_the_detectors_blendshape_of_its_name_and_the_truth():
    blendshapes = torch.rand(4, 52)
    truth = torch.rand(4, len(EXPRESSION_NAMES))
    found = {one.name: one for one in expression_series(torch.zeros_like(truth), EXPRESSION_NAMES, blendshapes, truth)}
    assert len(found) == len(EXPRESSION_NAMES)
    seen = found["mouthSmile_L"].references
    assert torch.equal(seen["detector"], blendshapes[:, ARKIT_NAMES.index("mouthSmileLeft")])
    assert torch.equal(seen["truth"], truth[:, EXPRESSION_NAMES.index("mouthSmile_L")])


def test_euler_angles_name_the_way_the_head_turns():
    angle = torch.tensor(0.3)
    sine, cosine, zero, one = angle.sin(), angle.cos(), torch.zeros(()), torch.ones(())
    to_the_left = torch.stack([cosine, zero, sine, zero, one, zero, -sine, zero, cosine]).view(1, 3, 3)
    up = torch.stack([one, zero, zero, zero, cosine, sine, zero, -sine, cosine]).view(1, 3, 3)
    aside = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one]).view(1, 3, 3)
    matrices = {"yaw": to_the_left, "pitch": up, "roll": aside}
    for name, matrix in matrices.items():
        found = euler_angles(matrix_to_axis_angle(matrix))
        for other, value in found.items():
            expected = torch.rad2deg(angle) if other == name else torch.zeros(())
            torch.testing.assert_close(value[0], expected, atol=1e-3, rtol=0)
    together = euler_angles(matrix_to_axis_angle(to_the_left @ up @ aside))
    torch.testing.assert_close(torch.cat(list(together.values())), torch.rad2deg(angle).expand(3), atol=1e-3, rtol=0)


def _landmarks(num_frames: int) -> torch.Tensor:
    landmarks = torch.rand(68, 2, generator=torch.Generator().manual_seed(0)).repeat(num_frames, 1, 1)
    landmarks[:, 36:42], landmarks[:, 42:48] = torch.tensor([0.3, 0.4]), torch.tensor([0.7, 0.4])
    return landmarks


def test_a_jump_is_a_frame_off_its_neighbours_way_not_a_steady_motion():
    landmarks = _landmarks(9) + torch.arange(9)[:, None, None] * 0.01
    assert jumps(landmarks)[1:-1].max() < 1e-3
    landmarks[4, 17:] += 0.04
    found = jumps(landmarks)
    assert int(found.nan_to_num(0).argmax()) == 4 and abs(float(found[4]) - 0.04 * 2**0.5 / 0.4 * 100) < 0.5
    assert bool(jumps(landmarks[:2]).isnan().all())


def test_openings_are_gaps_relative_to_the_eyes_distance():
    landmarks = _landmarks(2)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        landmarks[:, upper], landmarks[:, lower] = torch.tensor([0.5, 0.6]), torch.tensor([0.5, 0.6])
        landmarks[1, lower, 1] += 0.04
    torch.testing.assert_close(openings(landmarks)["lip gap"], torch.tensor([0.0, 10.0]), atol=1e-3, rtol=0)


def test_unseen_frames_take_their_neighbours_place():
    values = torch.tensor([[0.0], [9.0], [2.0]])
    assert filled(values, torch.tensor([True, False, True])).tolist() == [[0.0], [1.0], [2.0]]
    assert filled(values, torch.zeros(3, dtype=torch.bool)) is values
