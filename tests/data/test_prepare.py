"""A video becomes a whole clip store around the one person in it, or one line says why not."""

from __future__ import annotations

import os
import resource
import signal

import numpy as np
import pytest
import torch
from fake_faces import BACKGROUND, SKIN, DiscDetector, disc_face, disc_frame, disc_landmarks, write_discs

from readavatar.data.preparation.faces import choose_crop, crop_frame, describe_times, face_mask, select_person
from readavatar.data.preparation.prepare import prepare_clip
from readavatar.data.store import ClipStore, Crop
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.files import sha256_of_file
from readavatar.media.video import write_video

NODDING = [[(80 + 2 * np.sin(i), 62 + 2 * np.cos(i), 22)] for i in range(20)]


def prepared(video, out, **arguments):
    said: list[str] = []
    store = prepare_clip(video, out, detector=DiscDetector(), progress=False, say=said.append, **arguments)
    return store, said


def refusal(video, out, **arguments):
    with pytest.raises(UserError) as caught:
        prepared(video, out, **arguments)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("Expected")
    assert not out.exists() and [name for name in os.listdir(out.parent) if "partial" in name] == []
    return message


# The store


def test_a_video_becomes_a_whole_store(tmp_path):
    video = write_discs(tmp_path / "Jane Doe.MP4", NODDING)
    emotion = EmotionTrack.parse("happy:0.66", EmotionSpace())
    store, said = prepared(video, tmp_path / "clips" / "jane", size=64, emotion=emotion)
    info = store.info
    assert (info.num_frames, info.fps, info.size) == (20, "25", 64)
    assert (info.source, info.source_name, info.source_sha256) == ("source.mp4", "Jane Doe.MP4", sha256_of_file(video))
    assert (info.source_height, info.source_width, info.has_audio) == (120, 160, True)
    assert store.source.read_bytes() == video.read_bytes()
    assert store.frames(range(20)).shape == (20, 3, 64, 64) and store.masks(range(20)).shape == (20, 1, 64, 64)
    assert len(store.waveform()) == 12_800 and float(store.waveform().std()) == pytest.approx(0.07, abs=0.02)
    assert store.emotion().sample(torch.zeros(1))[0, 4] == pytest.approx(0.66)
    landmarks = store.landmarks()
    assert landmarks.landmarks_2d.shape == (20, 478, 2) and (landmarks.landmark_confidence == 1).all()
    assert (landmarks.blendshapes == 0.25).all() and (landmarks.head_to_camera[:, 0, 0] == 2).all()
    assert said == []


def test_the_source_takes_no_second_place_on_the_disk(tmp_path):
    video = write_discs(tmp_path / "jane.mp4", NODDING[:4])
    store, _ = prepared(video, tmp_path / "clip", size=64)
    assert os.path.samefile(video, store.source)


def test_landmarks_and_mask_lie_on_the_face_in_the_clips_pixels(tmp_path):
    store, _ = prepared(write_discs(tmp_path / "jane.mp4", NODDING), tmp_path / "clip", size=64)
    skin, background = (torch.tensor(colour) / 255 for colour in (SKIN, BACKGROUND))
    for index in range(store.num_frames):
        frame, mask = store.frames(range(index, index + 1))[0], store.masks(range(index, index + 1))[0, 0]
        shown = ((frame - background[:, None, None]) / (skin - background)[:, None, None]).mean(0).clamp(0, 1)
        y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
        centre = torch.stack([(shown * x).sum(), (shown * y).sum()]) / shown.sum()
        landmarks = store.landmarks().landmarks_2d[index]
        middle = (landmarks.amin(0) + landmarks.amax(0)) / 2
        assert (middle - centre).abs().max() < 0.15  # a half-pixel mistake would be 0.5
        face = shown > 0.5
        assert mask[face].mean() > 0.97  # the face is inside
        below = y > centre[1]  # above, the mask goes on over the forehead
        assert mask[below & (shown < 0.01)].mean() < 0.02


def test_the_crop_undoes_itself_and_matches_the_source_to_a_quarter_of_a_pixel(tmp_path):
    store, _ = prepared(write_discs(tmp_path / "jane.mp4", NODDING), tmp_path / "clip", size=64)
    source = store.info.crop.clip_to_source(store.landmarks().landmarks_2d, 64)
    expected = torch.from_numpy(np.stack([disc_landmarks(*discs[0]) for discs in NODDING]))
    middles = [(points.amin(1) + points.amax(1)) / 2 for points in (source, expected)]
    assert (middles[0] - middles[1]).abs().max() < 0.25


def test_a_second_run_replaces_the_store_whole(tmp_path):
    video = write_discs(tmp_path / "jane.mp4", NODDING)
    prepared(video, tmp_path / "clip", size=64)
    store, _ = prepared(video, tmp_path / "clip", size=80)
    assert store.info.size == 80 and sorted(os.listdir(tmp_path)) == ["clip", "jane.mp4"]


def test_a_folder_that_is_no_clip_store_is_not_replaced(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "precious.txt").write_text("precious")
    with pytest.raises(UserError, match="something else"):
        prepared(write_discs(tmp_path / "jane.mp4", NODDING[:3]), tmp_path / "clips", size=64)
    assert os.listdir(tmp_path / "clips") == ["precious.txt"]


def test_another_rate_can_be_asked_for(tmp_path):
    store, _ = prepared(write_discs(tmp_path / "jane.mp4", NODDING, fps=50), tmp_path / "clip", size=64, fps=25)
    assert (store.info.fps, store.num_frames, len(store.waveform())) == ("25", 10, 6_400)


def test_sound_can_come_from_a_file_of_its_own(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "speech.wav", np.full(48_000, 0.5), 48_000)
    video = write_discs(tmp_path / "mute.mp4", NODDING, sound=False)
    store, said = prepared(video, tmp_path / "clip", size=64, sound=tmp_path / "speech.wav")
    assert said == [] and len(store.waveform()) == 12_800
    assert store.waveform()[1000:-1000].mean() == pytest.approx(0.5, abs=1e-3)


# What bad input gets


def test_a_video_without_sound_works_and_says_so(tmp_path):
    store, said = prepared(write_discs(tmp_path / "mute.mp4", NODDING, sound=False), tmp_path / "clip", size=64)
    assert not store.info.has_audio and len(said) == 1 and "no sound" in said[0]
    with pytest.raises(UserError, match="sound"):
        store.waveform()


def test_no_face_is_one_line(tmp_path):
    assert "none was found in its 5 frames" in refusal(write_discs(tmp_path / "wall.mp4", [[]] * 5), tmp_path / "clip")


def test_two_faces_are_one_line_that_counts_them(tmp_path):
    frames = [[(50, 60, 20), *([(115, 60, 14)] if index >= 12 else [])] for index in range(20)]
    message = refusal(write_discs(tmp_path / "talk.mp4", frames), tmp_path / "clip")
    assert "8 of 20 frames" in message and "0.5–0.8 s" in message


def test_a_small_face_in_the_background_is_ignored(tmp_path):
    frames = [[(60, 60, 24), (140, 20, 6)] for _ in range(8)]
    store, said = prepared(write_discs(tmp_path / "poster.mp4", frames), tmp_path / "clip", size=64)
    assert said == [] and (store.landmarks().landmark_confidence == 1).all()
    centre = store.info.crop.clip_to_source(store.landmarks().landmarks_2d.mean(1), 64)
    assert (centre - torch.tensor([60.0, 60.0])).abs().max() < 1


def test_the_background_face_does_not_stand_in_while_the_person_is_away(tmp_path):
    frames = [[*([] if 6 <= index < 9 else [(60, 60, 24)]), (140, 20, 6)] for index in range(20)]
    store, said = prepared(write_discs(tmp_path / "poster.mp4", frames), tmp_path / "clip", size=64)
    assert torch.nonzero(store.landmarks().landmark_confidence == 0)[:, 0].tolist() == [6, 7, 8]
    assert "3 of 20 frames" in said[0] and "smaller face" in said[0]


def test_a_face_that_leaves_for_a_while_is_kept_out_and_said_with_its_times(tmp_path):
    frames = [[] if 5 <= index < 9 else [(80, 60, 22)] for index in range(20)]
    store, said = prepared(write_discs(tmp_path / "away.mp4", frames), tmp_path / "clip", size=64)
    landmarks = store.landmarks()
    assert torch.nonzero(landmarks.landmark_confidence == 0)[:, 0].tolist() == [5, 6, 7, 8]
    assert (landmarks.landmarks_2d[5:9] == 0).all() and (landmarks.head_to_camera[6] == torch.eye(4)).all()
    assert store.masks(range(5, 9)).max() == 0 and store.masks(range(9, 10)).max() == 1
    assert len(said) == 1 and "4 of 20 frames (20.0 %)" in said[0] and "no face: 0.2–0.4 s" in said[0]


def test_a_face_half_outside_the_picture_is_kept_out(tmp_path):
    class Guessing:
        """Extrapolates a face that is half visible, like real detectors."""

        def __init__(self):
            self.index = -1

        def detect(self, frame):
            self.index += 1
            return [disc_face(2.0 if self.index in (3, 4) else 80.0, 60, 22)]

    said = []
    video = write_discs(tmp_path / "edge.mp4", NODDING)
    store = prepare_clip(video, tmp_path / "clip", size=64, detector=Guessing(), say=said.append, progress=False)
    assert torch.nonzero(store.landmarks().landmark_confidence == 0)[:, 0].tolist() == [3, 4]
    assert "partly outside" in said[0]


def test_a_face_missing_in_over_half_of_the_frames_is_one_line(tmp_path):
    frames = [[(80, 60, 22)] if index < 9 else [] for index in range(20)]
    message = refusal(write_discs(tmp_path / "away.mp4", frames), tmp_path / "clip")
    assert "missing in 11 of 20" in message


def test_one_frame_makes_a_clip(tmp_path):
    store, _ = prepared(write_discs(tmp_path / "one.mp4", NODDING[:1]), tmp_path / "clip", size=64)
    assert store.num_frames == 1


@pytest.mark.parametrize("size", [0, 32, 5000])
def test_a_size_out_of_range_is_one_line(tmp_path, size):
    assert str(size) in refusal(write_discs(tmp_path / "jane.mp4", NODDING[:2]), tmp_path / "clip", size=size)


def test_a_truncated_video_is_one_line(tmp_path):
    whole = write_discs(tmp_path / "whole.mp4", NODDING).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    assert "cut short" in refusal(tmp_path / "half.mp4", tmp_path / "clip")


def test_sound_alone_is_one_line(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "speech.wav", np.zeros(1600), 16_000)
    assert "only sound" in refusal(tmp_path / "speech.wav", tmp_path / "clip")


def test_a_full_disk_raises_and_leaves_nothing(tmp_path):
    rng = np.random.default_rng(0)
    noise = [np.clip(disc_frame(discs) + rng.integers(-9, 9, (120, 160, 3)), 0, 255) for discs in NODDING]
    write_video(tmp_path / "jane.mp4", [frame.astype(np.uint8) for frame in noise], 25, torch.rand(12_800), 16_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (2_000, 20_000):  # a frame, the sound: no single frame is as large
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OSError):
                prepared(tmp_path / "jane.mp4", tmp_path / "clip", size=64)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
        assert os.listdir(tmp_path) == ["jane.mp4"]


def test_a_stopped_run_leaves_nothing(tmp_path):
    class Stopped(DiscDetector):
        def detect(self, frame):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_clip(write_discs(tmp_path / "a.mp4", NODDING), tmp_path / "c", detector=Stopped(), progress=False)
    assert os.listdir(tmp_path) == ["a.mp4"]


# The crop


def landmarks_of(discs):
    return torch.from_numpy(np.stack([disc_landmarks(*disc) for disc in discs]))


def test_the_crop_holds_the_face_in_every_frame_with_hair_and_neck():
    points = landmarks_of([(300 + 20 * np.sin(i), 200 + 10 * np.cos(i), 50) for i in range(50)])
    crop, size = choose_crop(points, 480, 640, 256)
    assert size in (256, 240, 224, 208) and crop.size >= size
    assert crop.left <= 300 - 20 - 50 - 25 and crop.left + crop.size >= 300 + 20 + 50 + 25
    assert crop.top <= 200 - 10 - 50 - 35 and crop.top + crop.size >= 200 + 10 + 50 + 20


def test_a_few_wrong_landmarks_do_not_widen_the_crop():
    points = landmarks_of([(300, 200, 50)] * 400)
    wrong = points.clone()
    wrong[7] += 150
    assert choose_crop(points, 480, 640, 256) == choose_crop(wrong, 480, 640, 256)


def test_a_face_that_fills_the_frame_gets_the_whole_frame_untouched():
    crop, size = choose_crop(landmarks_of([(128, 128, 90)] * 3), 256, 256, 256)
    assert (crop, size) == (Crop(0.0, 0.0, 256.0), 256)
    frame = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    assert np.array_equal(crop_frame(frame, crop, 256), frame)


def test_pixels_are_not_made_up():
    crop, size = choose_crop(landmarks_of([(300, 200, 30)] * 3), 480, 640, 256)
    assert size <= crop.size < 256 and size % 16 == 0


def test_a_crop_nearly_of_the_clips_size_is_just_that():
    crop, size = choose_crop(landmarks_of([(300, 240, 65)] * 3), 480, 640, 256)
    assert (crop.size, size) == (256, 256)


def test_a_face_larger_than_the_picture_is_wide_gets_repeated_edges():
    crop, _ = choose_crop(landmarks_of([(40, 100, 60)] * 3), 200, 80, 64)
    assert crop.size == 120 and crop.left == -20
    frame = np.random.default_rng(0).integers(0, 255, (200, 80, 3), dtype=np.uint8)
    cut = crop_frame(frame, crop, 120)
    top = round(crop.top)
    assert np.array_equal(cut[:, 20:100], frame[top : top + 120])
    assert (cut[:, :20] == frame[top : top + 120, :1]).all() and (cut[:, 100:] == frame[top : top + 120, -1:]).all()


@pytest.mark.parametrize(("side", "size"), [(96, 64), (130, 64), (200, 64), (64, 64)])
def test_a_dot_lands_where_the_crop_says(side, size):
    crop = Crop(33.0, 21.0, float(side))
    dot = (33 + 0.4 * side, 21 + 0.7 * side)
    frame = disc_frame([(*dot, 9)], height=240, width=260)
    cut = crop_frame(frame, crop, size).astype(float)[..., 0] - BACKGROUND[0]
    y, x = np.mgrid[:size, :size] + 0.5
    expected = crop.source_to_clip(torch.tensor(dot), size).numpy()
    assert np.abs([(cut * x).sum() / cut.sum() - expected[0], (cut * y).sum() / cut.sum() - expected[1]]).max() < 0.05


def test_downscaling_is_antialiased():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(crop_frame(stripes, Crop(0.0, 0.0, 256.0), 64)[8:-8, 8:-8]) < 12


# The mask


def test_the_mask_is_the_outline_and_a_forehead_above_it():
    mask = face_mask(disc_landmarks(64, 64, 30), 128) > 127
    y, x = np.mgrid[:128, :128] + 0.5
    inside = np.hypot(x - 64, y - 64) < 29
    assert mask[inside].all()
    rows = np.flatnonzero(mask.any(1))
    assert abs(rows[-1] + 1 - 94) <= 1  # the chin
    assert 34 - 7 <= rows[0] <= 34 - 5  # a tenth of the face's height above the outline's top


def test_the_masks_edge_lies_at_the_right_subpixel():
    areas = [float(face_mask(disc_landmarks(64 + offset, 64, 30), 128).sum(0)[:64].sum()) for offset in (0, 0.5, 1)]
    steps = np.diff(areas) / 255
    assert steps[0] == pytest.approx(steps[1], rel=0.1) and steps[0] < 0
    left_right = face_mask(disc_landmarks(64, 64, 30), 128).astype(int)
    assert np.abs(left_right - left_right[:, ::-1]).mean() < 1


def test_a_face_outside_the_frame_has_no_mask():
    assert face_mask(disc_landmarks(300, 64, 30), 128).max() == 0


def test_landmarks_on_a_line_have_no_mask():
    assert face_mask(np.stack([np.linspace(0, 100, 478), np.full(478, 50)], 1).astype(np.float32), 128).max() == 0


# The person


def test_the_same_face_found_twice_is_one_person():
    frames = [[disc_face(60, 60, 22), disc_face(62, 61, 21)]] * 10
    assert select_person(frames, 120, 160, 25, "a.mp4").rejected == {}


def test_a_stray_second_face_is_the_detectors_mistake():
    frames = [[disc_face(50, 60, 20), *([disc_face(115, 60, 25)] if index == 120 else [])] for index in range(200)]
    landmarks = select_person(frames, 120, 160, 25, "a.mp4").landmarks
    assert landmarks.landmarks_2d[120, :, 0].mean() == pytest.approx(50, abs=1)


def test_times_are_told_in_runs():
    assert describe_times([5, 6, 7, 20], 10) == "0.5–0.8 s, 2.0 s"
    assert describe_times(list(range(0, 40, 2)), 10).endswith("and 15 more times")


def test_a_real_clip_is_prepared(shared_data, tmp_path):
    pytest.importorskip("mediapipe")
    from readavatar.assets import find_asset

    if find_asset("face_landmarker") is None:
        pytest.skip("no face_landmarker asset")
    video = shared_data / "video" / "emotion" / "M030_angry_level3.mp4"
    store = prepare_clip(video, tmp_path / "clip", progress=False, say=lambda line: None)
    assert store.info.size == 256 and store.info.crop == Crop(0.0, 0.0, 256.0)
    assert (store.landmarks().landmark_confidence == 1).all()
    mask = store.masks(range(0, 1))[0, 0]
    assert 0.15 < float(mask.mean()) < 0.6 and mask[128, 128] == 1
    assert ClipStore(tmp_path / "clip").info == store.info


# The command


@pytest.mark.parametrize("kind", ["missing", "text", "truncated", "sound", "no frames", "size", "emotion", "strength"])
def test_the_command_ends_in_exit_code_2_and_one_line(tmp_path, capsys, kind):
    import soundfile

    from readavatar.cli import main

    video, extra = tmp_path / "video.mp4", []
    if kind == "text":
        video.write_text("no video")
    elif kind == "no frames":
        video.touch()
    elif kind == "truncated":
        video.write_bytes(write_discs(tmp_path / "whole.mp4", NODDING).read_bytes()[:4_000])
    elif kind == "sound":
        video = tmp_path / "speech.wav"
        soundfile.write(video, np.zeros(800), 16_000)
    elif kind != "missing":
        write_discs(video, NODDING[:2])
        extra = {"size": ["--size", "7"], "emotion": ["--emotion", "hapy"], "strength": ["--emotion", "happy:1.3"]}[
            kind
        ]
    assert main(["prepare", str(video), "--out", str(tmp_path / "clip"), *extra]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Expected" in error and not (tmp_path / "clip").exists()
