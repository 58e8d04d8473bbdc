"""The expression scorecard: the generator against the truth and against a regression of its size, on digital actors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from readavatar.assets import find_asset
from readavatar.benchmarks.expression.cost import measure_cost
from readavatar.benchmarks.expression.dial import Change, Dial, measure_changes, measure_dial, turn_dial
from readavatar.benchmarks.expression.lips import measure_life, measure_lips
from readavatar.benchmarks.expression.motion import Motion, TrainedMotion, true_motion
from readavatar.benchmarks.expression.pictures import plot_scorecard
from readavatar.benchmarks.expression.reader import EmotionReader, find_reader
from readavatar.benchmarks.expression.sync import SyncJudge, find_judge, measure_sync
from readavatar.benchmarks.expression.table import over_twin, print_columns, summarise_actors
from readavatar.benchmarks.expression.takes import FIRST_SEED, Trial, make_trial
from readavatar.benchmarks.expression.training import TUNED, TWIN, VARIANTS, train_actor
from readavatar.benchmarks.scorecard import Score
from readavatar.errors import UserError
from readavatar.progress import spinner

TRUTH, AVATAR = "truth", "avatar"


@dataclass(frozen=True)
class Measured:
    """One column of one actor."""

    figures: dict[str, float]
    """By row."""
    dial: Dial
    changes: list[Change]


def bench_expression(
    morphable_model: str | None = None,
    actors: int = 3,
    avatar: str | Path | None = None,
    config: str | None = None,
    work: str | Path = "bench_expression",
    plot: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Score]:
    """Train on digital actors and measure on sentences that were held out.

    Trained avatars, the reader of emotions and the judge of sync are kept in ``work``, so that another run only
    measures again. (They are known by their settings: delete the folder after a change of what actors do.)

    Args:
        morphable_model: Whose face distances are measured on; by default ICT's where it is on this machine, else the
            built-in head.
        actors: How many; actor i has the seed ``FIRST_SEED`` + i, and its networks are trained with the seed i.
        avatar: Measure this one on all actors instead of training any: a prior, say, that has never seen them.
        config: Put over the expression stage's default for training.
        work: Folder for avatars, reader and judge.
        plot: Picture of the first actor's dials, a change and the upper face; ``.png``.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``column: row`` over all actors, then by ``actor N, column: row``.

    Raises:
        UserError: No actors, or an avatar that cannot be measured on them.
    """
    if actors < 1:
        raise UserError(f"Expected one or more digital actors, but got {actors}.")
    model, work = morphable_model or ("ict" if find_asset("ict_facekit") else "builtin"), Path(work)
    # A short run names the mistake in an avatar before anything takes minutes.
    given = TrainedMotion(avatar) if avatar is not None else None
    judged = TUNED if given is None else AVATAR
    reader, judge = find_reader(work), find_judge(work)
    found: dict[str, dict[str, dict[str, float]]] = {}
    heard: dict[str, Tensor] = {}
    for number in range(actors):
        trained = {AVATAR: given} if given else _train(number, model, work, config, heard)
        fps = trained[judged].fps
        trial = make_trial(FIRST_SEED + number, model, fps=fps)
        motions: dict[str, Motion] = {TRUTH: true_motion(trial.character), **trained}
        name = f"actor {FIRST_SEED + number}"
        measured = {column: _measure(trial, motions[column], reader, judge, f"{name}, {column}") for column in motions}
        found[name] = {column: each.figures for column, each in measured.items()}
        found[name][judged] |= measure_cost(trial, trained[judged])
        for column in trained.keys() - {TWIN, AVATAR}:
            found[name][column] |= over_twin(found[name][column], found[name][TWIN])
        if plot is not None and number == 0:
            dials, changes = ({column: getattr(each, part) for column, each in measured.items()} for part in _DRAWN)
            plot_scorecard(plot, trial, motions, dials, changes)
        heard.clear()
        judge.heard.clear()
    scores = summarise_actors(found)
    if console is not None:
        print_columns(f"expression, {actors} digital actor(s) ({model})", scores, list(motions), judged, console)
    return scores


_DRAWN = ("dial", "changes")


def _train(
    number: int, model: str, work: Path, config: str | None, heard: dict[str, Tensor]
) -> dict[str, TrainedMotion]:
    folders = {variant: train_actor(number, variant, model, work, config) for variant in VARIANTS}
    return {variant: TrainedMotion(folder, heard) for variant, folder in folders.items()}


@torch.no_grad()
def _measure(trial: Trial, motion: Motion, reader: EmotionReader, judge: SyncJudge, what: str) -> Measured:
    with spinner(f"{what}: lips") as describe:
        figures = measure_lips(trial, motion)
        describe(f"{what}: liveliness")
        figures |= measure_life(trial, motion)
        describe(f"{what}: emotions")
        dial = turn_dial(trial, motion, reader)
        figures |= measure_dial(trial, motion, reader, dial)
        describe(f"{what}: changes")
        rows, changes = measure_changes(trial, motion, reader)
        describe(f"{what}: sync")
        figures |= rows | measure_sync(trial, motion, judge)
    return Measured(figures, dial, changes)
