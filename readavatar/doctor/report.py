"""The examination on the terminal, and as JSON for programs.

The examination as one self-contained HTML page.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from rich.console import Console
from rich.table import Table
from rich.text import Text

from readavatar.doctor.checks import Check, Status, with_status
from readavatar.doctor.evidence import Evidence
from readavatar.doctor.examination import Examination
from readavatar.doctor.leaving_out import LeftOut
from readavatar.doctor.plots import coverage, left_out_pictures, timelines
from readavatar.files import replacing_file
from readavatar.media.page import write_page

ORDER = (Status.FAIL, Status.WARN, Status.PASS)
_COLOURS = {Status.FAIL: "bold red", Status.WARN: "yellow", Status.PASS: "green"}


def print_examination(examination: Examination, console: Console | None = None) -> None:
    """Print the verdict, a table for each clip (the worst first) and one for all, and what to do.

    Of several clips, those in which all is well are a line each.
    """
    console = console or Console()
    console.print(Text(examination.verdict, style="bold"))
    for name, checks in sections(examination):
        passed, skipped = with_status(checks, Status.PASS), with_status(checks, Status.NOT_APPLICABLE)
        if len(examination.clips) > 1 and len(passed) + len(skipped) == len(checks):
            console.print(Text(f"{name}: all of {len(passed)} checks pass", _COLOURS[Status.PASS]))
            continue
        console.print(_table(name, checks))
        if skipped:
            console.print(Text(f"not applicable: {describe_skipped(skipped)}", style="dim"))
    for name, checks in sections(examination):
        for status in (Status.FAIL, Status.WARN):
            for check in with_status(checks, status):
                console.print(Text(f"{status}: {check.name} ({name}). {check.reason} {check.remedy}", _COLOURS[status]))


def sections(examination: Examination) -> list[tuple[str, Sequence[Check]]]:
    """(heading, checks): of a single clip one table, of several one each and one of all together."""
    if len(examination.clips) == 1:
        return [(examination.clips[0].name, examination.checks)]
    parts: list[tuple[str, Sequence[Check]]] = [(clip.name, clip.checks) for clip in examination.clips]
    return [*parts, ("all clips together", examination.together)] if examination.together else parts


def describe_skipped(checks: Sequence[Check]) -> str:
    """Checks that do not apply, by their reason."""
    reasons: dict[str, list[str]] = {}
    for check in checks:
        reasons.setdefault(check.measured, []).append(check.name)
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())


def write_examination_json(path: str | Path, examination: Examination) -> None:
    """Write ``{verdict, failed, clips: {name: [check …]}, together: [check …]}``."""
    content = {
        "verdict": examination.verdict,
        "failed": examination.has_failed,
        "clips": {clip.name: [_as_dict(check) for check in clip.checks] for clip in examination.clips},
        "together": [_as_dict(check) for check in examination.together],
    }
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False))


def _as_dict(check: Check) -> dict:
    content = dataclasses.asdict(check)
    if check.value is not None and not math.isfinite(check.value):
        content["value"] = None
    return {**content, "status": check.status.value}


def _table(name: str, checks: Sequence[Check]) -> Table:
    table = Table(title=name, title_justify="left", title_style="bold")
    for column in ("", "check", "measured", "threshold"):
        table.add_column(column, overflow="fold")
    for status in ORDER:
        for check in with_status(checks, status):
            table.add_row(
                Text(status.value, _COLOURS[status]), Text(check.name), Text(check.measured), Text(check.threshold)
            )
    return table


_MARKS = {Status.FAIL: "✗ fails", Status.WARN: "! warns", Status.PASS: "✓ passes"}
_MOST_PICTURES = 24
_MOST_ROWS = 100
"""Of stretches to leave out; the rest is counted."""


def write_examination_page(path: str | Path, examination: Examination) -> None:
    """Write the verdict, the tables, the timelines and the pictures of frames to leave out.

    Args:
        path: The HTML file.
        examination: What to show.
    """
    write_page(
        path,
        "doctor/report.html.j2",
        title="Will it train?",
        verdict=examination.verdict,
        sections=_page_sections(examination),
        most_rows=_MOST_ROWS,
    )


def _page_sections(examination: Examination) -> Iterator[dict]:
    """One at a time, so that the pictures of a single clip are in memory."""
    clips = {clip.name: clip for clip in examination.clips}
    parts = sections(examination)
    for name, checks in [parts[-1], *parts[:-1]] if examination.together else parts:  # what all clips say comes first
        evidence = clips[name].evidence if name in clips else None
        yield {
            "name": name,
            "rows": _rows(checks),
            "skipped": describe_skipped(with_status(checks, Status.NOT_APPLICABLE)),
            "pictures": _pictures(evidence) if evidence else [],
            "stretches": _stretches(evidence) if evidence else [],
        }


def _rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    rows = []
    for status, mark in _MARKS.items():
        for check in with_status(checks, status):
            advice = check.reason if status == Status.PASS else f"{check.reason} {check.remedy}"
            rows.append((mark, check.name, check.measured, check.threshold, advice))
    return rows


def _pictures(evidence: Evidence) -> list[tuple[UInt8[np.ndarray, "H W 3"], str]]:
    """With their captions."""
    pictures = [
        (timelines(evidence), "Confidence, lips, sound and lids over the clip; frames to leave out are red."),
        (coverage(evidence), "Where the head looks; mouth shapes; how well sound and lips agree when shifted."),
    ]
    parts = list(evidence.left_out)
    if parts:
        shown = _longest(parts, _MOST_PICTURES)
        caption = (
            f"Frames to leave out: the middle frame of {len(shown)} of {len(parts)} stretches, with its landmarks."
        )
        pictures.append((left_out_pictures(evidence, shown), caption))
    return pictures


def _stretches(evidence: Evidence) -> list[tuple[str, str, str]]:
    """Frames, seconds and reason of each stretch to leave out."""
    fps = evidence.store.fps
    return [
        (f"{part.first}–{part.last - 1}", f"{part.first / fps:.2f}–{part.last / fps:.2f} s", part.reason)
        for part in evidence.left_out
    ]


def _longest(parts: Sequence[LeftOut], count: int) -> list[LeftOut]:
    """By time."""
    chosen = sorted(parts, key=lambda part: part.first - part.last)[:count]
    return sorted(chosen, key=lambda part: part.first)
