"""The figures of ``readavatar bench expression`` that an ablation of its stage is told by."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from readavatar.benchmarks.expression.dial import (
    DELAY_MEAN,
    MIXTURES,
    RANK_MEAN,
    RECOGNISED,
    measure_changes,
    measure_dial,
    turn_dial,
)
from readavatar.benchmarks.expression.lips import (
    CLOSURES,
    FACE_DISTANCE,
    FAST,
    LIP_ERROR,
    SILENCE_MEAN,
    SPREAD,
    measure_life,
    measure_lips,
)
from readavatar.benchmarks.expression.motion import TrainedMotion
from readavatar.benchmarks.expression.reader import EmotionReader, find_reader
from readavatar.benchmarks.expression.takes import Trial, make_trial
from readavatar.benchmarks.statistics import Aim
from readavatar.data.store.avatar import Avatar
from readavatar.progress import spinner

FIGURES: dict[str, tuple[str, Aim]] = {
    "lip_error_mm": (LIP_ERROR, "lower"),
    "bilabials_closed": (CLOSURES, "higher"),
    "silence_closed_%": (SILENCE_MEAN, "higher"),
    "upper_face_std": (SPREAD, "one"),
    "upper_face_fast": (FAST, "one"),
    "frechet_face_mm2": (FACE_DISTANCE, "lower"),
    "emotion_recognised_%": (RECOGNISED, "higher"),
    "strength_rank": (RANK_MEAN, "higher"),
    "mixture_error": (MIXTURES, "lower"),
    "change_delay_s": (DELAY_MEAN, "lower"),
}
"""By short name: the scorecard's row, and which of its values is good."""


def score_expression_avatar(avatar: Path, actor: int, work: Path) -> dict[str, float]:
    """Measure an avatar's expression network on the digital actor that it was trained on: held-out sentences.

    Args:
        avatar: Its folder.
        actor: The actor's seed.
        work: Folder that keeps the reader of emotions.

    Returns:
        ``FIGURES``; NaN where there is nothing to measure, as the delay of a network that forgot the emotions.
    """
    model = Avatar(avatar).part_config("expression")["morphable_model"]
    motion = TrainedMotion(avatar, _heard(actor))
    trial, reader = _trial(actor, model, motion.fps), find_reader(work)
    rows = _measure(trial, motion, reader)
    return {name: float(rows[row]) for name, (row, _) in FIGURES.items()}


@lru_cache(maxsize=1)
def _trial(actor: int, model: str, fps: float) -> Trial:
    """All ablations of a seed are measured on the same takes, one after the other."""
    return make_trial(actor, model, fps=fps)


@lru_cache(maxsize=1)
def _heard(actor: int) -> dict[str, Tensor]:
    return {}


@torch.no_grad()
def _measure(trial: Trial, motion: TrainedMotion, reader: EmotionReader) -> dict[str, float]:
    with spinner("measuring lips") as describe:
        rows = measure_lips(trial, motion)
        describe("measuring liveliness")
        rows |= measure_life(trial, motion)
        describe("measuring emotions")
        rows |= measure_dial(trial, motion, reader, turn_dial(trial, motion, reader))
        describe("measuring changes")
        changes, _ = measure_changes(trial, motion, reader)
    return rows | changes
