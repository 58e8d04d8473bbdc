"""Claims on a clip's speech features: computed once, and again when what they depend on changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from readavatar.data.datasets.speech_features import clip_speech_features
from readavatar.data.store import ClipInfo, ClipStore, Crop, writing_clip_store
from readavatar.errors import UserError
from readavatar.speech.log_mel import LogMelEncoder


def _write_clip(path, has_audio: bool = True, seed: int = 0) -> ClipStore:
    with writing_clip_store(path) as writer:
        for _ in range(5):
            writer.add_frame(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))
        if has_audio:
            writer.write_waveform(0.1 * torch.randn(3200, generator=torch.Generator().manual_seed(seed)))
        writer.finish(ClipInfo(5, "25", 8, None, "x.mp4", None, 8, 8, Crop(0.0, 0.0, 8.0), has_audio))
    return ClipStore(path)


class _CountingEncoder(LogMelEncoder):
    calls = 0

    def encode(self, *arguments):
        type(self).calls += 1
        return super().encode(*arguments)


def test_features_are_computed_once_for_the_same_sound_and_encoder(tmp_path):
    store = _write_clip(tmp_path / "clip")
    _CountingEncoder.calls = 0
    first = clip_speech_features(store, _CountingEncoder())
    second = clip_speech_features(ClipStore(tmp_path / "clip"), _CountingEncoder())
    assert first.shape == (5, 80) and torch.equal(first, second) and _CountingEncoder.calls == 1
    clip_speech_features(store, _CountingEncoder(40))
    assert _CountingEncoder.calls == 2


def test_another_sound_in_the_same_clip_is_not_served_from_the_cache(tmp_path):
    first = clip_speech_features(_write_clip(tmp_path / "clip"), LogMelEncoder())
    cache = (tmp_path / "clip" / "cache").rename(tmp_path / "cache")
    store = _write_clip(tmp_path / "clip", seed=1)
    cache.rename(tmp_path / "clip" / "cache")
    assert not torch.equal(first, clip_speech_features(store, LogMelEncoder()))


def test_a_silent_video_is_refused(tmp_path):
    with pytest.raises(UserError, match="Expected a clip with sound"):
        clip_speech_features(_write_clip(tmp_path / "clip", has_audio=False), LogMelEncoder())
