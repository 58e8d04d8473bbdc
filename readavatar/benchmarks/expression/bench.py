"""The expression scorecard on digital actors: the generator, a regression of its size, and the truth.

Each actor has networks of its own. A table compares them with the truth and with the aims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from readavatar.assets import find_asset
from readavatar.benchmarks.expression.cost import COST_ROWS, measure_cost
from readavatar.benchmarks.expression.dial import (
    CHANGE_ROWS,
    DIAL_ROWS,
    Change,
    Dial,
    measure_changes,
    measure_dial,
    turn_dial,
)
from readavatar.benchmarks.expression.lips import (
    FACE_DISTANCE,
    LIFE_ROWS,
    LIP_ERROR,
    LIP_ROWS,
    UPPER_DISTANCE,
    measure_life,
    measure_lips,
)
from readavatar.benchmarks.expression.motion import MotionSource, TrainedMotion, true_motion
from readavatar.benchmarks.expression.pictures import plot_scorecard
from readavatar.benchmarks.expression.reader import EmotionReader, find_reader
from readavatar.benchmarks.expression.sync import SYNC_ROWS, SyncJudge, find_judge, measure_sync
from readavatar.benchmarks.expression.takes import FIRST_SEED, TUNED, TWIN, VARIANTS, Trial, make_trial, train_actor
from readavatar.benchmarks.scorecard import Row, Score, summarise, widened
from readavatar.errors import UserError
from readavatar.progress import spinner

_OVER_TWIN = {LIP_ERROR: 1.1, FACE_DISTANCE: 0.5, UPPER_DISTANCE: 0.5}
"""Largest allowed ratio to the same row of the regression twin."""
TWIN_ROWS = {f"{name}, over the twin's": Row("ratio", at_most=limit) for name, limit in _OVER_TWIN.items()}
_MEASURED = {**LIP_ROWS, **LIFE_ROWS, **DIAL_ROWS, **CHANGE_ROWS, **SYNC_ROWS, **COST_ROWS}
ROWS: dict[str, Row] = {}
for _name, _row in _MEASURED.items():
    ROWS[_name] = _row
    if _name in _OVER_TWIN:
        ROWS[f"{_name}, over the twin's"] = TWIN_ROWS[f"{_name}, over the twin's"]

_FILE_WIDTH = 170
"""Columns of a table that is printed into a file."""
Columns = Mapping[str, Mapping[str, float]]
"""One actor's figures: by column (truth, regression, GAN), then by row."""


def over_twin(own: Mapping[str, float], twin: Mapping[str, float]) -> dict[str, float]:
    """``TWIN_ROWS``."""
    return {f"{name}, over the twin's": own[name] / twin[name] for name in _OVER_TWIN if twin.get(name, 0) > 0}


def summarise_actors(actors: Mapping[str, Columns]) -> dict[str, Score]:
    """Each column's rows over the actors (named ``column: row``), then each actor's (``actor, column: row``).

    The samples of the bootstrap are the actors, each with a network trained from its own seed. Takes of one network are
    not independent, so that an interval over takes would be too narrow.
    """
    columns = list(dict.fromkeys(column for each in actors.values() for column in each))
    scores: dict[str, Score | None] = {}
    for column in columns:
        for name, row in ROWS.items():
            values = [each[column][name] for each in actors.values() if name in each.get(column, {})]
            scores[f"{column}: {name}"] = summarise(row, values)
    for actor, each in actors.items():
        for column, figures in each.items():
            for name, value in figures.items():
                scores[f"{actor}, {column}: {name}"] = summarise(ROWS[name], [value])
    return {name: score for name, score in scores.items() if score is not None}


def print_columns(title: str, scores: Mapping[str, Score], columns: list[str], measured: str, console: Console) -> None:
    """Print every row: each column's mean and interval, the aim, and whether the column ``measured`` reaches it."""
    table = Table(title=title, caption="mean over actors, each with a training of its own; (95 %: bootstrap over them)")
    table.add_column("what")
    for column in columns:
        table.add_column(column, justify="right")
    for column in ("unit", "aim", f"{measured} holds"):
        table.add_column(column)
    for name, row in ROWS.items():
        found = [scores.get(f"{column}: {name}") for column in columns]
        if not any(found):
            continue
        own = scores.get(f"{measured}: {name}")
        verdict = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[own.holds if own else None]
        table.add_row(name, *map(_cell, found), row.unit, row.aim, verdict)
    widened(console, _FILE_WIDTH).print(table)


def _cell(score: Score | None) -> str:
    if score is None:
        return ""
    if score.n == 1:
        return _text(score.value)
    return f"{_text(score.value)} ({_text(score.low)}–{_text(score.high)})"


def _text(value: float) -> str:
    if value != 0 and abs(value) < 0.01:
        return f"{value:.0e}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


TRUTH, AVATAR = "truth", "avatar"


@dataclass(frozen=True)
class Measured:
    """The figures of one column for one actor."""

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

    Trained avatars, the emotion reader and the sync judge are kept in ``work``, so that another run only repeats the
    measurement. (Their names hold a hash of the settings: delete the folder after changing how actors move or speak.)

    Args:
        morphable_model: The face on which distances are measured; by default ``ict`` if it is installed, else
            ``builtin``.
        actors: How many; actor i has the seed ``FIRST_SEED`` + i, and its networks are trained with the seed i.
        avatar: Measure this one on all actors instead of training: for example a prior trained on other people.
        config: Applied over the expression stage's default for training.
        work: Folder for avatars, emotion reader and sync judge.
        plot: A ``.png`` of the first actor's dials, emotion changes and upper face.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``column: row`` over all actors, then by ``actor N, column: row``.

    Raises:
        UserError: No actors, or the avatar cannot be measured on them.
    """
    if actors < 1:
        raise UserError(f"Expected one or more digital actors, but got {actors}.")
    model, work = morphable_model or ("ict" if find_asset("ict_facekit") else "builtin"), Path(work)
    # Loaded first, so that a mistake in the avatar is reported before anything takes minutes.
    given = TrainedMotion(avatar) if avatar is not None else None
    main = TUNED if given is None else AVATAR
    reader, judge = find_reader(work), find_judge(work)
    found: dict[str, dict[str, dict[str, float]]] = {}
    features: dict[str, Tensor] = {}
    for number in range(actors):
        trained = {AVATAR: given} if given else _train(number, model, work, config, features)
        fps = trained[main].fps
        trial = make_trial(FIRST_SEED + number, model, fps=fps)
        motions: dict[str, MotionSource] = {TRUTH: true_motion(trial.character), **trained}
        name = f"actor {FIRST_SEED + number}"
        measured = {column: _measure(trial, motions[column], reader, judge, f"{name}, {column}") for column in motions}
        found[name] = {column: each.figures for column, each in measured.items()}
        found[name][main] |= measure_cost(trial, trained[main])
        for column in trained.keys() - {TWIN, AVATAR}:
            found[name][column] |= over_twin(found[name][column], found[name][TWIN])
        if plot is not None and number == 0:
            dials, changes = ({column: getattr(each, part) for column, each in measured.items()} for part in _DRAWN)
            plot_scorecard(plot, trial, motions, dials, changes)
        features.clear()
        judge.features.clear()
    scores = summarise_actors(found)
    if console is not None:
        print_columns(f"expression, {actors} digital actor(s) ({model})", scores, list(motions), main, console)
    return scores


_DRAWN = ("dial", "changes")


def _train(
    number: int, model: str, work: Path, config: str | None, features: dict[str, Tensor]
) -> dict[str, TrainedMotion]:
    folders = {variant: train_actor(number, variant, model, work, config) for variant in VARIANTS}
    return {variant: TrainedMotion(folder, features) for variant, folder in folders.items()}


@torch.no_grad()
def _measure(trial: Trial, motion: MotionSource, reader: EmotionReader, judge: SyncJudge, what: str) -> Measured:
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
