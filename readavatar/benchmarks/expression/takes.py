"""What the expression scorecard asks of one digital actor: takes as they come, and single lines in any emotion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import SPACE, without_gaze
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.expression.face_space import FaceSpace
from readavatar.morphable import EXPRESSION_NAMES, load_morphable_model
from readavatar.synthetic import HELD_OUT_SENTENCES, Character, Take, draw_takes, make_character, play

FIRST_SEED = 901
"""Of the actors that are trained on and tested with."""
HELD_OUT_MINUTES, TRAINING_MINUTES = 2.0, 3.0
NUM_LINES = 6
SENTENCES_A_LINE = 2
LINE_PAUSE = 1.0
"""Seconds between a line's sentences: silences long enough to see whether the mouth rests in them."""
_LINE_TAKES = 900_000
"""Numbers of the takes that lines are: no training or held-out take has them."""


@dataclass(frozen=True)
class Trial:
    """One actor with everything that is said to it; held-out sentences, no sound changed by a room."""

    character: Character
    space: FaceSpace
    takes: list[Take]
    """Of random emotions that change, half of them in another emotion's voice."""
    training: list[Take]
    """Some of those that the actor's networks are trained on."""
    lines: list[Take]
    """Two sentences each with a pause between and around them, in a neutral voice: what the face shows besides speech
    is then asked by the emotion alone, and all emotions say the same sound."""
    fps: float


def make_trial(
    seed: int,
    morphable_model: str,
    fps: int | float = 25,
    num_lines: int = NUM_LINES,
    minutes: int | float = HELD_OUT_MINUTES,
    training_minutes: int | float = TRAINING_MINUTES,
) -> Trial:
    """Let an actor play all takes; the same arguments give the same ones.

    Args:
        seed: The actor's.
        morphable_model: Whose face distances are measured on; it must have the named expressions.
        fps: Frames a second.
        num_lines: Single lines.
        minutes: Of held-out takes.
        training_minutes: Of training takes.

    Raises:
        UserError: A model without the named expressions.
    """
    model = load_morphable_model(morphable_model)
    if tuple(model.expression_names) != EXPRESSION_NAMES:
        raise UserError(
            f"Expected a morphable model with the {len(EXPRESSION_NAMES)} named expressions (ict, builtin), but got "
            f"'{morphable_model}'."
        )
    character = make_character(seed)
    return Trial(
        character,
        FaceSpace(model),
        [_seen(take) for take in draw_takes(character, minutes, fps=fps, held_out=True, change_sound=False)],
        [
            _seen(take)
            for take in draw_takes(character, training_minutes, fps=fps, languages=("en",), change_sound=False)
        ],
        [_seen(_play_line(character, number, fps)) for number in range(num_lines)],
        float(fps),
    )


def constant_emotion(take: Take, **strengths: int | float) -> Float[Tensor, "T N"]:
    """The same emotion in every frame of a take: neutral, or ``happy=0.5``; by the emotions' names."""
    vector = torch.zeros(SPACE.num_emotions)
    for name, strength in strengths.items():
        vector[SPACE.names.index(name)] = strength
    return vector.repeat(len(take.expressions), 1)


def drawn(takes: Sequence[Take], num_samples: int, first_seed: int = 0) -> Iterator[tuple[Take, int]]:
    """Each take ``num_samples`` times, each time with another seed: else all takes would blink at the same time."""
    for number, take in enumerate(takes):
        for sample in range(num_samples):
            yield take, first_seed + number * num_samples + sample


def frames_within(take: Take, is_meant: set[str] | frozenset[str], shortest: float = 0.0) -> Bool[Tensor, " T"]:
    """Frames whose centre lies within phonemes of certain symbols.

    Args:
        take: Whose phonemes.
        is_meant: Their symbols; ``""`` is silence.
        shortest: Phonemes of fewer seconds are left out.
    """
    times = (torch.arange(len(take.expressions), dtype=torch.float64) + 0.5) / take.fps
    inside = torch.zeros(len(times), dtype=torch.bool)
    for phoneme in take.phonemes:
        if phoneme.symbol in is_meant and phoneme.end - phoneme.start >= shortest:
            inside |= (times >= phoneme.start) & (times <= phoneme.end)
    return inside


def _play_line(character: Character, number: int, fps: int | float) -> Take:
    first = SENTENCES_A_LINE * number
    sentences = [
        HELD_OUT_SENTENCES[index % len(HELD_OUT_SENTENCES)] for index in range(first, first + SENTENCES_A_LINE)
    ]
    neutral = EmotionTrack.constant(SPACE)
    return play(character, _LINE_TAKES + number, sentences, neutral, fps=fps, pauses=(LINE_PAUSE, LINE_PAUSE))


def _seen(take: Take) -> Take:
    return replace(take, expressions=without_gaze(take.expressions))
