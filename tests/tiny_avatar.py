"""A whole avatar that has learnt nothing, and speech for it."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from tiny_footage import write_footage, write_painter
from untrained_avatars import write_untrained

from readavatar.data.store import ClipStore, Crop
from readavatar.media.video import VideoWriter

HEIGHT, WIDTH, LEFT, TOP = 64, 80, 9.5, 6.0
"""Of the footage, and where the clip's frames lie in it, pixels."""


def write_tiny_avatar(folder: Path, num_frames: int = 24) -> Path:
    """An avatar with both networks, in footage that is larger than the clip's frames, and ``speech.wav`` beside it."""
    store = write_footage(folder / "clips" / "jane", num_frames)
    _add_source(store)
    avatar = folder / "avatar"
    write_untrained(avatar, morphable_model="tiny", expression_names=["jawOpen"])
    write_painter(avatar, store.path)
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    soundfile.write(folder / "speech.wav", noise * np.sin(np.arange(16_000) / 900) ** 2, 16_000)
    return avatar


def _add_source(store: ClipStore) -> None:
    generator = np.random.default_rng(1)
    with VideoWriter(store.path / "film.mp4", Fraction(store.info.fps)) as writer:
        for index in range(store.num_frames):
            frame = generator.integers(90, 110, (HEIGHT, WIDTH, 3), np.uint8)
            frame[6 : 6 + store.info.size, 9 : 9 + store.info.size] = store.frame(index)
            writer.add(frame)
    size = {"source_height": HEIGHT, "source_width": WIDTH}
    info = dataclasses.replace(store.info, source="film.mp4", crop=Crop(LEFT, TOP, float(store.info.size)), **size)
    (store.path / "clip.json").write_text(json.dumps(dataclasses.asdict(info)))
