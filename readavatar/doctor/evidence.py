"""All that is measured of a clip, once, before it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.assets import find_asset
from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import to_landmarks_68
from readavatar.doctor.audio_offset import LEAST_SECONDS, AudioOffset, lip_curves, measure_audio_offset, with_change
from readavatar.doctor.leaving_out import LeftOut, as_flags, frames_to_leave_out
from readavatar.doctor.measurements import FrameStatistics, fill_unseen, head_angles, measure_frames
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.speech import load_speech_encoder
from readavatar.speech.silence import is_silent
from readavatar.types import TrackedFace

WHISPER = "whisper_tiny_en"
_WHISPER_LAYERS = (1, 2)
"""Of those of the tiny encoder, the two from which a ridge regression tells lips best within a frame."""

Tick = Callable[[str, float], None]
"""Is told what is being done and the share of it that is."""


@dataclass(frozen=True)
class Evidence:
    """A clip, measured."""

    store: ClipStore
    problems: tuple[str, ...]
    """Of files that are missing or damaged; what they held is then absent below."""
    landmarks: Float[Tensor, "T 68 2"]
    """Pixels; filled in where there is no face."""
    confidence: Float[Tensor, " T"]
    statistics: FrameStatistics
    left_out: tuple[LeftOut, ...]
    angles: Float[Tensor, "T 2"]
    """(yaw, pitch) of the head, degrees; to the viewer's right and up."""
    waveform: Float[Tensor, " num_samples"] | None
    speaking: Bool[Tensor, " T"]
    """Where there is speech to be heard."""
    offset: AudioOffset | None
    emotion: EmotionTrack | None
    tracking: TrackedFace | None

    @property
    def seen(self) -> Bool[Tensor, " T"]:
        """Where there is a face."""
        return self.confidence > 0

    @property
    def usable(self) -> Bool[Tensor, " T"]:
        """Frames that a training can use."""
        return ~as_flags(list(self.left_out), len(self.confidence))

    @property
    def usable_speech(self) -> Bool[Tensor, " T"]:
        """Frames with a face that speaks."""
        return self.usable & self.speaking

    @property
    def seconds(self) -> float:
        """The clip's length."""
        return self.store.num_frames / self.store.fps


def gather(store: ClipStore, tick: Tick = lambda what, share: None) -> Evidence:
    """Read and measure everything.

    Raises:
        UserError: There are no landmarks, without which nothing can be said.
    """
    seen_by_detector = store.landmarks()
    problems: list[str] = []
    landmarks, confidence = to_landmarks_68(seen_by_detector.landmarks_2d), seen_by_detector.landmark_confidence
    landmarks = fill_unseen(landmarks, confidence > 0)
    statistics = measure_frames(store, landmarks, confidence > 0, lambda share: tick("looking at the frames", share))
    problems += statistics.errors
    left_out = frames_to_leave_out(landmarks, confidence, statistics, store.info.size, store.fps)
    waveform = _attempt(store.waveform, problems) if store.info.has_audio else None
    if waveform is None:
        speaking = torch.zeros(store.num_frames, dtype=torch.bool)
    else:
        speaking = ~is_silent(waveform, store.fps, store.num_frames)
        # A sound without any level would be all noise floor, and that counts as speech at its own level.
        speaking &= bool(waveform.abs().max() > 0)
    emotion = _attempt(store.emotion, problems)
    tracking = _attempt(store.tracking, problems) if store.is_tracked else None
    if store.has_truth:
        _attempt(store.truth, problems)
    return Evidence(
        store=store,
        problems=tuple(problems),
        landmarks=landmarks,
        confidence=confidence,
        statistics=statistics,
        left_out=tuple(left_out),
        angles=head_angles(landmarks, store.info.size, tracking),
        waveform=waveform,
        speaking=speaking,
        offset=_offset(store, landmarks, confidence > 0, speaking, tick) if waveform is not None else None,
        emotion=emotion,
        tracking=tracking,
    )


def measure_offset(
    store: ClipStore, landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"], tick: Tick
) -> AudioOffset | None:
    """The clip's offset; its speech features are not kept, since a correction would at once outdate them."""
    tick("listening", 0.0)
    kinds = offset_features(store.waveform(), store.fps, store.num_frames)
    curves = lip_curves(landmarks, store.fps)
    return measure_audio_offset(kinds, curves, seen, store.fps, lambda share: tick("comparing lips and sound", share))


def offset_features(
    waveform: Float[Tensor, " num_samples"], fps: float, num_frames: int
) -> list[Float[Tensor, "num_frames _"]]:
    """Log-mel energies with their change and, where its weights are on this machine, two layers of Whisper."""
    kinds = [with_change(load_speech_encoder("log_mel").encode(waveform, fps, num_frames))]
    if find_asset(WHISPER):
        whisper = load_speech_encoder("whisper", layers=_WHISPER_LAYERS).encode(waveform, fps, num_frames)
        kinds += whisper.chunk(len(_WHISPER_LAYERS), dim=1)
    return kinds


def _offset(
    store: ClipStore,
    landmarks: Float[Tensor, "T 68 2"],
    seen: Bool[Tensor, " T"],
    speaking: Bool[Tensor, " T"],
    tick: Tick,
) -> AudioOffset | None:
    if float((speaking & seen).sum()) < LEAST_SECONDS * store.fps:
        return None
    return measure_offset(store, landmarks, seen, tick)


def _attempt(read: Callable, problems: list[str]):
    try:
        return read()
    except UserError as error:
        problems.append(str(error))
        return None
