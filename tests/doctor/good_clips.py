"""Clip stores around given landmarks and sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.emotion import EmotionTrack
from readavatar.types import Landmarks, TrackedFace

SIZE = 128
FPS = 25


def write_clip(
    path: Path,
    landmarks: torch.Tensor,
    waveform: torch.Tensor | None,
    emotion: EmotionTrack | None = None,
    face: TrackedFace | None = None,
    confidence: torch.Tensor | None = None,
) -> ClipStore:
    """A clip store around landmarks and a sound; its pictures are a texture under noise."""
    count = len(landmarks)
    generator = np.random.default_rng(0)
    texture = generator.integers(40, 216, (SIZE // 2, SIZE // 2, 3)).repeat(2, 0).repeat(2, 1)
    mask = np.full((SIZE, SIZE), 255, np.uint8)
    with writing_clip_store(path) as writer:
        for _ in range(count):
            noise = generator.integers(0, 8, (SIZE, 1, 1))
            writer.add_frame((texture + noise).astype(np.uint8), mask)
        if waveform is not None:
            writer.write_waveform(waveform)
        confidence = torch.ones(count) if confidence is None else confidence
        poses = torch.eye(4).repeat(count, 1, 1)
        writer.write_landmarks(Landmarks(landmarks, confidence, torch.zeros(count, 52), poses))
        if emotion is not None:
            writer.write_emotion(emotion)
        crop = Crop(0.0, 0.0, float(SIZE))
        writer.finish(
            ClipInfo(count, str(FPS), SIZE, None, "good", None, SIZE, SIZE, crop, has_audio=waveform is not None)
        )
    store = ClipStore(path)
    if face is not None:
        store.write_tracking(face)
    return store
