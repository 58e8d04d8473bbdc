"""Each check of files and pictures passes on a good clip and fails on one broken in just that way."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from good_clips import SIZE, write_clip
from PIL import Image, ImageFilter

from readavatar.data.store import Crop
from readavatar.doctor.checks import Status
from readavatar.doctor.evidence import gather
from readavatar.doctor.picture_checks import picture_checks


def named(evidence, name):
    return next(check for check in picture_checks(evidence) if check.name == name)


def reasons(store):
    return [(part.first, part.last, part.reason) for part in gather(store).left_out]


def frame_path(store, index):
    return store.path / "frames" / f"{index:06d}.png"


def change_frames(store, indices, change):
    for index in indices:
        path = frame_path(store, index)
        with Image.open(path) as image:
            changed = change(image)
        changed.save(path)


def test_a_good_clip_passes_everything(good):
    assert {check.status for check in picture_checks(good)} == {Status.PASS} and not good.left_out


def test_a_missing_picture_fails_the_files_and_is_left_out(copy):
    frame_path(copy, 7).unlink()
    evidence = gather(copy)
    check = named(evidence, "files")
    assert check.status == Status.FAIL and "000007.png" in check.measured
    assert [(part.first, part.last) for part in evidence.left_out] == [(7, 8)]


def test_a_sound_that_lost_its_end_fails_the_files(copy):
    path = copy.path / "audio.wav"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "audio.wav" in named(gather(copy), "files").measured


def test_black_frames_are_left_out(copy):
    change_frames(copy, range(20, 30), lambda image: Image.new("RGB", image.size))
    found = reasons(copy)
    assert found[0][:2] == (20, 30) and "black" in found[0][2]


def test_frozen_frames_are_left_out_and_counted_as_repeated(copy):
    change_frames(copy, range(41, 80), lambda image: Image.open(frame_path(copy, 40)).copy())
    evidence = gather(copy)
    assert [(part.first, part.last, part.reason) for part in evidence.left_out] == [(41, 80, "the picture is frozen")]
    assert named(evidence, "frame rate").status == Status.FAIL
    assert named(evidence, "frames to leave out").status == Status.FAIL


def test_a_converted_rate_is_told_by_its_single_repeated_frames(copy):
    for index in range(6, 150, 6):
        frame_path(copy, index).write_bytes(frame_path(copy, index - 1).read_bytes())
    evidence = gather(copy)
    assert named(evidence, "frame rate").status == Status.FAIL and not evidence.left_out


def test_blurred_frames_are_left_out(copy):
    change_frames(copy, range(60, 66), lambda image: image.filter(ImageFilter.GaussianBlur(3)))
    found = reasons(copy)
    assert [part[:2] for part in found] == [(60, 66)] and "blurred" in found[0][2]


def test_frames_without_a_face_are_left_out_and_counted(good_take, tmp_path):
    confidence = torch.ones(100)
    confidence[30:50], confidence[60] = 0, 0.3
    landmarks = good_take[0][:100].clone()
    landmarks[30:50] = 0
    evidence = gather(write_clip(tmp_path / "clip", landmarks, None, confidence=confidence))
    found = {(part.first, part.last): part.reason for part in evidence.left_out}
    assert found == {(30, 50): "no face was found", (60, 61): "the detector is not sure"}
    assert named(evidence, "face found").status == Status.FAIL


def test_a_cut_is_a_jump_of_the_landmarks(good_take, tmp_path):
    landmarks = good_take[0][:60] - torch.tensor([9.0, 0.0])
    landmarks[25:] += torch.tensor([18.0, 0.0])
    evidence = gather(write_clip(tmp_path / "clip", landmarks, None))
    assert [(part.first, part.last) for part in evidence.left_out] == [(25, 26)]
    assert "jump" in evidence.left_out[0].reason


def test_a_failure_of_the_detector_is_a_sudden_other_shape(good_take, tmp_path):
    landmarks = good_take[0][:60].clone()
    landmarks[30] = landmarks[30].mean(0) + (landmarks[30] - landmarks[30].mean(0)) * torch.tensor([1.0, 0.5])
    evidence = gather(write_clip(tmp_path / "clip", landmarks, None))
    assert [(part.first, part.last) for part in evidence.left_out] == [(30, 32)]


def test_a_face_cut_by_the_edge_is_left_out(good_take, tmp_path):
    landmarks = good_take[0][:40] + torch.tensor([float(SIZE) / 2, 0.0])
    evidence = gather(write_clip(tmp_path / "clip", landmarks, None))
    assert {part.reason for part in evidence.left_out} == {"the face is cut by the frame's edge"}


@pytest.mark.parametrize(("crop", "status"), [(SIZE / 1.8, Status.WARN), (SIZE / 4, Status.FAIL)])
def test_the_resolution_of_an_enlarged_face_is_that_of_the_video(good, crop, status):
    store = type(good.store)(good.store.path)
    store.info = replace(store.info, crop=Crop(0.0, 0.0, crop))
    assert named(replace(good, store=store), "resolution of the face").status == status


def test_a_varying_rate_of_the_video_is_a_warning(good, tmp_path):
    path = tmp_path / "varying.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        time = 0
        for index in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index * 5, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, stream.codec_context.time_base
            container.mux(stream.encode(frame))
            time += 40 if index % 4 else 90
        container.mux(stream.encode())
    store = type(good.store)(good.store.path)
    store.path, store.info = tmp_path, replace(store.info, source=path.name)
    check = named(replace(good, store=store), "frame rate")
    assert check.status == Status.WARN and "longer or shorter" in check.measured
