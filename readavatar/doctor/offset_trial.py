"""A test of the offset measurement: shift the sound by known offsets and measure them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import to_landmarks_68
from readavatar.doctor.audio_offset import lip_curves, measure_audio_offset
from readavatar.doctor.evidence import Tick, measure_offset, offset_features
from readavatar.doctor.measurements import fill_unseen
from readavatar.errors import UserError
from readavatar.media.waveform import SAMPLE_RATE

TRIAL_SECONDS = (5, 10, 20)
SHIFTS = (-8, -5, -2, 0, 2, 5, 8)
"""Frames by which the sound is shifted."""


@dataclass(frozen=True)
class Trial:
    """All shifts of one clip in windows of one length."""

    clip: str
    own_offset: float
    """Measured over the whole unshifted clip, frames; errors are relative to it."""
    is_sure: bool
    """Whether that measurement is sure."""
    seconds: int
    errors: tuple[float, ...]
    """Measured minus true offset of every window and shift, frames."""
    sure: tuple[bool, ...]
    """Whether each measurement was sure."""


def try_offsets(stores: Sequence[ClipStore], tick: Tick = lambda what, share: None) -> list[Trial]:
    """Shift each clip's sound by known offsets and measure them in windows.

    Raises:
        UserError: A clip has no sound, or its offset cannot be measured.
    """
    trials = []
    for store in stores:
        trials += _try(store, tick)
    return trials


def print_trial(trials: Sequence[Trial], console: Console | None = None) -> None:
    """Print a table: mean absolute error in frames, and how often the measurement was sure but wrong."""
    table = Table(title="known offsets, measured again (errors in frames)", title_justify="left")
    for column in ("clip", "own offset", "window", "trials", "error", "sure", "error if sure", "sure, but > 2 off"):
        table.add_column(column, no_wrap=column in ("clip", "window"))
    for trial in trials:
        errors, sure = torch.tensor(trial.errors).abs(), torch.tensor(trial.sure)
        trusted = f"{float(errors[sure].mean()):.2f}" if bool(sure.any()) else "–"
        wrong = f"{int((sure & (errors > 2)).sum())}"
        table.add_row(
            trial.clip,
            f"{trial.own_offset:+.2f}{'' if trial.is_sure else ' ?'}",
            f"{trial.seconds} s",
            str(len(errors)),
            f"{float(errors.mean()):.2f}",
            f"{100 * float(sure.float().mean()):.0f} %",
            trusted,
            wrong,
        )
    (console or Console()).print(table)


def _try(store: ClipStore, tick: Tick) -> list[Trial]:
    landmarks = store.landmarks()
    seen = landmarks.landmark_confidence > 0
    points = fill_unseen(to_landmarks_68(landmarks.landmarks_2d), seen)
    own = measure_offset(store, points, seen, tick)
    if own is None:
        raise UserError(f"Expected 4 s or more of a moving mouth in '{store.path}', but there is less.")
    waveform, curves = store.waveform(), lip_curves(points, store.fps)
    lengths = [length for length in TRIAL_SECONDS if length * store.fps <= store.num_frames]
    errors: dict[int, list[float]] = {length: [] for length in lengths}
    sure: dict[int, list[bool]] = {length: [] for length in lengths}
    for number, shift in enumerate(SHIFTS):
        tick(f"{store.path}: sound shifted by {shift:+d} frames", number / len(SHIFTS))
        moved = torch.zeros_like(waveform)
        samples = round(shift / store.fps * SAMPLE_RATE)
        moved[max(samples, 0) : len(moved) + min(samples, 0)] = waveform[
            max(-samples, 0) : len(moved) - max(samples, 0)
        ]
        kinds = offset_features(moved, store.fps, store.num_frames)
        for length in lengths:
            count = round(length * store.fps)
            for start in range(0, store.num_frames - count + 1, count):
                part = slice(start, start + count)
                found = measure_audio_offset([kind[part] for kind in kinds], curves[part], seen[part], store.fps)
                if found is not None:
                    errors[length].append(found.frames - (own.frames - shift))
                    sure[length].append(found.is_sure)
    name = store.path.name
    return [
        Trial(name, own.frames, own.is_sure, length, tuple(errors[length]), tuple(sure[length])) for length in lengths
    ]
