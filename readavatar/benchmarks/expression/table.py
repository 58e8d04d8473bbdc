"""The expression scorecard's table: the truth, the regression twin and the network beside one another."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from readavatar.benchmarks.expression.cost import COST_ROWS
from readavatar.benchmarks.expression.dial import CHANGE_ROWS, DIAL_ROWS
from readavatar.benchmarks.expression.lips import FACE_DISTANCE, LIFE_ROWS, LIP_ERROR, LIP_ROWS, UPPER_DISTANCE
from readavatar.benchmarks.expression.sync import SYNC_ROWS
from readavatar.benchmarks.scorecard import Row, Score, summarise, widened

_OVER_TWIN = {LIP_ERROR: 1.1, FACE_DISTANCE: 0.5, UPPER_DISTANCE: 0.5}
"""What may be at most so many times the regression twin's."""
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
"""By column (truth, regression, GAN): by row's name, one actor's figures."""


def over_twin(own: Mapping[str, float], twin: Mapping[str, float]) -> dict[str, float]:
    """``TWIN_ROWS``."""
    return {f"{name}, over the twin's": own[name] / twin[name] for name in _OVER_TWIN if twin.get(name, 0) > 0}


def summarise_actors(actors: Mapping[str, Columns]) -> dict[str, Score]:
    """Each column's rows over the actors (named ``column: row``), then each actor's (``actor, column: row``).

    The samples of the bootstrap are the actors, each with a network trained from its own seed: takes of one network
    share whatever went well or badly in its training, so that an interval over takes would promise too much.
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


def print_columns(title: str, scores: Mapping[str, Score], columns: list[str], judged: str, console: Console) -> None:
    """Print every row: each column's mean and interval, the aim, and whether the column ``judged`` reaches it."""
    table = Table(title=title, caption="mean over actors, each with a training of its own; (95 %: bootstrap over them)")
    table.add_column("what")
    for column in columns:
        table.add_column(column, justify="right")
    for column in ("unit", "aim", f"{judged} holds"):
        table.add_column(column)
    for name, row in ROWS.items():
        found = [scores.get(f"{column}: {name}") for column in columns]
        if not any(found):
            continue
        own = scores.get(f"{judged}: {name}")
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
