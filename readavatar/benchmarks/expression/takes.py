"""The takes of a digital actor that the expression scorecard uses, and the networks that are trained on that actor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.benchmarks.expression.motion import SPACE, without_gaze
from readavatar.benchmarks.trained import train_once
from readavatar.emotion import EmotionTrack
from readavatar.errors import UserError
from readavatar.expression.face_space import FaceSpace
from readavatar.morphable import EXPRESSION_NAMES, load_morphable_model
from readavatar.synthetic import HELD_OUT_SENTENCES, Character, Take, draw_takes, make_character, play

FIRST_SEED = 901
"""Seed of the first actor."""
HELD_OUT_MINUTES, TRAINING_MINUTES = 2.0, 3.0
NUM_LINES = 6
SENTENCES_A_LINE = 2
LINE_PAUSE = 1.0
"""Seconds between a line's sentences: long enough to measure whether the mouth is closed in them."""
_LINE_TAKES = 900_000
"""First take number of the lines; training and held-out takes have smaller ones."""


@dataclass(frozen=True)
class Trial:
    """One actor with all takes that are measured: held-out sentences, without room acoustics."""

    character: Character
    space: FaceSpace
    takes: list[Take]
    """With random, changing emotions; in half of them the voice has another emotion than the face."""
    training: list[Take]
    """Some of the takes that the actor's networks are trained on."""
    lines: list[Take]
    """Each has two sentences with pauses around them, in a neutral voice: all emotions have the same sound, so that
    they differ only by the requested emotion."""
    fps: float


def make_trial(
    seed: int,
    morphable_model: str,
    fps: int | float = 25,
    num_lines: int = NUM_LINES,
    minutes: int | float = HELD_OUT_MINUTES,
    training_minutes: int | float = TRAINING_MINUTES,
) -> Trial:
    """Generate all takes of an actor; the same arguments give the same takes.

    Args:
        seed: The actor's.
        morphable_model: The face on which distances are measured; it must have the named expressions.
        fps: Frames a second.
        num_lines: Number of lines.
        minutes: Of held-out takes.
        training_minutes: Of training takes.

    Raises:
        UserError: The model lacks the named expressions.
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
    """The same emotion in every frame of a take: neutral, or strengths by name such as ``happy=0.5``."""
    vector = torch.zeros(SPACE.num_emotions)
    for name, strength in strengths.items():
        vector[SPACE.names.index(name)] = strength
    return vector.repeat(len(take.expressions), 1)


def drawn(takes: Sequence[Take], num_samples: int, first_seed: int = 0) -> Iterator[tuple[Take, int]]:
    """Each take ``num_samples`` times with different seeds: with one seed, all takes would blink at the same time."""
    for number, take in enumerate(takes):
        for sample in range(num_samples):
            yield take, first_seed + number * num_samples + sample


def frames_within(take: Take, is_meant: set[str] | frozenset[str], shortest: float = 0.0) -> Bool[Tensor, " T"]:
    """Frames whose centre lies within phonemes of certain symbols.

    Args:
        take: The take.
        is_meant: The symbols; ``""`` is silence.
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


ACTOR_CONFIG = "configs/expression/actor.yaml"
TWIN_CONFIG = "configs/ablations/expression/regression.yaml"
PRIOR_CONFIG = "configs/expression/actor_from_prior.yaml"
TWIN, GAN, TUNED = "regression", "GAN", "GAN from prior"
VARIANTS: dict[str, tuple[str, ...]] = {TWIN: (TWIN_CONFIG,), GAN: (), TUNED: (PRIOR_CONFIG,)}
"""The configs that each variant applies over the actor's; the last is the default training of a user."""


def train_actor(number: int, variant: str, morphable_model: str, work: Path, config: str | None = None) -> Path:
    """Train on a digital actor's takes if that was not done yet; a training that was stopped is resumed.

    Args:
        number: Seed of the training; the actor's is ``FIRST_SEED`` + ``number``.
        variant: One of ``VARIANTS``: a regression of the same size without a discriminator, the GAN with random
            weights, or the GAN from the prior.
        morphable_model: What ``load_morphable_model`` takes.
        work: Folder for the avatars; their names hold a hash of the configs.
        config: Applied over the defaults, for all variants.

    Returns:
        The avatar's folder.
    """
    configs = [ACTOR_CONFIG, *((config,) if config else ()), *VARIANTS[variant]]
    seed = FIRST_SEED + number
    settings = {"data.first_actor": seed, "data.morphable_model": morphable_model, "seed_everything": number}
    folder = work / "avatars" / f"{seed}-{variant.lower().replace(' ', '_')}"
    return train_once("expression", (), configs, settings, folder, morphable_model, f"the {variant}")[0]
