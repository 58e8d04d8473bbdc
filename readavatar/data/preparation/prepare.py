"""A video of one person → a clip store.

The video is read twice, so that only one frame is in memory. The first pass finds the face in every frame and chooses
the crop; the second one crops the frames and draws the masks.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8

from readavatar.data.preparation.faces import (
    Selection,
    choose_crop,
    crop_frame,
    describe_times,
    face_mask,
    is_found,
    select_person,
)
from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.detection import DetectedFace, FaceDetector
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.files import sha256_of_file
from readavatar.media.video import VideoInfo, frame_rate, probe, read_video
from readavatar.media.waveform import SAMPLE_RATE, read_waveform
from readavatar.progress import track

_LOGGER = logging.getLogger(__name__)

SMALLEST_SIZE, LARGEST_SIZE = 64, 2048
"""Pixels."""
SMALL_FACE = 0.2
"""Share of the crop's side; a smaller face gives a warning."""


@runtime_checkable
class Detector(Protocol):
    """Finds faces in a frame."""

    def detect(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[DetectedFace]:
        """The faces in an RGB frame."""


def prepare_clip(
    video: str | Path,
    out: str | Path,
    *,
    size: int = 256,
    fps: Fraction | float | int | str | None = None,
    sound: str | Path | None = None,
    emotion: EmotionTrack | None = None,
    detector: Detector | None = None,
    say: Callable[[str], None] = _LOGGER.warning,
    progress: bool | None = None,
) -> ClipStore:
    """Turn a video of one person into a clip store.

    Args:
        video: Any video file.
        out: The store's folder. It is written as a whole at the end and replaces an earlier store.
        size: Height and width of the crop around the face, pixels; smaller if the video has fewer.
        fps: Frames per second; by default the video's own (nominal) rate.
        sound: A file with the sound, if it is not in the video; it begins with the video's first frame.
        emotion: The person's emotion.
        detector: By default MediaPipe's.
        say: Called with each remark for the user, such as missing sound or frames without a face. By default, they are
            logged as warnings.
        progress: Draw progress bars; by default only within ``progress_bars()``.

    Returns:
        The new store.

    Raises:
        UserError: The size is out of range; the video cannot be read or does not show one person in most of its frames;
            or there is something else than a clip store at ``out``.

    Example:
        >>> from readavatar import prepare
        >>> prepare("jane.mp4", "clips/jane", size=256)
        Traceback (most recent call last):
            ...
        readavatar.errors.UserError: Expected a media file at 'jane.mp4', but there is none.
    """
    video = Path(video)
    if not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise UserError(f"Expected a size of {SMALLEST_SIZE} to {LARGEST_SIZE} pixels, but got {size}.")
    info = _at_rate(probe(video), fps)
    sound = Path(sound) if sound is not None else video if info.has_audio else None

    def frames(description: str) -> Iterable[UInt8[np.ndarray, "H W 3"]]:
        reader = read_video(video, info.fps)
        return track(reader, description, info.num_frames, progress)

    with _opened(detector) as faces:
        found = (faces.detect(frame) for frame in frames("finding the face"))
        selection = select_person(found, info.height, info.width, float(info.fps), video.name)
    landmarks = selection.landmarks
    crop, clip_size = choose_crop(landmarks.landmarks_2d[is_found(landmarks)], info.height, info.width, size)
    landmarks_2d = crop.source_to_clip(landmarks.landmarks_2d, clip_size) * is_found(landmarks)[:, None, None]

    with writing_clip_store(out) as writer:
        for index, frame in enumerate(frames("cutting it out")):
            has_face = bool(landmarks.landmark_confidence[index] > 0)
            mask = face_mask(landmarks_2d[index].numpy(), clip_size) if has_face else _no_face(clip_size)
            writer.add_frame(crop_frame(frame, crop, clip_size), mask)
        writer.write_landmarks(replace(landmarks, landmarks_2d=landmarks_2d))
        if sound is not None:
            num_samples = round(info.num_frames / info.fps * SAMPLE_RATE)
            waveform = read_waveform(sound, SAMPLE_RATE)[:num_samples]
            writer.write_waveform(torch.nn.functional.pad(waveform, (0, num_samples - len(waveform))))
        if emotion is not None:
            writer.write_emotion(emotion)
        source = f"source{video.suffix.lower()}"
        _link_or_copy(video, writer.path / source)
        writer.finish(
            ClipInfo(
                num_frames=info.num_frames,
                fps=str(info.fps),
                size=clip_size,
                source=source,
                source_name=video.name,
                source_sha256=sha256_of_file(video),
                source_height=info.height,
                source_width=info.width,
                crop=crop,
                has_audio=sound is not None,
            )
        )
    if sound is None:
        say(f"{video.name}: no sound; the clip can be tracked, but not used to train on speech")
    for line in _remarks(video, info, selection, crop, clip_size, size):
        say(line)
    return ClipStore(out)


def _at_rate(info: VideoInfo, fps: Fraction | float | int | str | None) -> VideoInfo:
    if fps is None:
        return info
    rate = frame_rate(fps)
    return replace(info, fps=rate, num_frames=max(1, round(info.duration * rate)))


def _opened(detector: Detector | None) -> AbstractContextManager[Detector]:
    return FaceDetector(video=True) if detector is None else nullcontext(detector)


def _no_face(size: int) -> UInt8[np.ndarray, "size size"]:
    return np.zeros((size, size), np.uint8)


def _link_or_copy(source: Path, target: Path) -> None:
    """Hard-link the file if the file system allows it, else copy it."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _remarks(
    video: Path, info: VideoInfo, selection: Selection, crop: Crop, clip_size: int, size: int
) -> Iterable[str]:
    for reason, indices in selection.rejected.items():
        share = 100 * len(indices) / info.num_frames
        times = describe_times(indices, float(info.fps))
        frames = f"{len(indices)} of {info.num_frames} frames ({share:.1f} %)"
        yield f"{video.name}: {frames} are left out, {reason}: {times}"
    if clip_size < size:
        yield f"{video.name}: frames of {clip_size}×{clip_size}, not {size}: the video has no more pixels there"
    landmarks = selection.landmarks.landmarks_2d[is_found(selection.landmarks)]
    face = float((landmarks.amax(1) - landmarks.amin(1)).median(0).values.max())
    if face < SMALL_FACE * crop.size:
        yield (
            f"{video.name}: the face is only {face:.0f} of the crop's {crop.size:.0f} pixels high, since it moves "
            "around; cut the video where it stays in one place for more detail"
        )
