"""A clip store gives back what was written, appears whole or not at all, and refuses what is not one in one line."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.types import FaceCoefficients, Landmarks, TrackedFace, default_camera

NUM_FRAMES, SIZE = 5, 16


def info(**changes):
    values = {
        "num_frames": NUM_FRAMES,
        "fps": "30000/1001",
        "size": SIZE,
        "source": None,
        "source_name": "jane.mp4",
        "source_sha256": None,
        "source_height": 48,
        "source_width": 64,
        "crop": Crop(3.5, -2.0, 32.0),
        "has_audio": True,
    }
    return ClipInfo(**{**values, **changes})


def image(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8), rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)


def landmarks(num_frames=NUM_FRAMES):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    return Landmarks(draw(num_frames, 478, 2), draw(num_frames), draw(num_frames, 52), draw(num_frames, 4, 4))


def face(num_frames=NUM_FRAMES):
    coefficients = FaceCoefficients(
        torch.rand(7),
        torch.rand(num_frames, 3),
        torch.rand(num_frames, 3),
        torch.rand(num_frames, 3),
        torch.rand(num_frames, 2),
    )
    camera = default_camera(SIZE, SIZE)
    names = ("jawOpen", "mouthSmileLeft", "mouthSmileRight")
    return TrackedFace(coefficients, camera, torch.rand(num_frames, 9, 3), torch.rand(3, 8, 8), "builtin", names)


def write(path, *, frames=NUM_FRAMES, sound=True, **changes):
    with writing_clip_store(path) as writer:
        for index in range(frames):
            writer.add_frame(*image(index))
        writer.write_landmarks(landmarks())
        if sound:
            writer.write_waveform(torch.linspace(-1, 1, round(NUM_FRAMES * 1001 / 30_000 * 16_000)))
        writer.write_emotion(EmotionTrack.parse("0s neutral, 0.1s happy:0.5", EmotionSpace()))
        writer.finish(info(has_audio=sound, **changes))
    return ClipStore(path)


def refusal(action):
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message and message.startswith("Expected")
    return message


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a))
    return a == b


# What is written comes back


def test_everything_written_comes_back(tmp_path):
    store = write(tmp_path / "clips" / "jane")
    assert store.info == info() and store.num_frames == NUM_FRAMES and store.fps == pytest.approx(29.97, abs=1e-3)
    assert all(np.array_equal(store.frame(index), image(index)[0]) for index in range(NUM_FRAMES))
    assert same(store.landmarks(), landmarks())
    assert store.emotion().sample(torch.tensor([0.05]))[0, 4] == pytest.approx(0.25)
    assert not store.is_tracked and store.source is None


def test_frames_and_masks_are_batches_in_the_unit_range(tmp_path):
    store = write(tmp_path / "jane")
    frames, masks = store.frames(torch.tensor([4, 1])), store.masks(range(2))
    assert frames.shape == (2, 3, SIZE, SIZE) and masks.shape == (2, 1, SIZE, SIZE)
    assert np.array_equal((frames[0] * 255).round().byte().permute(1, 2, 0).numpy(), image(4)[0])
    assert np.array_equal((masks[1, 0] * 255).round().byte().numpy(), image(1)[1])


def test_sound_comes_back_to_the_last_bit_but_one_and_just_as_long_as_the_frames(tmp_path):
    store = write(tmp_path / "jane")
    num_samples = round(NUM_FRAMES * 1001 / 30_000 * 16_000)
    waveform = store.waveform()
    assert len(waveform) == num_samples
    assert (waveform - torch.linspace(-1, 1, num_samples)).abs().max() <= 1 / 32_768


def test_loud_sound_is_clipped_not_wrapped(tmp_path):
    with writing_clip_store(tmp_path / "loud") as writer:
        for index in range(NUM_FRAMES):
            writer.add_frame(*image(index))
        writer.write_waveform(torch.tensor([1.5, -1.5]).repeat(2_000))
        writer.finish(info())
    waveform = ClipStore(tmp_path / "loud").waveform()
    assert waveform[::2].max() > 0.99 and waveform[::2][:1_300].min() > 0.99 and waveform[1::2][:1_300].max() < -0.99


def test_a_fit_comes_back_and_a_new_one_replaces_it(tmp_path):
    store, first, second = write(tmp_path / "jane"), face(), face()
    store.write_tracking(first)
    assert store.is_tracked and same(store.tracking(), first)
    store.write_tracking(second)
    assert same(store.tracking(), second)


def test_computed_things_are_computed_once_and_again_after_damage(tmp_path):
    store, calls = write(tmp_path / "jane"), []

    def compute():
        calls.append(1)
        return {"features": torch.arange(6.0).reshape(2, 3).T}

    for _ in range(2):
        assert torch.equal(store.cached("log_mel", compute)["features"], torch.arange(6.0).reshape(2, 3).T)
    assert len(calls) == 1
    (tmp_path / "jane" / "cache" / "log_mel.safetensors").write_bytes(b"half")
    store.cached("log_mel", compute)
    assert len(calls) == 2


def test_the_oldest_of_alike_results_make_way(tmp_path):
    store = write(tmp_path / "jane")
    store.cached("maps-other-a", lambda: {"x": torch.zeros(1)}, most=2)
    for number, name in enumerate(("a", "b", "c")):
        store.cached(f"maps-{name}", lambda: {"x": torch.zeros(1)}, most=2)
        os.utime(store.path / "cache" / f"maps-{name}.safetensors", (number, number))
    kept = {path.stem for path in (store.path / "cache").glob("maps-*")}
    assert kept == {"maps-other-a", "maps-b", "maps-c"}


def test_a_silent_clip_says_so_only_when_asked_for_sound(tmp_path):
    assert "no audio track" in refusal(write(tmp_path / "mute", sound=False).waveform)


@given(left=st.floats(-500, 500), top=st.floats(-500, 500), size=st.floats(16, 4_000), clip_size=st.integers(16, 1_024))
def test_the_crop_undoes_itself(left, top, size, clip_size):
    crop, points = Crop(left, top, size), torch.rand(7, 2, dtype=torch.float64) * 1_000
    there_and_back = crop.clip_to_source(crop.source_to_clip(points, clip_size), clip_size)
    assert torch.allclose(there_and_back, points, atol=1e-6)


def test_the_crops_corners_are_the_frames_corners():
    crop = Crop(10.0, 20.0, 64.0)
    corners = crop.source_to_clip(torch.tensor([[10.0, 20.0], [74.0, 84.0], [10.5, 20.5]]), 32)
    assert corners.tolist() == [[0, 0], [32, 32], [0.25, 0.25]]


# Whole or not at all


def test_a_store_that_is_not_finished_does_not_appear(tmp_path):
    with pytest.raises(FileNotFoundError), writing_clip_store(tmp_path / "jane") as writer:
        writer.add_frame(*image(0))
    assert os.listdir(tmp_path) == []


def test_a_failed_writer_leaves_the_earlier_store(tmp_path):
    write(tmp_path / "jane")
    with pytest.raises(ValueError, match="5 frames in the clip store, but 2"):
        write(tmp_path / "jane", frames=2)
    assert ClipStore(tmp_path / "jane").num_frames == NUM_FRAMES and os.listdir(tmp_path) == ["jane"]


def test_a_new_store_replaces_the_earlier_one_with_all_that_was_made_from_it(tmp_path):
    write(tmp_path / "jane").write_tracking(face())
    assert not write(tmp_path / "jane").is_tracked


def test_sound_that_the_info_does_not_tell_of_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has_audio"), writing_clip_store(tmp_path / "jane") as writer:
        writer.add_frame(*image(0))
        writer.finish(info(num_frames=1, has_audio=True))


def test_an_empty_folder_becomes_a_store(tmp_path):
    (tmp_path / "jane").mkdir()
    assert write(tmp_path / "jane").num_frames == NUM_FRAMES


def test_somebody_elses_folder_or_file_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    assert "something else" in refusal(lambda: write(tmp_path / "home"))
    assert "something else" in refusal(lambda: write(tmp_path / "home" / "thesis.txt"))
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


def test_a_fit_of_another_length_is_refused(tmp_path):
    assert "5 frames" in refusal(lambda: write(tmp_path / "jane").write_tracking(face(4)))


def test_a_fit_with_nan_is_never_stored(tmp_path):
    store, broken = write(tmp_path / "jane"), face()
    broken.lighting[2, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="lighting"):
        store.write_tracking(broken)
    assert not store.is_tracked


# What is no store, or no longer


@pytest.mark.parametrize("path", ["absent", "file/inside"])
def test_a_missing_store_is_one_line_that_names_the_command(tmp_path, path):
    (tmp_path / "file").write_text("")
    assert "readavatar prepare" in refusal(lambda: ClipStore(tmp_path / path))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "null",
        "\x00\xff",
        {"version": 99},
        {"num_frames": 0},
        {"num_frames": "5"},
        {"fps": "0"},
        {"fps": "25/0"},
        {"fps": None},
        {"size": 0},
        {"crop": None},
        {"crop": {"left": 0}},
        {"source": "../../etc/passwd"},
        {"surprise": 1},
    ],
)
def test_a_clip_json_that_is_none_is_one_line(tmp_path, content):
    store = write(tmp_path / "jane")
    if isinstance(content, dict):
        content = json.dumps({**dataclasses.asdict(store.info), **content})
    (store.path / "clip.json").write_text(content)
    assert "clip.json" in refusal(lambda: ClipStore(store.path))


def damage(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [damage, os.remove])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("frames/000002.png", lambda store: store.frames(range(5))),
        ("masks/000002.png", lambda store: store.masks(range(5))),
        ("landmarks.safetensors", lambda store: store.landmarks()),
        ("tracking.safetensors", lambda store: store.tracking()),
        ("audio.wav", lambda store: store.waveform()),
    ],
)
def test_a_damaged_or_missing_part_is_one_line_that_names_it(tmp_path, name, read, harm):
    store = write(tmp_path / "jane")
    store.write_tracking(face())
    harm(store.path / name)
    assert name.split("/")[-1] in refusal(lambda: read(store))


def test_a_frame_of_another_size_is_one_line(tmp_path):
    store = write(tmp_path / "jane")
    with pytest.raises(UserError, match="16×16"):
        write(tmp_path / "other", size=8).frame(0)
    assert store.frame(0).shape == (SIZE, SIZE, 3)


def test_an_untracked_clip_names_the_command_that_fits_it(tmp_path):
    assert "readavatar fit" in refusal(write(tmp_path / "jane").tracking)


def test_real_footage_has_no_truth(tmp_path):
    assert "digital actor" in refusal(write(tmp_path / "jane").truth)


def test_landmarks_of_another_clip_are_refused(tmp_path):
    store = write(tmp_path / "jane")
    with writing_clip_store(tmp_path / "long") as writer:
        for index in range(9):
            writer.add_frame(*image(index))
        writer.write_landmarks(landmarks(9))
        writer.finish(info(num_frames=9, has_audio=False))
    shutil.copy(tmp_path / "long" / "landmarks.safetensors", store.path)
    assert "5 frames" in refusal(store.landmarks)
