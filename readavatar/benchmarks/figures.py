"""A benchmark's figures: measured, printed as a table, written as JSON."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from readavatar.files import replacing_file


@dataclass(frozen=True)
class Figure:
    """One number with its spread."""

    value: float
    """Median."""
    low: float
    """Least."""
    high: float
    """Greatest."""
    unit: str
    aim: str = ""
    """What it should be, where that is decided."""


def measure(action: Callable[[], object], per: int = 1, repeats: int = 5, aim: str = "") -> Figure:
    """Time an action, after one run that does not count (compiling, first allocations).

    Args:
        action: What to time.
        per: Frames that it handles; the figure is milliseconds a frame.
        repeats: Counted runs.
        aim: Passed on.
    """
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000 / per)
    return Figure(statistics.median(times), min(times), max(times), "ms", aim)


def print_figures(title: str, figures: dict[str, Figure]) -> None:
    """Print a table."""
    table = Table(title=title)
    for column in ("what", "median", "least", "greatest", "unit", "aim"):
        table.add_column(column, justify="left" if column in ("what", "unit", "aim") else "right")
    for name, figure in figures.items():
        table.add_row(name, *(f"{x:.2f}" for x in (figure.value, figure.low, figure.high)), figure.unit, figure.aim)
    Console().print(table)


def write_figures(path: str | Path, figures: dict[str, Figure]) -> None:
    """Write ``{name: {value, low, high, unit, aim}}``."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps({name: dataclasses.asdict(each) for name, each in figures.items()}, indent=1))
