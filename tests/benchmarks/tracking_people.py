"""Digital actors of about a second, and a fit that returns the truth, for tests of the tracking scorecard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from readavatar.data.store import ClipStore
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.synthetic import write_actor_clip

SIZE, SECONDS = 96, 1.2
EMOTIONS = ("neutral", "happy")


def write_people(folder: Path, names: tuple[str, ...] = ("jane", "joe")) -> Path:
    """One folder a person, with a clip for each of ``EMOTIONS``."""
    for seed, name in enumerate(names):
        for emotion in EMOTIONS:
            track = EmotionTrack.parse(emotion, EmotionSpace())
            write_actor_clip(
                folder / name / emotion, seed=seed, sentences=[], duration=SECONDS, size=SIZE, zoom=1.2, emotion=track
            )
    return folder


def fit_the_truth(stage: str, clips: Sequence[Path], *, avatar: Path, **options) -> None:
    """What training the tracking stage would leave behind if it made no mistake."""
    for store in map(ClipStore, clips):
        store.write_tracking(store.truth())
    checkpoint = avatar / "training" / "tracking" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    torch.save({"state_dict": {"parameters_.offsets": torch.zeros(68, 3)}}, checkpoint)


def puff_the_cheeks(stage: str, clips: Sequence[Path], *, avatar: Path, **options) -> None:
    """The truth, with both cheeks blown up to their limit in every frame."""
    fit_the_truth(stage, clips, avatar=avatar)
    for store in map(ClipStore, clips):
        face = store.tracking()
        expressions = face.coefficients.expression_coefficients.clone()
        for index, name in enumerate(face.expression_names):
            if name.startswith("cheekPuff"):
                expressions[:, index] = 1.0
        coefficients = replace(face.coefficients, expression_coefficients=expressions)
        store.write_tracking(replace(face, coefficients=coefficients))
