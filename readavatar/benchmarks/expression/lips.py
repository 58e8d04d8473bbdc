"""The expression scorecard's rows on lips: near the truth's, closed where they should be, in every emotion."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import SPACE, Motion, true_motion
from readavatar.benchmarks.expression.takes import Trial, constant_emotion, drawn, frames_within
from readavatar.benchmarks.scorecard import Row
from readavatar.emotion import EmotionTrack
from readavatar.metrics import closure_recall
from readavatar.synthetic import play

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
"""Motions drawn for each sound."""
CLOSED = 0.5
"""Millimetres of opening beyond the resting lips', which touch; as the tracking scorecard has it."""
RESTING = 1.0
"""Likewise, of a mouth between words."""
SHORTEST_SILENCE = 0.3
"""Seconds."""
MUTED_SECONDS = 3.0
"""Of a shot without a word, which is counted with the silences between words."""
_NO_RATIO = 0.1
"""Millimetres: lip errors below are rounding, and their ratios mean nothing (the truth's against itself)."""
_TRUTH_SEED = 100_000


def measure_lips(trial: Trial, motion: Motion) -> dict[str, float]:
    """``LIP_ROWS``.

    Bilabials are counted in two ways. The first takes frames within /p b m/ in which the truth's opening is at most
    ``CLOSED`` beyond rest, and asks for the same of the generated: what a viewer sees. The share is divided by that of
    the actor's own second performance. The second, ``closure_recall``, does not know a mouth that rests a little open
    from one that does not close, but cannot be won by a mouth that never opens.

    Silences are counted where the actor's own mouth has closed, in the emotion asked for: on the way there and back
    nothing is asked. The actor's mouth closes in every emotion.
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


def _mean_lip_error(trial: Trial, motion: Motion) -> float:
    errors = [
        trial.space.lip_error(motion(take, take.emotion, seed), take.expressions)
        for take, seed in drawn(trial.takes, NUM_SAMPLES)
    ]
    return float(torch.cat(errors).mean())


def _lip_errors(trial: Trial, motion: Motion) -> tuple[float, float]:
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


def _bilabials(trial: Trial, motion: Motion) -> tuple[float, float]:
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
    # What is neither a closure nor open (the ways there and back) says nothing of either.
    counted = is_closed | (true_gap > CLOSED)
    return float((gap[is_closed] <= CLOSED).float().mean()), closure_recall(gap[counted], true_gap[counted], CLOSED)


def _gap(trial: Trial, expressions: Float[Tensor, "T E"]) -> Float[Tensor, " T"]:
    return trial.space.opening(expressions) - trial.space.opening_at_rest


def _silences(trial: Trial, motion: Motion) -> tuple[float, float]:
    """Percent of the frames in silences with a closed mouth: in the worst emotion, and the mean over all."""
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
