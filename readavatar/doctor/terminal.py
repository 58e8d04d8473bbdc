"""The examination on the terminal, and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from readavatar.doctor.checks import Check, Status, with_status
from readavatar.doctor.examination import Examination
from readavatar.files import replacing_file

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
