"""The evidence: all measurements of a clip for the checks, and the frames that a training should leave out."""

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
from readavatar.doctor.measurements import FrameStatistics, fill_unseen, head_angles, interocular, measure_frames, runs
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.speech import load_speech_encoder
from readavatar.speech.silence import is_silent
from readavatar.types import TrackedFace

LOW_CONFIDENCE = 0.5
"""The usual threshold of detectors."""
_RIGID = [27, 30, 33, 36, 39, 42, 45]
"""iBUG's nose and eye corners, which move only with the head."""
_INNER = slice(17, 68)
MOST_HEAD_SPEED = 6.0
"""Inter-ocular distances per second (about 0.5 m/s). A shaking head reaches half of it; more is a cut or another
face."""
MOST_SHAPE_SPEED = 3.0
"""The same for the mean of the landmarks within the face; the fastest lips reach half of it."""
_MOST_OUTSIDE = 0.05
"""Share of the landmarks."""
_BLURRED = 0.5
"""Relative to the clip's median sharpness; closed eyes and turned heads give 0.7 or more."""
BLANK = 3.0
"""Levels of contrast: a black, white or grey picture."""
DUPLICATE = 0.03
"""Levels of change: compressed video of a still face changes by 0.05 and more from frame to frame."""
_FROZEN_FRAMES = 2
"""Duplicates in a row; single ones come from a conversion of the frame rate, which is another check."""


@dataclass(frozen=True)
class LeftOut:
    """A stretch of frames [first, last)."""

    first: int
    last: int
    reason: str


def frames_to_leave_out(
    landmarks: Float[Tensor, "T 68 2"],
    confidence: Float[Tensor, " T"],
    statistics: FrameStatistics,
    size: int,
    fps: float,
) -> list[LeftOut]:
    """All stretches in order of time; each frame has one reason, the first that applies.

    Args:
        landmarks: Pixels; interpolated in frames without a face.
        confidence: The detector's; 0 without a face.
        statistics: Of the pictures.
        size: Of the frames, pixels.
        fps: Frames a second.
    """
    seen = confidence > 0
    reasons = {
        "the picture cannot be read": statistics.unreadable,
        "the picture is black or blank": statistics.contrast < BLANK,
        "the picture is frozen": frozen(statistics.change),
        "no face was found": ~seen,
        "the detector is not sure": seen & (confidence < LOW_CONFIDENCE),
        "the landmarks jump: a cut, or another face": seen & _fast(landmarks, seen, fps),
        "the face changes its shape at once: a failure of the detector": seen & _reshaped(landmarks, seen, fps),
        "the face is cut by the frame's edge": seen & _is_cut(landmarks, size),
        "the picture is blurred": statistics.sharpness < _BLURRED * statistics.sharpness.nanmedian(),
    }
    taken = torch.zeros(len(seen), dtype=torch.bool)
    found = []
    for reason, flags in reasons.items():
        found += [LeftOut(first, last, reason) for first, last in runs(flags & ~taken)]
        taken |= flags
    return sorted(found, key=lambda part: part.first)


def as_flags(parts: list[LeftOut], num_frames: int) -> Bool[Tensor, " T"]:
    """Whether each frame is left out."""
    flags = torch.zeros(num_frames, dtype=torch.bool)
    for part in parts:
        flags[part.first : part.last] = True
    return flags


def frozen(change: Float[Tensor, " T"]) -> Bool[Tensor, " T"]:
    """Frames in a run of pictures that equal the one before."""
    flags = torch.zeros(len(change), dtype=torch.bool)
    for first, last in runs(change < DUPLICATE):
        if last - first >= _FROZEN_FRAMES:
            flags[first:last] = True
    return flags


def _fast(landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"], fps: float) -> Bool[Tensor, " T"]:
    points = landmarks[:, _RIGID]
    return _above(_steps(points, landmarks, seen).median(-1).values, MOST_HEAD_SPEED / fps)


def _reshaped(landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"], fps: float) -> Bool[Tensor, " T"]:
    points = landmarks[:, _INNER]
    points = points - points.mean(1, keepdim=True)
    return _above(_steps(points, landmarks, seen).mean(-1), MOST_SHAPE_SPEED / fps)


def _steps(
    points: Float[Tensor, "T n 2"], landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"]
) -> Float[Tensor, "steps n"]:
    """The motion of each point from frame to frame, in units of the clip's median inter-ocular distance."""
    distance = interocular(landmarks)
    usual = distance[seen].median() if bool(seen.any()) else distance.new_tensor(1.0)
    return points.diff(dim=0).norm(dim=-1) / usual.clamp(min=1e-6)


def _above(steps: Float[Tensor, " steps"], most: float) -> Bool[Tensor, " T"]:
    return torch.nn.functional.pad(steps > most, (1, 0))


def _is_cut(landmarks: Float[Tensor, "T 68 2"], size: int) -> Bool[Tensor, " T"]:
    outside = (landmarks < -1) | (landmarks > size + 1)
    return outside.any(-1).float().mean(-1) > _MOST_OUTSIDE


WHISPER = "whisper_tiny_en"
_WHISPER_LAYERS = (1, 2)
"""The two layers of the tiny encoder from which a ridge regression predicts the lips best."""

Tick = Callable[[str, float], None]
"""Called with a description of the current work and the share that is done."""


@dataclass(frozen=True)
class Evidence:
    """The measurements of a clip."""

    store: ClipStore
    problems: tuple[str, ...]
    """Missing or damaged files; their data are then absent below."""
    landmarks: Float[Tensor, "T 68 2"]
    """Pixels; interpolated where there is no face."""
    confidence: Float[Tensor, " T"]
    statistics: FrameStatistics
    left_out: tuple[LeftOut, ...]
    angles: Float[Tensor, "T 2"]
    """(yaw, pitch) of the head, degrees; to the viewer's right and up."""
    waveform: Float[Tensor, " num_samples"] | None
    speaking: Bool[Tensor, " T"]
    """Frames with speech."""
    offset: AudioOffset | None
    emotion: EmotionTrack | None
    tracking: TrackedFace | None

    @property
    def seen(self) -> Bool[Tensor, " T"]:
        """Frames with a face."""
        return self.confidence > 0

    @property
    def usable(self) -> Bool[Tensor, " T"]:
        """Frames that a training can use."""
        return ~as_flags(list(self.left_out), len(self.confidence))

    @property
    def usable_speech(self) -> Bool[Tensor, " T"]:
        """Usable frames with speech."""
        return self.usable & self.speaking

    @property
    def seconds(self) -> float:
        """The clip's length."""
        return self.store.num_frames / self.store.fps


def gather(store: ClipStore, tick: Tick = lambda what, share: None) -> Evidence:
    """Read a clip and measure everything.

    Raises:
        UserError: There are no landmarks, without which nothing can be measured.
    """
    seen_by_detector = store.landmarks()
    problems: list[str] = []
    landmarks, confidence = to_landmarks_68(seen_by_detector.landmarks_2d), seen_by_detector.landmark_confidence
    landmarks = fill_unseen(landmarks, confidence > 0)
    statistics = measure_frames(store, landmarks, confidence > 0, lambda share: tick("reading the frames", share))
    problems += statistics.errors
    left_out = frames_to_leave_out(landmarks, confidence, statistics, store.info.size, store.fps)
    waveform = _attempt(store.waveform, problems) if store.info.has_audio else None
    if waveform is None:
        speaking = torch.zeros(store.num_frames, dtype=torch.bool)
    else:
        speaking = ~is_silent(waveform, store.fps, store.num_frames)
        # Silence is relative to the sound's level, so that a sound of zeros would count as speech.
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
    """The clip's offset. Its speech features are not cached, since a correction would make them invalid."""
    tick("computing speech features", 0.0)
    kinds = offset_features(store.waveform(), store.fps, store.num_frames)
    curves = lip_curves(landmarks, store.fps)
    return measure_audio_offset(kinds, curves, seen, store.fps, lambda share: tick("comparing lips and sound", share))


def offset_features(
    waveform: Float[Tensor, " num_samples"], fps: float, num_frames: int
) -> list[Float[Tensor, "num_frames _"]]:
    """Log-mel energies with their change and, if its weights are installed, two layers of Whisper."""
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
