"""The expression scorecard's rows on lips and liveliness.

Lips: close to the truth, closed where the truth is closed, in every emotion. Liveliness: as much motion as the truth,
    with
the same distribution.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import SPACE, MotionSource, true_motion
from readavatar.benchmarks.expression.takes import Trial, constant_emotion, drawn, frames_within
from readavatar.benchmarks.scorecard import Row
from readavatar.emotion import EmotionTrack
from readavatar.metrics import (
    closure_recall,
    frechet_distance,
    motion_windows,
    pooled_fast_energy,
    pooled_std,
    principal_axes,
)
from readavatar.synthetic import play

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
NUM_MOTIONS, NUM_TRUTHS = 8, 16
"""Generated motions and true performances of every take: a single one has too few blinks for a good estimate."""
_FIRST_TRUTH_SEED = 100_000
WINDOW_SECONDS, STEP_SECONDS = 1.0, 0.2
NUM_AXES = 32
"""Principal axes of the true training motion's windows. Other directions are not compared, since Gaussians of more
dimensions would need more windows."""


def measure_life(trial: Trial, motion: MotionSource) -> dict[str, float]:
    """``LIFE_ROWS``: generated motions of every held-out take against true performances of the same takes.

    The truth's own row is what a perfect network would get. It is not 0 for a distance, since blinks and brow motion
    differ in each performance and windows are a sample.
    """
    act = true_motion(trial.character)
    generated = [motion(take, take.emotion, seed) for take, seed in drawn(trial.takes, NUM_MOTIONS)]
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
    """Windows scaled so that their squared norm is the mean square displacement over frames and vertices, mm²."""
    length = round(WINDOW_SECONDS * trial.fps)
    step = max(1, round(STEP_SECONDS * trial.fps))
    windows = [motion_windows(trial.space.displacement(part, take), length, step) for take in takes]
    return torch.cat(windows) / math.sqrt(length)


LIP_ERROR = "lip vertex error"
EMOTIONAL_LIPS = "lip vertex error, all emotions over neutral"
CLOSURES = "bilabials: closed where the truth is, over the truth's own"
CLOSURES_FOUND = "bilabials found by the own gap, at 5 % false"
SILENCE_WORST = "silences: mouth closed, worst emotion"
SILENCE_MEAN = "silences: mouth closed, mean over emotions"
LIP_ROWS = {
    LIP_ERROR: Row("mm"),
    EMOTIONAL_LIPS: Row("ratio", at_most=1.15),
    CLOSURES: Row("of 1", at_least=0.9),
    CLOSURES_FOUND: Row("of 1"),
    SILENCE_WORST: Row("%", at_least=98.0),
    SILENCE_MEAN: Row("%", at_least=98.0),
}

NUM_SAMPLES = 4
"""Motions generated for each take."""
CLOSED = 0.5
"""Millimetres of opening beyond the resting lips, which touch; as in the tracking scorecard."""
RESTING = 1.0
"""The same for a mouth between words."""
SHORTEST_SILENCE = 0.3
"""Seconds."""
MUTED_SECONDS = 3.0
"""Length of a take without words, which counts with the silences between words."""
_NO_RATIO = 0.1
"""Millimetres: smaller lip errors are rounding, and their ratios mean nothing (the truth against itself)."""
_TRUTH_SEED = 100_000


def measure_lips(trial: Trial, motion: MotionSource) -> dict[str, float]:
    """``LIP_ROWS``.

    Bilabials are measured in two ways. The first is the share of frames within /p b m/ with truly closed lips (opening
    at most ``CLOSED`` beyond rest) in which the generated lips are closed, too. It is divided by the share of the
    actor's own second performance. The second, ``closure_recall``, does not depend on the opening at rest, but a mouth
    that never opens cannot score high on it.

    Silences count only where the actor's own mouth is closed in the requested emotion, so not while it is closing or
    opening. The actor's mouth closes in every emotion.
    """
    neutral, emotional = _lip_errors(trial, motion)
    worst, mean = _silences(trial, motion)
    closed, found = _bilabials(trial, motion)
    own_closed, _ = _bilabials(trial, true_motion(trial.character))
    return {
        LIP_ERROR: _mean_lip_error(trial, motion),
        EMOTIONAL_LIPS: emotional / neutral if neutral > _NO_RATIO else float("nan"),
        CLOSURES: closed / own_closed if own_closed > 0 else float("nan"),
        CLOSURES_FOUND: found,
        SILENCE_WORST: worst,
        SILENCE_MEAN: mean,
    }


def _mean_lip_error(trial: Trial, motion: MotionSource) -> float:
    errors = [
        trial.space.lip_error(motion(take, take.emotion, seed), take.expressions)
        for take, seed in drawn(trial.takes, NUM_SAMPLES)
    ]
    return float(torch.cat(errors).mean())


def _lip_errors(trial: Trial, motion: MotionSource) -> tuple[float, float]:
    """In neutral and, with the same sound, over all emotions at full strength."""
    act = true_motion(trial.character)
    errors = {}
    for emotion in ({}, *({name: 1.0} for name in SPACE.names)):
        found = []
        for seed, line in enumerate(trial.lines):
            asked = constant_emotion(line, **emotion)
            found.append(trial.space.lip_error(motion(line, asked, seed), act(line, asked, _TRUTH_SEED)))
        errors["+".join(emotion)] = float(torch.cat(found).mean())
    neutral = errors.pop("")
    return neutral, sum(errors.values()) / len(errors)


def _bilabials(trial: Trial, motion: MotionSource) -> tuple[float, float]:
    """Share of the truth's closures in which the generated lips are closed; and ``closure_recall``."""
    gaps: list[Tensor] = []
    true_gaps: list[Tensor] = []
    are_meant: list[Tensor] = []
    for take, seed in drawn([*trial.takes, *trial.lines], NUM_SAMPLES):
        gaps.append(_gap(trial, motion(take, take.emotion, seed)))
        true_gaps.append(_gap(trial, take.expressions))
        are_meant.append(frames_within(take, frozenset("pbm")))
    gap, true_gap, is_meant = torch.cat(gaps), torch.cat(true_gaps), torch.cat(are_meant)
    is_closed = is_meant & (true_gap <= CLOSED)
    if not bool(is_closed.any()):
        return float("nan"), float("nan")
    # Frames within /p b m/ in which the lips are closing or opening count as neither.
    counted = is_closed | (true_gap > CLOSED)
    return float((gap[is_closed] <= CLOSED).float().mean()), closure_recall(gap[counted], true_gap[counted], CLOSED)


def _gap(trial: Trial, expressions: Float[Tensor, "T E"]) -> Float[Tensor, " T"]:
    return trial.space.opening(expressions) - trial.space.opening_at_rest


def _silences(trial: Trial, motion: MotionSource) -> tuple[float, float]:
    """Per cent of the frames in silences with a closed mouth: in the worst emotion, and the mean over all."""
    shares = []
    act = true_motion(trial.character)
    muted = play(trial.character, 0, [], EmotionTrack.constant(SPACE), fps=trial.fps, duration=MUTED_SECONDS)
    for emotion in ({}, *({name: 1.0} for name in SPACE.names)):
        gaps = []
        for seed, line in enumerate([*trial.lines, muted]):
            asked = constant_emotion(line, **emotion)
            is_silent = frames_within(line, frozenset({""}), SHORTEST_SILENCE)
            is_silent &= _gap(trial, act(line, asked, _TRUTH_SEED)) <= CLOSED
            gaps.append(_gap(trial, motion(line, asked, seed))[is_silent])
        shares.append(100 * float((torch.cat(gaps) <= RESTING).float().mean()))
    return min(shares), sum(shares) / len(shares)
