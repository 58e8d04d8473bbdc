"""The expression scorecard's rows on emotion: does the face show the requested emotion at the requested strength?

Rows on strength ("dial") raise each emotion in steps and measure it with an independent reader. Rows on change measure
how soon and how smoothly a new emotion appears.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import SPACE, MotionSource, true_motion
from readavatar.benchmarks.expression.reader import EmotionReader
from readavatar.benchmarks.expression.takes import Trial, constant_emotion
from readavatar.benchmarks.scorecard import Row
from readavatar.metrics import largest_step_back, rank_correlation, step_response, window_means
from readavatar.synthetic import Take

RECOGNISED = "emotion recognised, strength 1"
RANK_WORST = "rank correlation of asked and measured strength, worst emotion"
RANK_MEAN = "rank correlation of asked and measured strength, mean"
STEP_BACK = "largest step backwards on the dial"
STEP_BACK_ERRORS = "largest step backwards, in standard errors"
DIAL_ERROR = "dial: measured against asked strength, mean error"
MIXTURES = "mixtures: measured pair against asked, mean error"
DIAL_ROWS = {
    RECOGNISED: Row("%", at_least=95.0),
    RANK_WORST: Row("ρ", at_least=0.97),
    RANK_MEAN: Row("ρ", at_least=0.97),
    STEP_BACK: Row("of 1"),
    STEP_BACK_ERRORS: Row("s.e.", at_most=2.0),
    DIAL_ERROR: Row("of 1"),
    MIXTURES: Row("of 1", at_most=0.1),
}

NUM_STEPS = 11
MIXED = ((0.3, 0.7), (0.5, 0.5), (0.7, 0.3), (1.0, 0.5), (0.5, 1.0))
WINDOW_SECONDS = 1.0


@dataclass(frozen=True)
class Dial:
    """The measured strength of each emotion, requested in steps from 0 to 1."""

    asked: Float[Tensor, " K"]
    measured: Float[Tensor, "N R K"]
    """For R lines; N are ``SPACE.names``."""


def turn_dial(trial: Trial, motion: MotionSource, reader: EmotionReader) -> Dial:
    """Each emotion at ``NUM_STEPS`` strengths, in every line.

    A line keeps its seed over all steps, so that only the strength differs from step to step.
    """
    asked = torch.linspace(0, 1, NUM_STEPS)
    measured = torch.zeros(SPACE.num_emotions, len(trial.lines), NUM_STEPS)
    for row, name in enumerate(SPACE.names):
        for seed, line in enumerate(trial.lines):
            for step, strength in enumerate(asked.tolist()):
                expressions = motion(line, constant_emotion(line, **{name: strength}), seed)
                measured[row, seed, step] = reader.read(expressions)[:, row].mean()
    return Dial(asked, measured)


def measure_dial(trial: Trial, motion: MotionSource, reader: EmotionReader, dial: Dial) -> dict[str, float]:
    """``DIAL_ROWS``; the standard error of a step is over the lines."""
    ranks = [rank_correlation(dial.asked, each.mean(0)) for each in dial.measured]
    steps = [largest_step_back(each) for each in dial.measured]
    return {
        RECOGNISED: _recognised(trial, motion, reader),
        RANK_WORST: min(ranks),
        RANK_MEAN: sum(ranks) / len(ranks),
        STEP_BACK: max(step.size for step in steps),
        STEP_BACK_ERRORS: max(step.in_errors for step in steps),
        DIAL_ERROR: float((dial.measured.mean(1) - dial.asked).abs().mean()),
        MIXTURES: _mixture_error(trial, motion, reader),
    }


def _recognised(trial: Trial, motion: MotionSource, reader: EmotionReader) -> float:
    """Per cent of 1 s windows in which the requested emotion is measured as the strongest."""
    right, total, length = 0, 0, round(WINDOW_SECONDS * trial.fps)
    for row, name in enumerate(SPACE.names):
        for seed, line in enumerate(trial.lines):
            readings = reader.read(motion(line, constant_emotion(line, **{name: 1.0}), seed))
            strongest = window_means(readings, length).argmax(1)
            right, total = right + int((strongest == row).sum()), total + len(strongest)
    return 100 * right / total


def _mixture_error(trial: Trial, motion: MotionSource, reader: EmotionReader) -> float:
    """Mean error over all pairs of emotions and all strengths of ``MIXED``, each in one line, in turn."""
    errors = []
    lines = itertools.cycle(enumerate(trial.lines))
    for first, second in itertools.combinations(range(SPACE.num_emotions), 2):
        for pair in MIXED:
            seed, line = next(lines)
            asked = {SPACE.names[first]: pair[0], SPACE.names[second]: pair[1]}
            reading = reader.read(motion(line, constant_emotion(line, **asked), seed)).mean(0)
            errors.append((reading[[first, second]] - torch.tensor(pair)).abs().mean())
    return float(torch.stack(errors).mean())


DELAY_WORST = "emotion change: half-way, seconds from the track's, worst"
DELAY_MEAN = "emotion change: half-way, seconds from the track's, mean"
RISE_WORST = "emotion change: 10–90 % rise beyond the track's, worst"
RISE_MEAN = "emotion change: 10–90 % rise beyond the track's, mean"
UNANSWERED = "emotion changes without an answer"
JERK = "emotion change: largest vertex acceleration, over the truth's"
CHANGE_ROWS = {
    DELAY_WORST: Row("s", at_most=0.2),
    DELAY_MEAN: Row("s", at_most=0.2),
    RISE_WORST: Row("s", at_most=0.2),
    RISE_MEAN: Row("s", at_most=0.2),
    UNANSWERED: Row("%", at_most=0.0),
    JERK: Row("ratio", at_most=1.25),
}

RAMP_SECONDS = 0.2
"""Duration of a change from one emotion to the next, short enough to look sudden."""
BEFORE, AFTER = 1.2, 1.2
"""Seconds measured before and after the middle of a change."""
PLATEAU_SECONDS = 0.4
"""At both ends of the measured time."""
LEAST_ANSWER = 0.1
"""An emotion that rises or falls by less has not answered the request."""
LEAST_PAUSE = 0.3
"""Seconds of silence between two sentences."""
NEAR_SECONDS = 0.5
"""To either side of a change: where the acceleration is measured."""
_TRUTH_SEED = 100_000


@dataclass(frozen=True)
class Change:
    """A change between two emotions (None is neutral): the measured curve of one of them, mean over the lines."""

    before: str | None
    after: str | None
    emotion: str
    curve: Float[Tensor, " T"]


def ask_changes(trial: Trial, motion: MotionSource, reader: EmotionReader) -> tuple[list[Change], float]:
    """Request changes within a sentence of every line: neutral to each emotion, back, and from each to the next.

    Returns:
        The mean curve of each emotion that changes, and the largest acceleration near a change (mean over all changes),
        in mm per frame².
    """
    names = SPACE.names
    pairs = [(None, name) for name in names] + [(name, None) for name in names]
    pairs += list(zip(names, (*names[1:], names[0]), strict=True))
    changes, accelerations = [], []
    for before, after in pairs:
        curves = []
        for seed, line in enumerate(trial.lines):
            asked, middle = change_track(line, before, after)
            shown = motion(line, asked, seed)
            curves.append(_around(reader.read(shown), middle, trial.fps))
            accelerations.append(_acceleration(trial, shown, middle))
        mean = torch.stack(curves).mean(0)
        changes += [
            Change(before, after, name, mean[:, names.index(name)]) for name in (before, after) if name is not None
        ]
    return changes, sum(accelerations) / len(accelerations)


def measure_changes(trial: Trial, motion: MotionSource, reader: EmotionReader) -> tuple[dict[str, float], list[Change]]:
    """``CHANGE_ROWS``, and the curves that they are computed from.

    Each curve is timed between its own two plateaus, so that a weak emotion does not count as late. The track takes
    ``RAMP_SECONDS``, 80 % of it from 10 to 90 %. A curve that changes by less than ``LEAST_ANSWER`` counts as no
    answer.
    """
    changes, acceleration = ask_changes(trial, motion, reader)
    _, true_acceleration = ask_changes(trial, _seeded(true_motion(trial.character)), reader)
    plateau = round(PLATEAU_SECONDS * trial.fps)
    responses = [step_response(change.curve, plateau, trial.fps) for change in changes if _is_answer(change, plateau)]
    answered = [response for response in responses if not math.isnan(response.half)]
    middle = (round(BEFORE * trial.fps) - 0.5) / trial.fps  # the ramp's middle lies between two frames
    delays = [abs(response.half - middle) for response in answered] or [float("nan")]
    rises = [max(0.0, response.rise - 0.8 * RAMP_SECONDS) for response in answered] or [float("nan")]
    rows = {
        DELAY_WORST: max(delays),
        DELAY_MEAN: sum(delays) / len(delays),
        RISE_WORST: max(rises),
        RISE_MEAN: sum(rises) / len(rises),
        UNANSWERED: 100 * (1 - len(answered) / len(changes)),
        JERK: acceleration / true_acceleration,
    }
    return rows, changes


def change_track(line: Take, before: str | None, after: str | None) -> tuple[Float[Tensor, "T N"], int]:
    """The emotion of every frame, and the frame that begins at the ramp's middle.

    The ramp is in the middle of the line's longest sentence: a closed mouth in a pause would hide half of an emotion.
    """
    num_frames = len(line.expressions)
    pauses = [each for each in line.phonemes if not each.symbol and each.end - each.start >= LEAST_PAUSE]
    edges = [0.0, *(time for each in pauses for time in (each.start, each.end)), num_frames / line.fps]
    start, end = max(zip(edges[::2], edges[1::2], strict=True), key=lambda sentence: sentence[1] - sentence[0])
    around = round(BEFORE * line.fps), num_frames - round(AFTER * line.fps)
    middle = min(max(round((start + end) / 2 * line.fps), around[0]), around[1])
    vectors = [SPACE.vector(name or "neutral") for name in (before, after)]
    seconds = (torch.arange(num_frames) + 0.5 - middle) / line.fps
    share = (seconds / RAMP_SECONDS + 0.5).clamp(0, 1)[:, None]
    return (1 - share) * vectors[0] + share * vectors[1], middle


def _is_answer(change: Change, plateau: int) -> bool:
    rise = float(change.curve[-plateau:].mean() - change.curve[:plateau].mean())
    return (rise if change.emotion == change.after else -rise) >= LEAST_ANSWER


def _seeded(motion: MotionSource) -> MotionSource:
    return lambda take, emotion, seed: motion(take, emotion, _TRUTH_SEED + seed)


def _around(readings: Float[Tensor, "T N"], middle: int, fps: float) -> Float[Tensor, "t N"]:
    return readings[middle - round(BEFORE * fps) : middle + round(AFTER * fps)]


def _acceleration(trial: Trial, expressions: Float[Tensor, "T E"], middle: int) -> float:
    near = round(NEAR_SECONDS * trial.fps)
    curves = trial.space.displacement("face", expressions[middle - near : middle + near])
    return float(curves.diff(n=2, dim=0).norm(dim=1).max())
