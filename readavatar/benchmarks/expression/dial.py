"""The expression scorecard's rows on obedience: the emotion that is asked for is the one that others read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import SPACE, Motion
from readavatar.benchmarks.expression.reader import EmotionReader
from readavatar.benchmarks.expression.takes import Trial, constant_emotion
from readavatar.benchmarks.scorecard import Row
from readavatar.metrics import largest_step_back, rank_correlation, window_means

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
    """What is measured of each emotion, asked for in steps from none to full."""

    asked: Float[Tensor, " K"]
    measured: Float[Tensor, "N R K"]
    """Of R lines; N are ``SPACE.names``."""


def turn_dial(trial: Trial, motion: Motion, reader: EmotionReader) -> Dial:
    """Each emotion in ``NUM_STEPS`` strengths, said in every line.

    A line keeps its seed over all steps, as someone who turns a dial and leaves the seed: what differs from step to
    step is the dial's doing.
    """
    asked = torch.linspace(0, 1, NUM_STEPS)
    measured = torch.zeros(SPACE.num_emotions, len(trial.lines), NUM_STEPS)
    for row, name in enumerate(SPACE.names):
        for seed, line in enumerate(trial.lines):
            for step, strength in enumerate(asked.tolist()):
                shown = motion(line, constant_emotion(line, **{name: strength}), seed)
                measured[row, seed, step] = reader.read(shown)[:, row].mean()
    return Dial(asked, measured)


def measure_dial(trial: Trial, motion: Motion, reader: EmotionReader, dial: Dial) -> dict[str, float]:
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


def _recognised(trial: Trial, motion: Motion, reader: EmotionReader) -> float:
    """Percent of 1 s windows in which the emotion asked for is the one read most strongly."""
    right, total, length = 0, 0, round(WINDOW_SECONDS * trial.fps)
    for row, name in enumerate(SPACE.names):
        for seed, line in enumerate(trial.lines):
            readings = reader.read(motion(line, constant_emotion(line, **{name: 1.0}), seed))
            strongest = window_means(readings, length).argmax(1)
            right, total = right + int((strongest == row).sum()), total + len(strongest)
    return 100 * right / total


def _mixture_error(trial: Trial, motion: Motion, reader: EmotionReader) -> float:
    """Every pair of emotions in every one of ``MIXED``'s strengths; one line for each, in turn."""
    errors = []
    lines = itertools.cycle(enumerate(trial.lines))
    for first, second in itertools.combinations(range(SPACE.num_emotions), 2):
        for pair in MIXED:
            seed, line = next(lines)
            asked = {SPACE.names[first]: pair[0], SPACE.names[second]: pair[1]}
            reading = reader.read(motion(line, constant_emotion(line, **asked), seed)).mean(0)
            errors.append((reading[[first, second]] - torch.tensor(pair)).abs().mean())
    return float(torch.stack(errors).mean())
