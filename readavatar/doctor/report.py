"""Reports of an examination: on the terminal, as JSON, and as a self-contained HTML page with plots."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from rich.text import Text

from readavatar.doctor.audio_offset import MAX_OFFSET
from readavatar.doctor.checks import Check, Status, with_status
from readavatar.doctor.coverage_checks import blinks, closures, shape_times
from readavatar.doctor.evidence import Evidence, LeftOut
from readavatar.doctor.examination import Examination
from readavatar.doctor.measurements import CLOSED_MILLIMETRES, EYE_CORNERS_MILLIMETRES, lid_opening, lip_opening
from readavatar.errors import UserError
from readavatar.files import replacing_file
from readavatar.media.page import write_page
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.speech.silence import block_power

_THUMBNAIL, _LINE, _COLUMNS = 170, 30, 6
"""Pixels of a picture and of the two lines below it; pictures in a row."""
_QUIETEST = -70.0
"""dBFS at the bottom of the plots."""
_SHADE = {"color": "tab:red", "alpha": 0.18, "linewidth": 0}


def timelines(evidence: Evidence) -> UInt8[np.ndarray, "H W 3"]:
    """Curves over the clip: landmark confidence, sharpness, lips, sound and lids. Frames to leave out are shaded."""
    fps, count = evidence.store.fps, evidence.store.num_frames
    seconds = (np.arange(count) + 0.5) / fps
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(1, 2, 1.4, 1))
    axes[0].plot(seconds, evidence.confidence.numpy(), color="tab:blue", label="landmark confidence")
    sharpness = evidence.statistics.sharpness / evidence.statistics.sharpness.nanmedian()
    axes[0].plot(seconds, sharpness.numpy(), color="tab:gray", linewidth=0.8, label="sharpness / median")
    axes[0].set_ylim(-0.05, 1.6)
    axes[0].legend(loc="upper right", ncols=2, fontsize="small")
    gap = lip_opening(evidence.landmarks) * EYE_CORNERS_MILLIMETRES
    axes[1].plot(seconds, gap.numpy(), color="tab:purple", linewidth=1)
    axes[1].axhline(CLOSED_MILLIMETRES, color="0.6", linewidth=0.6)
    closed = closures(evidence)
    axes[1].plot([(a + b) / 2 / fps for a, b in closed], [0] * len(closed), "|", color="tab:green", markersize=10)
    axes[1].set_ylabel("lip gap, mm\n(green: closures)")
    _plot_level(axes[2], evidence)
    axes[3].plot(seconds, lid_opening(evidence.landmarks, evidence.seen).numpy(), color="tab:brown", linewidth=1)
    shut = blinks(evidence)
    axes[3].plot([(a + b) / 2 / fps for a, b in shut], [0] * len(shut), "|", color="tab:green", markersize=10)
    axes[3].set(ylabel="lids\n(green: blinks)", xlabel="seconds", xlim=(0, evidence.seconds), ylim=(-0.1, 1.6))
    for axis in axes:
        for part in evidence.left_out:
            axis.axvspan(part.first / fps, part.last / fps, **_SHADE)
    return _pixels(figure)


def coverage(evidence: Evidence) -> UInt8[np.ndarray, "H W 3"]:
    """Poses as a scatter plot, mouth shapes as bars, and the evidence for each audio–video offset."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    poses, shapes, offsets = figure.subplots(1, 3)
    angles = evidence.angles[evidence.usable]
    if len(angles):
        seconds = torch.nonzero(evidence.usable)[:, 0] / evidence.store.fps
        dots = poses.scatter(angles[:, 0].numpy(), angles[:, 1].numpy(), c=seconds.numpy(), s=6)
        figure.colorbar(dots, ax=poses, label="seconds")
    poses.set(xlabel="yaw, degrees", ylabel="pitch, degrees", xlim=(-50, 50), ylim=(-40, 40), title="head poses")
    times = shape_times([evidence])
    shapes.barh(list(times), list(times.values()), color="tab:purple")
    shapes.invert_yaxis()
    shapes.set(xlabel="times in speech", title="mouth shapes")
    if evidence.offset is not None:
        grid = np.arange(-MAX_OFFSET, MAX_OFFSET + 1)
        offsets.plot(grid, evidence.offset.evidence.numpy(), marker=".", color="tab:blue")
        offsets.axvline(0, color="0.6", linewidth=0.8)
        offsets.axvline(evidence.offset.frames, color="tab:red", linewidth=0.8)
        sure = "" if evidence.offset.is_sure else " (unsure)"
        title = f"offset {evidence.offset.frames:+.1f} frames{sure}"
        offsets.set(xlabel="frames that the picture is late", ylabel="evidence, nats", title=title)
    else:
        offsets.text(0.5, 0.5, "no offset to measure", ha="center", transform=offsets.transAxes)
        offsets.set_axis_off()
    return _pixels(figure)


def left_out_pictures(evidence: Evidence, parts: list[LeftOut]) -> UInt8[np.ndarray, "H W 3"]:
    """The middle frame of each stretch with its time and reason."""
    rows = -(-len(parts) // _COLUMNS)
    width = _THUMBNAIL * min(_COLUMNS, len(parts))
    sheet = Image.new("RGB", (width, (_THUMBNAIL + _LINE) * rows), "white")
    draw = ImageDraw.Draw(sheet)
    fps = evidence.store.fps
    for index, part in enumerate(parts):
        left, top = index % _COLUMNS * _THUMBNAIL, index // _COLUMNS * (_THUMBNAIL + _LINE)
        frame = (part.first + part.last - 1) // 2
        try:
            image = Image.fromarray(evidence.store.frame(frame)).resize((_THUMBNAIL, _THUMBNAIL))
            if evidence.seen[frame]:
                scale = _THUMBNAIL / evidence.store.info.size
                for x, y in (evidence.landmarks[frame] * scale).tolist():
                    ImageDraw.Draw(image).ellipse((x - 1, y - 1, x + 1, y + 1), fill="lime")
            sheet.paste(image, (left, top))
        except UserError:
            draw.rectangle((left, top, left + _THUMBNAIL, top + _THUMBNAIL), fill="#dddddd")
        reason = part.reason.partition(":")[0].removeprefix("the ")
        draw.text((left + 3, top + _THUMBNAIL + 2), f"{part.first / fps:.2f} to {part.last / fps:.2f} s", fill="black")
        draw.text((left + 3, top + _THUMBNAIL + 15), reason[:28], fill="black")
    return np.asarray(sheet)


def _plot_level(axis: Axes, evidence: Evidence) -> None:
    axis.set_ylabel("sound, dBFS")
    axis.set_ylim(_QUIETEST, 0)
    if evidence.waveform is None:
        axis.text(0.5, 0.5, "no sound", ha="center", va="center", transform=axis.transAxes)
        return
    power = block_power(evidence.waveform, SAMPLE_RATE // 50)
    decibels = (10 * power.clamp(min=1e-9).log10()).clamp(min=_QUIETEST)
    axis.fill_between((np.arange(len(power)) + 0.5) / 50, decibels.numpy(), _QUIETEST, color="tab:cyan", linewidth=0)
    fps = evidence.store.fps
    seconds = (np.arange(len(evidence.speaking)) + 0.5) / fps
    speech = np.where(evidence.speaking.numpy(), -2.0, np.nan)
    axis.plot(seconds, speech, color="tab:blue", linewidth=3, label="speech")
    axis.legend(loc="lower right", fontsize="small")


def _pixels(figure: Figure) -> UInt8[np.ndarray, "H W 3"]:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return np.asarray(Image.open(buffer).convert("RGB"))


ORDER = (Status.FAIL, Status.WARN, Status.PASS)
_COLOURS = {Status.FAIL: "bold red", Status.WARN: "yellow", Status.PASS: "green"}


def print_examination(examination: Examination, console: Console | None = None) -> None:
    """Print the verdict, a table for each clip (the worst first) and one for all clips, and what to do.

    If there are several clips, those without a problem take one line each.
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
    """(heading, checks): one table for each clip and, if there are several, one for all together."""
    if len(examination.clips) == 1:
        return [(examination.clips[0].name, examination.checks)]
    parts: list[tuple[str, Sequence[Check]]] = [(clip.name, clip.checks) for clip in examination.clips]
    return [*parts, ("all clips together", examination.together)] if examination.together else parts


def describe_skipped(checks: Sequence[Check]) -> str:
    """The checks that do not apply, grouped by reason."""
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
"""Of the table of stretches to leave out; the rest is only counted."""


def write_examination_page(path: str | Path, examination: Examination) -> None:
    """Write the verdict, the tables, the timelines and the pictures of frames to leave out.

    Args:
        path: The HTML file.
        examination: The examination.
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
    """One section at a time, so that only the pictures of a single clip are in memory."""
    clips = {clip.name: clip for clip in examination.clips}
    parts = sections(examination)
    for name, checks in (
        [parts[-1], *parts[:-1]] if examination.together else parts
    ):  # the checks of all clips together come first
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
    """The pictures with their captions."""
    pictures = [
        (timelines(evidence), "Confidence, lips, sound and lids over the clip; frames to leave out are red."),
        (coverage(evidence), "Head poses; mouth shapes; how well sound and lips agree at each offset."),
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
