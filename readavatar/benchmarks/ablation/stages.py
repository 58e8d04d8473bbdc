"""What each stage's ablations are trained on and how they are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from readavatar.benchmarks.appearance.actor_films import (
    ELSEWHERE,
    EYES,
    INTERIOR,
    MOUTH_LPIPS,
    default_model,
    film_speaker,
    measure_on_film,
    training_clip,
)
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
from readavatar.benchmarks.expression.takes import FIRST_SEED, Trial, make_trial
from readavatar.benchmarks.statistics import Aim
from readavatar.data.store.avatar import Avatar
from readavatar.errors import UserError
from readavatar.progress import spinner

APPEARANCE_FIGURES: dict[str, tuple[str, Aim]] = {
    "psnr_mouth_inside": (INTERIOR, "higher"),
    "lpips_mouth": (MOUTH_LPIPS, "lower"),
    "psnr_face_without_mouth": (ELSEWHERE, "higher"),
    "psnr_eyes": (EYES, "higher"),
}
"""By short name: the row of the scorecard, and which of its values is good."""


def film_actor_to_train_on(actor: int, work: Path) -> None:
    """Film a digital actor into ``training_clip`` if the film does not exist yet."""
    film_speaker(actor, default_model(), work)


def score_appearance_avatar(avatar: Path, actor: int, work: Path) -> dict[str, float]:
    """Measure an avatar's appearance network on held-out sentences of the digital actor that it was trained on.

    Args:
        avatar: Its folder.
        actor: The actor's seed.
        work: Folder that keeps the films.

    Returns:
        ``APPEARANCE_FIGURES``, inside the avatar's paint mask; without those that cannot be measured.
    """
    rows = measure_on_film(avatar, film_speaker(actor, default_model(), work).held_out)
    return {name: rows[row] for name, (row, _) in APPEARANCE_FIGURES.items() if row in rows}


EXPRESSION_FIGURES: dict[str, tuple[str, Aim]] = {
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
"""By short name: the row of the scorecard, and which of its values is good."""


def score_expression_avatar(avatar: Path, actor: int, work: Path) -> dict[str, float]:
    """Measure an avatar's expression network on held-out sentences of the digital actor that it was trained on.

    Args:
        avatar: Its folder.
        actor: The actor's seed.
        work: Folder that keeps the emotion reader.

    Returns:
        ``EXPRESSION_FIGURES``; NaN where there is nothing to measure, such as the delay of a network that ignores
        emotions.
    """
    model = Avatar(avatar).part_config("expression")["morphable_model"]
    motion = TrainedMotion(avatar, _feature_cache(actor))
    trial, reader = _trial(actor, model, motion.fps), find_reader(work)
    rows = _measure_expression(trial, motion, reader)
    return {name: float(rows[row]) for name, (row, _) in EXPRESSION_FIGURES.items()}


@lru_cache(maxsize=1)
def _trial(actor: int, model: str, fps: float) -> Trial:
    """Cached, since all ablations of a seed are measured on the same takes, one after the other."""
    return make_trial(actor, model, fps=fps)


@lru_cache(maxsize=1)
def _feature_cache(actor: int) -> dict[str, Tensor]:
    return {}


@torch.no_grad()
def _measure_expression(trial: Trial, motion: TrainedMotion, reader: EmotionReader) -> dict[str, float]:
    with spinner("measuring lips") as describe:
        rows = measure_lips(trial, motion)
        describe("measuring liveliness")
        rows |= measure_life(trial, motion)
        describe("measuring emotions")
        rows |= measure_dial(trial, motion, reader, turn_dial(trial, motion, reader))
        describe("measuring changes")
        changes, _ = measure_changes(trial, motion, reader)
    return rows | changes


RunStage = Callable[[str, Sequence[str]], dict[str, float]]
"""Runs ``fit`` or ``test`` with a command line's arguments and returns its last metrics."""

FIRST_ACTOR = FIRST_SEED
"""The digital actor of seed 0; seed n has actor ``FIRST_ACTOR`` + n."""


@dataclass(frozen=True)
class AblationRun:
    """One training: an ablation (or the base) with one seed."""

    name: str
    seed: int
    avatar: Path
    """The folder in which the training leaves the avatar."""
    arguments: tuple[str, ...]
    """The command line after ``readavatar fit``."""
    settings: dict
    """JSON values that identify the training: other settings make it another run."""
    actor: int | None = None
    """The digital actor to train on; None for footage."""
    film: Callable[[], None] | None = None
    """Films that actor if the film does not exist yet; None where nothing is filmed."""

    @property
    def label(self) -> str:
        """For logs and messages."""
        return f"{self.name}, seed {self.seed}"


@dataclass(frozen=True)
class Scorer:
    """How a trained avatar is measured."""

    name: str
    """Stored with the figures: those of another scorer are measured again."""
    measure: Callable[[AblationRun], dict[str, float]]


@dataclass(frozen=True)
class AblationStage:
    """What a stage's ablations have in common."""

    name: str
    configs: tuple[str, ...]
    """Of every run."""
    aims: Mapping[str, Aim]
    """Of its figures."""
    actor_config: str | None = None
    """Applied over ``configs`` where no footage is given: data from digital actors, without a film."""
    actor_clip: Callable[[int, Path], Path] | None = None
    """Where no footage is given: the clip of an actor's film, by the actor's seed and the runs' folder."""
    film: Callable[[int, Path], None] | None = None
    """Films it."""
    bench: Scorer | None = field(default=None)
    """Measures avatars of digital actors."""


_EXPRESSION_AIMS: dict[str, Aim] = {name: aim for name, (_, aim) in EXPRESSION_FIGURES.items()} | {
    "lip_error": "lower",
    "lip_error_of_mean": "lower",
    "opening_correlation": "higher",
    "opening_correlation_of_mean": "higher",
    "opening_std_ratio": "one",
    "upper_face_std_ratio": "one",
}
_APPEARANCE_AIMS: dict[str, Aim] = {name: aim for name, (_, aim) in APPEARANCE_FIGURES.items()} | {
    "psnr_face": "higher",
    "psnr_mouth": "higher",
    "ssim_face": "higher",
}

STAGES = {
    "expression": AblationStage(
        "expression",
        ("configs/expression/default.yaml",),
        _EXPRESSION_AIMS,
        actor_config="configs/expression/actor.yaml",
        bench=Scorer("bench", lambda run: score_expression_avatar(run.avatar, run.actor, run.avatar.parents[1])),
    ),
    "appearance": AblationStage(
        "appearance",
        ("configs/appearance/default.yaml",),
        _APPEARANCE_AIMS,
        actor_clip=lambda actor, out: training_clip(actor, default_model(), out),
        film=film_actor_to_train_on,
        bench=Scorer("bench", lambda run: score_appearance_avatar(run.avatar, run.actor, run.avatar.parents[1])),
    ),
}


def choose_scorer(stage: AblationStage, on_footage: bool, run_stage: RunStage) -> Scorer:
    """The stage's own benchmark where the truth is known, else ``readavatar test`` on the held-out seconds."""
    if stage.bench is not None and not on_footage:
        return stage.bench
    return Scorer("test", lambda run: measure_by_test(run, run_stage))


def measure_by_test(run: AblationRun, run_stage: RunStage) -> dict[str, float]:
    """The figures of ``readavatar test``.

    Raises:
        UserError: There are none.
    """
    metrics = run_stage("test", [*run.arguments, "--verbose=false"])
    found = {name.removeprefix("test/"): value for name, value in metrics.items() if name.startswith("test/")}
    if not found:
        raise UserError(f"Expected figures named test/… of '{run.avatar}', but there are none: nothing was held out.")
    return found


def names_footage(overrides: Sequence[str]) -> bool:
    """Whether a command line's options say which clips to train on."""
    return any(word.partition("=")[0] in ("--data.clips", "--data.init_args.clips") for word in overrides)
