"""Figures of benchmarks: measured, summarised with intervals, printed as tables and written as JSON.

A scorecard has rows with units and aims. Each row is measured for several subjects and summarised over them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from readavatar.files import replacing_file
from readavatar.metrics import bootstrap_interval


@dataclass(frozen=True)
class Figure:
    """A measured number with its range."""

    value: float
    """Median."""
    low: float
    """Least."""
    high: float
    """Greatest."""
    unit: str
    aim: str = ""
    """The target, if there is one."""


def measure(action: Callable[[], object], per: int = 1, repeats: int = 5, aim: str = "") -> Figure:
    """Time an action, after one run that does not count (compiling, first allocations).

    Args:
        action: What to time.
        per: Number of frames in one run; the figure is in milliseconds for each frame.
        repeats: Number of timed runs.
        aim: Of the figure.
    """
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000 / per)
    return Figure(statistics.median(times), min(times), max(times), "ms", aim)


def print_figures(title: str, figures: dict[str, Figure], console: Console) -> None:
    """Print a table."""
    table = Table(title=title)
    for column in ("what", "median", "least", "greatest", "unit", "aim"):
        table.add_column(column, justify="left" if column in ("what", "unit", "aim") else "right")
    for name, figure in figures.items():
        table.add_row(name, *(f"{x:.2f}" for x in (figure.value, figure.low, figure.high)), figure.unit, figure.aim)
    console.print(table)


def write_figures(path: str | Path, figures: dict[str, Figure]) -> None:
    """Write ``{name: {value, low, high, unit, aim}}``."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps({name: dataclasses.asdict(each) for name, each in figures.items()}, indent=1))


Values = dict[str, list[float]]
"""The measurements of one subject (an actor or a person) by row: one for each independent sample."""

_FILE_WIDTH = 120
"""Width of a table that is printed into a file, characters."""


@dataclass(frozen=True)
class Row:
    """Unit and aim of a row of the scorecard."""

    unit: str
    at_most: float | None = None
    at_least: float | None = None
    is_worst: bool = False
    """The aim holds for every sample: the row's value is the largest, not the mean."""

    @property
    def aim(self) -> str:
        """The aim as text; empty if there is none."""
        if self.at_most is not None and self.at_least is not None:
            return f"{self.at_least:g}–{self.at_most:g}"
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    def holds(self, value: float) -> bool | None:
        """Whether a value reaches the aim; None if there is no aim."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


@dataclass(frozen=True)
class Score(Figure):
    """A mean over n samples with its 95 % bootstrap interval; with an aim for every sample, the largest and range."""

    n: int = 0
    holds: bool | None = None
    """Whether the value reaches the aim."""


def summarise(row: Row, values: list[float], remark: str = "") -> Score | None:
    """Summarise the samples of a row; NaN (nothing to measure) is left out.

    Args:
        row: The row.
        values: One for each independent sample.
        remark: Added after the aim.

    Returns:
        None if no sample is left.
    """
    measured = [value for value in values if not math.isnan(value)]
    if not measured:
        return None
    value, low, high = bootstrap_interval(torch.tensor(measured, dtype=torch.float64))
    if row.is_worst:
        value, low, high = max(measured), min(measured), max(measured)
    return Score(value, low, high, row.unit, f"{row.aim} {remark}".strip(), len(measured), row.holds(value))


def summarise_subjects(what: str, rows: Mapping[str, Row], subjects: Mapping[str, Values]) -> dict[str, Score]:
    """Each row over the samples of all subjects (named ``what: row``), then for each subject (``subject: row``)."""
    groups = {what: list(subjects.values()), **{name: [values] for name, values in subjects.items()}}
    scores = {
        f"{group}: {name}": summarise(row, [value for values in members for value in values.get(name, [])])
        for group, members in groups.items()
        for name, row in rows.items()
    }
    return {name: score for name, score in scores.items() if score is not None}


def widened(console: Console, width: int) -> Console:
    """The console itself if it is a terminal, else one that writes ``width`` columns into the same file."""
    return console if console.is_terminal else Console(file=console.file, width=width)


def print_scores(title: str, what: str, scores: Mapping[str, Score], subjects: list[str], console: Console) -> None:
    """Print the rows named ``what: …`` and, if there are several subjects, each one's own values."""
    console = widened(console, _FILE_WIDTH)
    rows = [name.partition(": ")[2] for name in scores if name.startswith(f"{what}: ")]
    table = Table(title=title, caption="95 %: bootstrap over n; if the aim is for every clip: the worst, and the range")
    for column in ("what", "value", "95 %", "unit", "aim", "holds", "n"):
        table.add_column(column, justify="right" if column in ("value", "95 %", "n") else "left")
    for row in rows:
        score = scores[f"{what}: {row}"]
        verdict = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[score.holds]
        interval = f"{_text(score.low)}–{_text(score.high)}"
        table.add_row(row, _text(score.value), interval, score.unit, score.aim, verdict, str(score.n))
    console.print(table)
    if len(subjects) > 1:
        own = Table(title=f"{title}, one by one")
        for column in ("what", *subjects):
            own.add_column(column, justify="left" if column == "what" else "right")
        for row in rows:
            found = [scores.get(f"{subject}: {row}") for subject in subjects]
            if any(found):
                own.add_row(row, *("" if each is None else _text(each.value) for each in found))
        console.print(own)


def _text(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
