"""An ablation's table: on the terminal, as Markdown for a README, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from readavatar.benchmarks.scorecard import widened
from readavatar.benchmarks.statistics import MIN_SEEDS, SIGNIFICANT, Aim, Cell, Comparison, Estimate
from readavatar.files import replacing_file

Cells = Mapping[str, Mapping[str, Cell]]
"""By figure, then by run."""

_AIM_SIGNS: dict[Aim | None, str] = {"lower": " ↓", "higher": " ↑", "one": " →1", "zero": " →0", None: ""}
_FILLED, _HOLLOW = {"better": "▲", "worse": "▼", "": "◆"}, {"better": "△", "worse": "▽", "": "◇"}
_COLOURS = {"better": "green", "worse": "red", "": "yellow"}
_FIGURES_A_TABLE = 4
"""On the terminal, so that a row fits its 120 columns."""
_FILE_WIDTH = 120
NOT_AVAILABLE = "n/a"


def legend(num_seeds: int) -> str:
    """Explain the signs in the table."""
    if num_seeds < MIN_SEEDS:
        return f"Mean over {num_seeds} seed(s); intervals and significance: n/a below {MIN_SEEDS} seeds."
    return (
        f"Mean over {num_seeds} paired seeds ± half the 95 % interval (Student's t). ▲ better, ▼ worse than the base: "
        f"paired t test, p < {SIGNIFICANT:g} after Holm's correction for the rows; △, ▽: before it only. Where the aim "
        "is 1 or 0 (→1, →0), differences are those of the distance from it."
    )


def mark(comparison: Comparison | None) -> str:
    """The sign of a difference from the base: filled after Holm's correction, hollow if only before it."""
    if comparison is None or comparison.p is None or comparison.p >= SIGNIFICANT:
        return ""
    return (_FILLED if comparison.is_significant else _HOLLOW)[comparison.direction]


def estimate_text(estimate: Estimate, signed: bool = False) -> str:
    """``0.412 ± 0.031``, or the mean alone."""
    half = estimate.half_width
    mean = number(estimate.mean, signed)
    return mean if half is None else f"{mean} ± {number(half)}"


def number(value: float, signed: bool = False) -> str:
    """A number with one to three decimals, by its size."""
    size = abs(value)
    digits = 1 if size >= 100 else 2 if size >= 10 else 3
    return f"{value:{'+' if signed else ''}.{digits}f}"


def p_text(p: float | None) -> str:
    """A p value as text."""
    if p is None:
        return NOT_AVAILABLE
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def value_text(cell: Cell | None) -> str:
    """A run's figure with its sign."""
    return "–" if cell is None else f"{estimate_text(cell.estimate)} {mark(cell.comparison)}".rstrip()


def difference_text(cell: Cell | None) -> str:
    """A run's difference from the base with its p after the correction."""
    if cell is None or cell.comparison is None:
        return "–"
    comparison = cell.comparison
    return f"{estimate_text(comparison.difference, signed=True)} ({p_text(comparison.p_corrected)})"


def heading(figure: str, aims: Mapping[str, Aim]) -> str:
    """A figure's name with the direction of its aim."""
    return figure.replace("_", " ") + _AIM_SIGNS[aims.get(figure)]


def print_table(
    title: str, cells: Cells, aims: Mapping[str, Aim], base: str, console: Console, notes: Sequence[str] = ()
) -> None:
    """Print the figures, a few columns at a time, with the legend."""
    console = widened(console, _FILE_WIDTH)
    figures = list(cells)
    for first in range(0, len(figures), _FIGURES_A_TABLE):
        shown = figures[first : first + _FIGURES_A_TABLE]
        table = Table(title=title if not first else None)
        table.add_column("run")
        for figure in shown:
            table.add_column(heading(figure, aims), justify="right")
        for run in _runs(cells):
            table.add_row(run, *(_coloured(cells[figure].get(run)) for figure in shown), end_section=run == base)
        console.print(table)
    console.print(legend(_num_seeds(cells, base)), *notes, sep="\n", highlight=False)


def _coloured(cell: Cell | None) -> str:
    text = value_text(cell)
    sign = mark(cell.comparison) if cell else ""
    return f"[{_COLOURS[cell.comparison.direction]}]{text}[/]" if sign else text


def write_markdown(
    path: Path, title: str, cells: Cells, aims: Mapping[str, Aim], base: str, notes: Sequence[str] = ()
) -> None:
    """Write the figures, the legend, and the differences with their p values."""
    runs = _runs(cells)
    lines = [f"### {title}", "", *_markdown_rows(runs, cells, aims, value_text), "", legend(_num_seeds(cells, base))]
    if len(runs) > 1:
        others = [run for run in runs if run != base]
        lines += ["", f"Differences from `{base}`, p after Holm's correction:", ""]
        lines += _markdown_rows(others, cells, aims, difference_text)
    lines += [line for note in notes for line in ("", note)]
    with replacing_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def _markdown_rows(runs: Sequence[str], cells: Cells, aims: Mapping[str, Aim], text) -> Iterator[str]:
    yield f"| | {' | '.join(heading(figure, aims) for figure in cells)} |"
    yield "| --- |" + " --: |" * len(cells)
    for run in runs:
        yield f"| `{run}` | {' | '.join(text(by_run.get(run)) for by_run in cells.values())} |"


def write_json(path: Path, stage: str, cells: Cells, aims: Mapping[str, Aim], base: str) -> None:
    """Write ``{stage, base, figures: {figure: {aim, runs: {run: {values, estimate, comparison}}}}}``."""
    figures = {
        figure: {"aim": aims.get(figure), "runs": {run: _json_cell(cell) for run, cell in by_run.items()}}
        for figure, by_run in cells.items()
    }
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps({"stage": stage, "base": base, "figures": figures}, indent=1))


def _json_cell(cell: Cell) -> dict:
    plain = dataclasses.asdict(cell)
    if cell.comparison is not None:
        plain["comparison"]["is_significant"] = cell.comparison.is_significant
    return plain


def _runs(cells: Cells) -> list[str]:
    return list(dict.fromkeys(run for by_run in cells.values() for run in by_run))


def _num_seeds(cells: Cells, base: str) -> int:
    return max((len(by_run[base].values) for by_run in cells.values() if base in by_run), default=0)
