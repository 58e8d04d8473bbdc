"""What the stages' ablations are run on and measured by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from readavatar.benchmarks.ablation import appearance
from readavatar.benchmarks.ablation.expression import FIGURES, score_expression_avatar
from readavatar.benchmarks.appearance.actor_films import default_model, training_clip
from readavatar.benchmarks.expression.takes import FIRST_SEED
from readavatar.benchmarks.statistics import Aim
from readavatar.errors import UserError

RunStage = Callable[[str, Sequence[str]], dict[str, float]]
"""Runs ``fit`` or ``test`` with a command line's arguments and returns its last metrics."""

FIRST_ACTOR = FIRST_SEED
"""The digital actor of seed 0; the next seeds' follow."""


@dataclass(frozen=True)
class AblationRun:
    """One training: an ablation (or the base) with one seed."""

    name: str
    seed: int
    avatar: Path
    """Its folder, which the training leaves an avatar in."""
    arguments: tuple[str, ...]
    """What follows ``readavatar fit``."""
    settings: dict
    """JSON values that decide what the training is: a run of other settings is another run."""
    actor: int | None = None
    """The digital actor that it is trained on; None for footage."""
    film: Callable[[], None] | None = None
    """Films that actor, unless that was done before; None where nothing is filmed."""

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.name}, seed {self.seed}"


@dataclass(frozen=True)
class Scorer:
    """How a trained avatar is measured."""

    name: str
    """Kept beside the figures: those of another scorer are measured again."""
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
    """Put over ``configs`` where no footage is given: data that perform by themselves."""
    actor_clip: Callable[[int, Path], Path] | None = None
    """Where no footage is given: the clip of an actor's film, by the actor's seed and the runs' folder."""
    film: Callable[[int, Path], None] | None = None
    """Films it."""
    bench: Scorer | None = field(default=None)
    """Measures avatars of digital actors."""


_EXPRESSION_AIMS: dict[str, Aim] = {name: aim for name, (_, aim) in FIGURES.items()} | {
    "lip_error": "lower",
    "lip_error_of_mean": "lower",
    "opening_correlation": "higher",
    "opening_correlation_of_mean": "higher",
    "opening_std_ratio": "one",
    "upper_face_std_ratio": "one",
}
_APPEARANCE_AIMS: dict[str, Aim] = {name: aim for name, (_, aim) in appearance.FIGURES.items()} | {
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
        film=appearance.film_actor_to_train_on,
        bench=Scorer(
            "bench", lambda run: appearance.score_appearance_avatar(run.avatar, run.actor, run.avatar.parents[1])
        ),
    ),
}


def choose_scorer(stage: AblationStage, on_footage: bool, run_stage: RunStage) -> Scorer:
    """The stage's own bench where the truth is known, else ``readavatar test`` on the held-out seconds."""
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
