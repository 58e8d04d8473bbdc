"""Gaze experts: read safely, frozen, and looking at the right square of the picture."""

from __future__ import annotations

import math

import pytest
import torch

from readavatar.assets import find_asset
from readavatar.errors import UserError
from readavatar.gaze import FaceGazeNetwork, FacePlacement, GazeExpert, face_crops, load_gaze_expert, place_faces
from readavatar.gaze.expert import ResNet18, load_eth_xgaze
from readavatar.media.video import read_video


def drawn_masks(size: int, centre: tuple[float, float], width: float, roll: float) -> tuple[torch.Tensor, torch.Tensor]:
    """An oval face and two oval eyes a fifth of its width above its centre, turned by ``roll``."""
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    right, down = x - centre[0], y - centre[1]
    u = (right * math.cos(roll) + down * math.sin(roll)) / width
    v = (down * math.cos(roll) - right * math.sin(roll)) / width
    eyes = ((u.abs() - 0.22) / 0.1) ** 2 + ((v + 0.2) / 0.05) ** 2 < 1
    face = (u / 0.5) ** 2 + (v / 0.65) ** 2 < 1
    return eyes[None, None].float(), face[None, None].float()


@pytest.mark.parametrize("size", [160, 256, 512])
def test_the_square_follows_the_face_in_size_place_and_roll(size):
    upright = place_faces(*drawn_masks(size, (size * 0.5, size * 0.5), size * 0.4, 0.0))
    moved = place_faces(*drawn_masks(size, (size * 0.6, size * 0.45), size * 0.3, 0.4))
    assert upright.visible.all() and moved.visible.all()
    torch.testing.assert_close(moved.side / upright.side, torch.tensor([0.75]), rtol=0.01, atol=0)
    torch.testing.assert_close(upright.roll, torch.zeros(1), atol=0.01, rtol=0)
    torch.testing.assert_close(moved.roll, torch.tensor([0.4]), atol=0.02, rtol=0)
    shift = (moved.centre - torch.tensor([0.6, 0.45]) * size) / (0.3 * size)
    back = (upright.centre - 0.5 * size) / (0.4 * size)
    turn = torch.tensor([[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]])
    torch.testing.assert_close(shift, back @ turn.T, atol=0.02, rtol=0)


def test_a_face_that_the_frame_cuts_or_whose_eyes_are_hidden_is_not_visible():
    eyes, face = drawn_masks(64, (32, 32), 30, 0.0)
    assert place_faces(eyes, face).visible.all()
    assert not place_faces(torch.zeros_like(eyes), face).visible.any()
    assert not place_faces(eyes[..., 20:], face[..., 20:]).visible.any()
    assert place_faces(eyes[..., :40, :], face[..., :40, :]).visible.all(), "the chin is not needed"


def test_a_crop_shows_what_the_square_holds_upright():
    size, roll, side = 128, 0.3, 60.0
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    image = torch.stack([x, y, 0 * x])[None] / size
    placement = FacePlacement(
        torch.tensor([[70.0, 58.0]]), torch.tensor([side]), torch.tensor([roll]), torch.tensor([True])
    )
    crop = face_crops(image, placement, 32)[0, :2] * size
    across = torch.tensor([math.cos(roll), math.sin(roll)])
    expected = (
        torch.tensor([70.0, 58.0])
        + (30.5 / 32 - 0.5) * side * across
        - (0.5 - 2.5 / 32) * side * torch.tensor([-math.sin(roll), math.cos(roll)])
    )
    torch.testing.assert_close(crop[:, 2, 30], expected, atol=0.01, rtol=0)


def test_a_much_larger_face_is_averaged_rather_than_sampled():
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    placement = FacePlacement(torch.full((1, 2), 128.0), torch.tensor([200.0]), torch.zeros(1), torch.tensor([True]))
    assert face_crops(noise, placement, 20).std() < 0.05 < face_crops(noise, placement, 200).std()


def test_a_checkpoint_is_read_by_its_own_names(tmp_path):
    network = ResNet18(num_outputs=2, width=4)
    torch.save({"model": network.state_dict()}, tmp_path / "tiny.pth")
    expert = load_eth_xgaze(tmp_path / "tiny.pth")
    faces = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(expert.network(faces), network.eval()(faces))


def test_what_is_not_a_checkpoint_is_refused_in_one_line(tmp_path):
    path = tmp_path / "wrong.pth"
    torch.save({"model": {"conv1.weight": torch.zeros(4, 3, 7, 7)}}, path)
    for content in (path.read_bytes(), b"", b"hello"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="Expected ETH-XGaze's ResNet-18") as caught:
            load_eth_xgaze(path)
        assert "\n" not in str(caught.value)


def test_missing_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path))
    monkeypatch.delenv("READAVATAR_ASSETS", raising=False)
    with pytest.raises(UserError, match="readavatar assets get eth_xgaze_resnet18"):
        load_gaze_expert("eth_xgaze")
    with pytest.raises(UserError, match="Expected a gaze expert of eth_xgaze"):
        load_gaze_expert("l2cs")


def test_an_expert_is_frozen_and_stays_in_evaluation():
    expert = FaceGazeNetwork(ResNet18(2, width=4), crop_size=64).train()
    assert isinstance(expert, GazeExpert)
    assert not expert.training and not expert.network.bn1.training
    assert not any(parameter.requires_grad for parameter in expert.parameters())


def test_xgaze_says_where_a_real_face_looks_and_mirrors_with_it(shared_data):
    if find_asset("eth_xgaze_resnet18") is None:
        pytest.skip("no ETH-XGaze weights here ('readavatar assets get eth_xgaze_resnet18')")
    frames = read_video(shared_data / "video" / "expression_12s_512.mp4", stop=1)
    image = torch.from_numpy(next(iter(frames)).copy()).permute(2, 0, 1)[None].float() / 255

    def gaze(picture: torch.Tensor, x: float) -> torch.Tensor:
        square = FacePlacement(torch.tensor([[x, 290.0]]), torch.tensor([308.0]), torch.zeros(1), torch.tensor([True]))
        return load_gaze_expert("eth_xgaze")(picture, square)[0].rad2deg()

    yaw, pitch = gaze(image, 274.0)
    mirrored_yaw, mirrored_pitch = gaze(image.flip(-1), 512 - 274.0)
    assert yaw < -5, "she looks past the camera, to her right"
    assert abs(yaw + mirrored_yaw) < 6 and abs(pitch - mirrored_pitch) < 6
