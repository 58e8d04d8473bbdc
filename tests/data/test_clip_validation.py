"""A clip store takes and gives nothing that is of another shape, length or unit, and says which in one line."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.errors import UserError
from readavatar.types import FaceCoefficients, Landmarks, TrackedFace, default_camera

T, SIZE = 6, 16


def landmarks(num_frames=T):
    return Landmarks(
        SIZE * torch.rand(num_frames, 68, 2),
        torch.ones(num_frames),
        torch.rand(num_frames, 52),
        torch.eye(4).repeat(num_frames, 1, 1),
    )


def face(num_frames=T, size=SIZE):
    zeros = torch.zeros(num_frames, 3)
    coefficients = FaceCoefficients(torch.zeros(4), torch.rand(num_frames, 2), zeros, zeros, torch.zeros(num_frames, 2))
    lighting, albedo = torch.zeros(num_frames, 9, 3), torch.rand(3, 4, 4)
    return TrackedFace(coefficients, default_camera(size, size), lighting, albedo, "builtin", ("jawOpen", "mouthClose"))


@pytest.fixture
def store(tmp_path):
    with writing_clip_store(tmp_path / "jane") as writer:
        for _ in range(T):
            writer.add_frame(np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8))
        writer.write_landmarks(landmarks())
        writer.write_waveform(torch.zeros(T * 640))
        writer.finish(ClipInfo(T, "25", SIZE, None, "jane", None, SIZE, SIZE, Crop(0.0, 0.0, 16.0), has_audio=True))
    store = ClipStore(tmp_path / "jane")
    store.write_tracking(face())
    return store


def rewrite(path, change):
    """Change a tensor file as a broken step would: without the writer's checks."""
    with safetensors.safe_open(path, framework="pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    path.write_bytes(safetensors.torch.save(change(tensors), metadata))


def refusal(action):
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert message.startswith("Expected") and "\n" not in message
    return message


BROKEN_LANDMARKS = {
    "landmarks_2d": [
        lambda x: x[:-1],
        lambda x: x[:, :67],
        lambda x: x[..., :1],
        lambda x: x * float("nan"),
        lambda x: x * 1e4,
        lambda x: x.long(),
    ],
    "landmark_confidence": [lambda x: x[:-1], lambda x: x * 255, lambda x: x - 2],
    "blendshapes": [lambda x: x[:, :51], lambda x: x[:3], lambda x: x * 100],
    "head_to_camera": [lambda x: x[:, :3], lambda x: x / 0],
}
BROKEN_FACE = {
    "expression_coefficients": [lambda x: x[:-1], lambda x: x[:, :1], lambda x: x * float("inf")],
    "rotation": [lambda x: x[:-1], lambda x: x + 20, lambda x: x[:, :2]],
    "translation": [lambda x: x[:2]],
    "gaze": [lambda x: x + 30, lambda x: x[:, :1]],
    "lighting": [lambda x: x[:, :4], lambda x: x[:-1]],
    "albedo": [lambda x: x[:2], lambda x: x * float("nan")],
    "intrinsics": [lambda x: -x, lambda x: x[:2]],
    "world_to_camera": [lambda x: x[:3]],
}


def cases(broken):
    return [
        pytest.param(name, change, id=f"{name}-{i}") for name, ways in broken.items() for i, change in enumerate(ways)
    ]


@pytest.mark.parametrize(("name", "change"), cases(BROKEN_LANDMARKS))
def test_broken_landmarks_are_refused_on_reading(store, name, change):
    rewrite(store.path / "landmarks.safetensors", lambda tensors: {**tensors, name: change(tensors[name]).contiguous()})
    message = refusal(store.landmarks)
    assert name in message and "landmarks.safetensors" in message and "prepare the clip again" in message


@pytest.mark.parametrize(("name", "change"), cases(BROKEN_FACE))
def test_a_broken_fit_is_refused_on_reading(store, name, change):
    rewrite(store.path / "tracking.safetensors", lambda tensors: {**tensors, name: change(tensors[name]).contiguous()})
    message = refusal(store.tracking)
    assert name in message and "tracking.safetensors" in message and "readavatar fit" in message


@pytest.mark.parametrize("file", ["landmarks", "tracking"])
def test_a_tensor_that_is_missing_is_named(store, file):
    path = store.path / f"{file}.safetensors"
    name = "blendshapes" if file == "landmarks" else "gaze"
    rewrite(path, lambda tensors: {key: value for key, value in tensors.items() if key != name})
    assert f"`{name}`" in refusal(getattr(store, file))


def test_a_fit_without_its_description_is_one_line(store):
    path = store.path / "tracking.safetensors"
    path.write_bytes(safetensors.torch.save(safetensors.torch.load_file(path)))
    assert "description" in refusal(store.tracking)


def test_a_fit_for_frames_of_another_size_is_refused(store):
    assert "16×16" in refusal(lambda: store.write_tracking(face(size=32)))


def test_broken_landmarks_are_refused_on_writing_and_the_earlier_ones_stay(store):
    before = store.landmarks()
    broken = dataclasses.replace(before, landmarks_2d=before.landmarks_2d * float("nan"))
    assert "finite `landmarks_2d`" in refusal(lambda: store.write_landmarks(broken))
    assert "6 frames" in refusal(lambda: store.write_landmarks(landmarks(T + 1)))
    assert torch.equal(store.landmarks().landmarks_2d, before.landmarks_2d)


def test_landmarks_for_another_number_of_frames_never_make_a_store(tmp_path):
    with pytest.raises(UserError, match="2 frames"), writing_clip_store(tmp_path / "jane") as writer:
        writer.write_landmarks(landmarks(3))
        for _ in range(2):
            writer.add_frame(np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8))
        writer.finish(ClipInfo(2, "25", SIZE, None, "jane", None, SIZE, SIZE, Crop(0.0, 0.0, 16.0), has_audio=False))
    assert not (tmp_path / "jane").exists()


@pytest.mark.parametrize("waveform", [torch.zeros(0), torch.tensor([0.0, float("nan")])])
def test_a_sound_that_is_none_is_refused_on_writing(tmp_path, waveform):
    with pytest.raises(UserError, match=r"audio\.wav"), writing_clip_store(tmp_path / "jane") as writer:
        writer.write_waveform(waveform)


def test_frames_of_two_sizes_are_refused_on_writing(tmp_path):
    with pytest.raises(UserError, match="frame 1 is 8×8"), writing_clip_store(tmp_path / "jane") as writer:
        for size in (16, 8):
            writer.add_frame(np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8))


def test_a_picture_that_lost_its_colours_is_refused(store):
    path = store.path / "frames" / "000002.png"
    Image.open(path).convert("L").save(path)
    assert "mode RGB" in refusal(lambda: store.frame(2))


@pytest.mark.parametrize(
    "changes",
    [
        {"has_audio": "no"},
        {"num_frames": 6.0},
        {"size": True},
        {"source_width": 0},
        {"crop": {"left": 0.0, "top": float("nan"), "size": 16.0}},
        {"crop": {"left": 0.0, "top": 0.0, "size": 0.0}},
        {"audio_delay": float("inf")},
        {"audio_delay": "0.2"},
    ],
)
def test_an_info_of_the_wrong_kind_is_refused(store, changes):
    content = {**dataclasses.asdict(store.info), **changes}
    (store.path / "clip.json").write_text(json.dumps(content))
    assert "clip.json" in refusal(lambda: ClipStore(store.path))


# The sound, moved against the frames


def test_a_delay_moves_the_sound_and_is_taken_back_without_loss(store):
    tone = torch.sin(torch.arange(T * 640) / 10)
    with writing_clip_store(store.path.with_name("tone")) as writer:
        for _ in range(T):
            writer.add_frame(np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8))
        writer.write_waveform(tone)
        writer.finish(dataclasses.replace(store.info))
    tonal = ClipStore(store.path.with_name("tone"))
    before, samples = tonal.waveform(), (tonal.path / "audio.wav").read_bytes()
    tonal.delay_audio(0.08)
    late = ClipStore(tonal.path).waveform()
    assert torch.equal(late[1280:], before[:-1280]) and not late[:1280].any()
    tonal.delay_audio(-0.16)
    early = ClipStore(tonal.path).waveform()
    assert torch.equal(early[:-1280], before[1280:]) and not early[-1280:].any()
    tonal.delay_audio(0.08)
    assert torch.equal(ClipStore(tonal.path).waveform(), before)
    assert (tonal.path / "audio.wav").read_bytes() == samples


def test_a_delay_beyond_the_clip_is_refused(store):
    assert "stay within" in refusal(lambda: store.delay_audio(1.0))
    assert ClipStore(store.path).info.audio_delay == 0


def test_a_store_from_before_the_delay_was_known_still_opens(store):
    content = dataclasses.asdict(store.info)
    del content["audio_delay"]
    (store.path / "clip.json").write_text(json.dumps(content))
    assert ClipStore(store.path).info == store.info
