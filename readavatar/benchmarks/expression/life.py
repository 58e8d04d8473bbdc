"""The expression scorecard's rows on liveliness: as much motion as the truth's, and of the same kind."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import Motion, true_motion
from readavatar.benchmarks.expression.takes import Trial, drawn
from readavatar.benchmarks.scorecard import Row
from readavatar.metrics import frechet_distance, motion_windows, pooled_fast_energy, pooled_std, principal_axes

SPREAD = "upper face: standard deviation, over the truth's"
FAST = "upper face: energy above 2 Hz, over the truth's"
FACE_DISTANCE = "Fréchet distance of 1 s windows, face"
UPPER_DISTANCE = "Fréchet distance of 1 s windows, upper face"
LIFE_ROWS = {
    SPREAD: Row("ratio", at_least=0.9, at_most=1.1),
    FAST: Row("ratio", at_least=0.9, at_most=1.1),
    FACE_DISTANCE: Row("mm²"),
    UPPER_DISTANCE: Row("mm²"),
}

CUTOFF = 2.0
"""Hz."""
NUM_SAMPLES, NUM_TRUTHS = 8, 16
"""Draws of every take, and performances of it that are the truth: one has blinks enough for a guess only."""
_FIRST_TRUTH_SEED = 100_000
WINDOW_SECONDS, STEP_SECONDS = 1.0, 0.2
NUM_AXES = 32
"""Of the true training motion's windows; what it does not vary in is not compared, and Gaussians of more dimensions
would need more windows."""


def measure_life(trial: Trial, motion: Motion) -> dict[str, float]:
    """``LIFE_ROWS``: draws for every held-out take against other performances of the same takes.

    The truth's own row is thus what a perfect network would get: not 0 for a distance, since blinks and brows fall
    elsewhere each time, and windows are a sample.
    """
    act = true_motion(trial.character)
    generated = [motion(take, take.emotion, seed) for take, seed in drawn(trial.takes, NUM_SAMPLES)]
    true = [act(take, take.emotion, seed) for take, seed in drawn(trial.takes, NUM_TRUTHS, _FIRST_TRUTH_SEED)]
    upper, true_upper = (
        [trial.space.displacement("upper_face", each) for each in takes] for takes in (generated, true)
    )
    return {
        SPREAD: pooled_std(upper) / pooled_std(true_upper),
        FAST: pooled_fast_energy(upper, trial.fps, CUTOFF) / pooled_fast_energy(true_upper, trial.fps, CUTOFF),
        FACE_DISTANCE: _distance(trial, "face", generated, true),
        UPPER_DISTANCE: _distance(trial, "upper_face", generated, true),
    }


def _distance(trial: Trial, part: str, generated: list[Tensor], true: list[Tensor]) -> float:
    training, *compared = (_windows(trial, part, takes) for takes in (_training(trial), generated, true))
    mean, axes = principal_axes(training, NUM_AXES)
    return frechet_distance(*((windows - mean) @ axes for windows in compared))


def _training(trial: Trial) -> list[Tensor]:
    return [take.expressions for take in trial.training]


def _windows(trial: Trial, part: str, takes: list[Float[Tensor, "_ E"]]) -> Float[Tensor, "W D"]:
    """Scaled so that a window's square is the mean square displacement over its frames and the part's vertices, mm²."""
    length = round(WINDOW_SECONDS * trial.fps)
    step = max(1, round(STEP_SECONDS * trial.fps))
    windows = [motion_windows(trial.space.displacement(part, take), length, step) for take in takes]
    return torch.cat(windows) / math.sqrt(length)
