"""The appearance scorecard's figures: means over moments with an interval, printed painter beside painter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from rich.console import Console
from rich.table import Table

from readavatar.benchmarks.scorecard import Row, Score, widened
from readavatar.metrics import bootstrap_interval

_FILE_WIDTH = 120
"""Columns of a table that is printed into a file."""
_VERDICTS = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}


def score_over_seconds(row: Row, values: Sequence[float], places: Sequence[int], fps: int | float) -> Score:
    """The mean over frames; neighbours tell little that is new, so that its bootstrap interval is over seconds.

    Args:
        row: What the values are of.
        values: One a frame; what is not finite (nothing to measure) is left out.
        places: The frames' numbers.
        fps: Frames a second.
    """
    seconds: dict[int, list[float]] = {}
    for place, value in zip(places, values, strict=True):
        if math.isfinite(value):
            seconds.setdefault(int((place - places[0]) / fps), []).append(value)
    finite = [value for each in seconds.values() for value in each]
    if not finite:
        return Score(math.nan, math.nan, math.nan, row.unit, row.aim, 0)
    means = torch.tensor([sum(each) / len(each) for each in seconds.values()], dtype=torch.float64)
    _, low, high = bootstrap_interval(means)
    value = sum(finite) / len(finite)
    return Score(value, low, high, row.unit, row.aim, len(means), row.holds(value))


def single(row: Row, value: float) -> Score:
    """A figure that is measured once."""
    return Score(value, value, value, row.unit, row.aim, 1, row.holds(value))


def print_comparison(title: str, scores: Mapping[str, Score], subjects: Sequence[str], console: Console) -> None:
    """Print ``subject: measure`` with a row a measure: the first subject's with its interval and aim, then the others'.

    Args:
        title: Of the table.
        scores: By ``subject: measure``.
        subjects: Columns.
        console: Where.
    """
    first, *others = subjects
    table = Table(title=title, caption="means over frames; 95 %: bootstrap over seconds")
    for column in ("what", first, "95 %", *others, "unit", "aim", "holds"):
        table.add_column(column, justify="left" if column in ("what", "unit", "aim", "holds") else "right")
    measures = dict.fromkeys(name.partition(": ")[2] for name in scores)
    for measure in measures:
        found = [scores.get(f"{subject}: {measure}") for subject in subjects]
        ours, any_of_them = found[0], next(each for each in found if each is not None)
        interval = f"{_text(ours.low)}–{_text(ours.high)}" if ours else ""
        values = ["" if each is None else _text(each.value) for each in found]
        verdict = ("", "") if ours is None else (ours.aim, _VERDICTS[ours.holds])
        table.add_row(measure, values[0], interval, *values[1:], any_of_them.unit, *verdict)
    widened(console, _FILE_WIDTH).print(table)


def _text(value: float) -> str:
    """Three digits that say something: 31.2, 4.56, 0.019."""
    size = abs(value)
    return f"{value:.3f}" if size < 1 else f"{value:.2f}" if size < 10 else f"{value:.1f}"
