"""What the tracking stage reads from prepared clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from readavatar.data.datasets.tracking import FrameBatches, TrackingData, read_observations
from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.detection import IRIS_LEFT, IRIS_RIGHT, LANDMARKS_68
from readavatar.errors import UserError
from readavatar.types import Landmarks

SIZE = 32


def write_clip(
    path: Path, num_frames: int = 3, num_points: int = 478, confidence: float = 1.0, crop: Crop | None = None
) -> ClipStore:
    points = torch.rand(num_frames, num_points, 2, generator=torch.Generator().manual_seed(num_frames)) * SIZE
    landmarks = Landmarks(
        points, torch.full((num_frames,), confidence), torch.zeros(num_frames, 52), torch.zeros(num_frames, 4, 4)
    )
    with writing_clip_store(path) as writer:
        for index in range(num_frames):
            frame = np.full((SIZE, SIZE, 3), 10 * index + num_frames, np.uint8)
            writer.add_frame(frame, np.full((SIZE, SIZE), 255, np.uint8))
        writer.write_landmarks(landmarks)
        writer.finish(ClipInfo(num_frames, "25", SIZE, None, "", None, 90, 160, crop or Crop(0.0, 0.0, 40.0), False))
    return ClipStore(path)


def test_lengths_are_in_frame_sides_and_irises_are_left_then_right(tmp_path):
    store = write_clip(tmp_path / "clip")
    seen = read_observations([store])
    points = store.landmarks().landmarks_2d
    torch.testing.assert_close(seen.landmarks_2d * SIZE, points[:, list(LANDMARKS_68)])
    torch.testing.assert_close(seen.irises * SIZE, points[:, [IRIS_LEFT[0], IRIS_RIGHT[0]]])
    assert bool((seen.has_irises == 1).all())


def test_68_landmarks_come_without_irises(tmp_path):
    seen = read_observations([write_clip(tmp_path / "clip", num_points=68)])
    assert bool((seen.has_irises == 0).all()) and seen.landmarks_2d.shape == (3, 68, 2)


def test_the_camera_is_the_sources_whatever_the_crop(tmp_path):
    crops = {"a": Crop(60.0, 25.0, 40.0), "b": Crop(70.0, 35.0, 20.0)}
    seen = read_observations([write_clip(tmp_path / name, crop=crop) for name, crop in crops.items()])
    torch.testing.assert_close(seen.principal_points, torch.full((2, 2), 0.5))  # both are centred on the source
    torch.testing.assert_close(seen.source_sides, torch.tensor([4.0, 8.0]))


def test_frames_of_several_clips_are_counted_one_clip_after_the_other(tmp_path):
    clips = [write_clip(tmp_path / "a", 3), write_clip(tmp_path / "b", 4)]
    batches = FrameBatches(clips, [(torch.tensor([0, 2, 3, 6]), 8), (torch.tensor([1]), 0)])
    batch = batches[0]
    assert batch.frames.shape == (4, 3, 8, 8) and batch.masks.shape == (4, 1, 8, 8)
    torch.testing.assert_close(batch.frames[:, 0, 0, 0] * 255, torch.tensor([3.0, 23.0, 4.0, 34.0]))
    assert batches[1].frames is None and len(batches) == 2
    assert read_observations(clips).clip_index.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_a_clip_that_hardly_shows_a_face_is_refused(tmp_path):
    with pytest.raises(UserError, match="0 of 3"):
        read_observations([write_clip(tmp_path / "clip", confidence=0.0)])


def test_an_unknown_number_of_landmarks_is_refused(tmp_path):
    with pytest.raises(UserError, match="68 or 478"):
        read_observations([write_clip(tmp_path / "clip", num_points=21)])


def test_landmarks_that_are_not_numbers_are_refused(tmp_path):
    store = write_clip(tmp_path / "clip", num_points=68)
    tensors = safetensors.torch.load_file(store.path / "landmarks.safetensors")
    tensors["landmarks_2d"][1, 5] = torch.nan
    safetensors.torch.save_file(tensors, store.path / "landmarks.safetensors")
    with pytest.raises(UserError, match="finite"):
        read_observations([store])


@pytest.mark.parametrize("clips", [[], "nowhere"])
def test_no_clip_and_a_missing_clip_are_refused(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        TrackingData(clips).setup("fit")
