"""The examination as one self-contained HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path

from readavatar.doctor.checks import Check, Status, with_status
from readavatar.doctor.examination import ClipExamination, Examination
from readavatar.doctor.leaving_out import LeftOut
from readavatar.doctor.plots import coverage, left_out_pictures, timelines
from readavatar.doctor.terminal import describe_skipped, sections
from readavatar.media.page import paragraph, picture, table, write_page

_STYLE = (
    "h1+p{font-size:1.3em;font-weight:600}h2{margin-top:2em}table{width:100%;font-size:.9em}"
    "td:first-child{white-space:nowrap;font-weight:600}"
)
_MARKS = {Status.FAIL: "✗ fails", Status.WARN: "! warns", Status.PASS: "✓ passes"}
_HEADER = ("", "check", "measured", "threshold", "why, and what to do")
_MOST_PICTURES = 24
_MOST_ROWS = 100
"""Of stretches to leave out; the rest is counted."""


def write_examination_page(path: str | Path, examination: Examination) -> None:
    """Write the verdict, the tables, the timelines and the pictures of frames to leave out.

    Args:
        path: The HTML file.
        examination: What to show.
    """
    write_page(path, "Will it train?", _parts(examination), _STYLE)


def _parts(examination: Examination) -> Iterator[str]:
    yield paragraph(examination.verdict)
    clips = {clip.name: clip for clip in examination.clips}
    parts = sections(examination)
    for name, checks in [parts[-1], *parts[:-1]] if examination.together else parts:  # what all clips say comes first
        yield from _heading(name)
        yield table(_rows(checks), _HEADER)
        skipped = with_status(checks, Status.NOT_APPLICABLE)
        if skipped:
            yield paragraph(f"Not applicable: {describe_skipped(skipped)}.")
        if name in clips:
            yield from _pictures(clips[name])


def _heading(text: str) -> Iterator[str]:
    yield f"<h2>{html.escape(text)}</h2>"


def _rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    rows = []
    for status, mark in _MARKS.items():
        for check in with_status(checks, status):
            advice = check.reason if status == Status.PASS else f"{check.reason} {check.remedy}"
            rows.append((mark, check.name, check.measured, check.threshold, advice))
    return rows


def _pictures(clip: ClipExamination) -> Iterator[str]:
    evidence = clip.evidence
    if evidence is None:
        return
    yield picture(timelines(evidence), "Confidence, lips, sound and lids over the clip; frames to leave out are red.")
    yield picture(coverage(evidence), "Where the head looks; mouth shapes; how well sound and lips agree when shifted.")
    parts = list(evidence.left_out)
    if not parts:
        yield paragraph("No frame needs to be left out.")
        return
    shown = _longest(parts, _MOST_PICTURES)
    caption = f"Frames to leave out: the middle frame of {len(shown)} of {len(parts)} stretches, with its landmarks."
    yield picture(left_out_pictures(evidence, shown), caption)
    fps = evidence.store.fps
    rows = [
        (f"{part.first}–{part.last - 1}", f"{part.first / fps:.2f}–{part.last / fps:.2f} s", part.reason)
        for part in parts[:_MOST_ROWS]
    ]
    yield table(rows, ("frames", "time", "reason"))
    if len(parts) > _MOST_ROWS:
        yield paragraph(f"… and {len(parts) - _MOST_ROWS} more.")


def _longest(parts: Sequence[LeftOut], count: int) -> list[LeftOut]:
    """By time."""
    chosen = sorted(parts, key=lambda part: part.first - part.last)[:count]
    return sorted(chosen, key=lambda part: part.first)
