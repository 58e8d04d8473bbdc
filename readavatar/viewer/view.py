"""Write the viewer's page of a clip store: the overlay video, the curves and the script in one HTML file."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.store import ClipStore
from readavatar.errors import UserError
from readavatar.files import replacing_folder
from readavatar.media.page import base64_pieces, write_page
from readavatar.media.video_writer import VideoWriter
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.progress import track
from readavatar.viewer.panels import Sheet
from readavatar.viewer.series import (
    JUMP,
    LANDMARK_ERROR,
    PHOTOMETRIC_ERROR,
    SHAPE_ERROR,
    Series,
    all_series,
    notes,
    open_subject,
    worst_frames,
)

DIGITS = 3
"""Decimals of coefficients."""
ENVELOPE_RATE = 100
"""Drawn pairs of lowest and highest sample of the sound per second."""
WORST = 8
"""Number of frames in a list."""
APART_SECONDS = 0.3
"""Least distance between the frames of a list."""
WORST_GROUPS = (LANDMARK_ERROR, PHOTOMETRIC_ERROR, JUMP, SHAPE_ERROR)


@dataclass(frozen=True)
class View:
    """The content of a page."""

    title: str
    notes: Sequence[str]
    """Plain text."""
    fps: Fraction
    first: int
    """Index of the clip's frame at which the video begins."""
    size: int
    """Side of a panel, pixels."""
    sheet: Sheet
    """The panels and their places."""
    series: Sequence[Series]
    waveform: Float[Tensor, " num_samples"] | None
    """As long as the frames, in [−1, 1]."""
    video: Path
    """MP4."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.series[0].values)


def write_view(path: str | Path, view: View) -> None:
    """Write the page; the video is copied in pieces, to save memory."""
    write_page(
        path,
        "viewer/viewer.html.j2",
        title=view.title,
        notes=view.notes,
        worst=_worst_lists(view),
        data=page_data(view),
        video=base64_pieces(view.video),
    )


def write_index(path: str | Path, rows: Sequence[tuple[str, int, float, float]]) -> None:
    """Write an index of several clips' pages in the same folder.

    Args:
        path: The HTML file.
        rows: Name, number of frames, landmark error (per cent) and PSNR (dB) of each; NaN without a fit.
    """
    shown = [
        (name, num_frames, *("–" if math.isnan(v) else f"{v:.2f}" for v in (error, likeness)))
        for name, num_frames, error, likeness in rows
    ]
    write_page(path, "viewer/index.html.j2", title="Clips", rows=shown)


def page_data(view: View) -> dict:
    """The script's data as JSON values: rounded numbers, None for NaN."""
    series = [
        {
            "name": one.name,
            "group": one.group,
            "unit": one.unit,
            "shown": one.shown,
            "values": _numbers(one.values),
            "references": {name: _numbers(values) for name, values in one.references.items()},
        }
        for one in view.series
    ]
    panels = []
    for number, panel in enumerate(view.sheet.panels):
        left, top = view.sheet.place(number)
        panels.append({"name": panel.name, "title": panel.title, "shown": panel.shown, "left": left, "top": top})
    return {
        "fps": float(view.fps),
        "first": view.first,
        "frames": view.num_frames,
        "size": view.size,
        "panels": panels,
        "series": series,
        "waveform": None if view.waveform is None else envelope(view.waveform, view.num_frames, float(view.fps)),
    }


def envelope(waveform: Float[Tensor, " num_samples"], num_frames: int, fps: float) -> list[list[float]]:
    """The lowest and the highest sample of stretches of equal length, ``ENVELOPE_RATE`` per second."""
    count = max(1, min(len(waveform), round(num_frames / fps * ENVELOPE_RATE)))
    edges = torch.linspace(0, len(waveform), count + 1).round().long().tolist()
    pieces = [waveform[a : max(b, a + 1)] for a, b in pairwise(edges)]
    return [[round(float(piece.min()), 2) for piece in pieces], [round(float(piece.max()), 2) for piece in pieces]]


def _worst_lists(view: View) -> list[dict]:
    lists = []
    apart = max(1, round(APART_SECONDS * view.fps))
    for one in view.series:
        frames = worst_frames(one.values, WORST, apart) if one.group in WORST_GROUPS else []
        if frames:
            found = [(view.first + frame, f"{float(one.values[frame]):.3g}") for frame in frames]
            lists.append({"name": one.name, "unit": one.unit, "frames": found})
    return lists


def _numbers(values: Float[Tensor, " T"]) -> list[float | None]:
    return [round(value, DIGITS) if math.isfinite(value) else None for value in values.tolist()]


KEYFRAME_INTERVAL = 5
"""Frames: to show a frame exactly, a browser decodes at most four others."""
CRF = 25
"""x264's quality: dots and lips are sharp, and a minute of 256² panels takes 20 MB."""
PRESET = "veryfast"
"""x264's preset. With so many key frames, slower presets do not save bytes (medium takes 45 ms more for each frame)."""
SIZES = (64, 1024)


@dataclass(frozen=True)
class ViewSummary:
    """A summary of a clip's page."""

    page: Path
    name: str
    num_frames: int
    landmark_error: float
    """Mean, per cent of the inter-ocular distance; NaN without a fit."""
    psnr: float
    """Mean over the frames, inside the face, dB; NaN without a fit."""


def view_clip(
    clip: str | Path,
    out: str | Path,
    *,
    truth: bool = False,
    start: int | float = 0.0,
    stop: int | float | None = None,
    size: int = 256,
    video: str | Path | None = None,
    progress: bool | None = None,
) -> ViewSummary:
    """Write the page of a prepared or fitted clip, in memory that does not depend on its length.

    Args:
        clip: The clip store.
        out: The HTML file.
        truth: Draw a digital actor's truth instead of the fit.
        start: First second.
        stop: Last second; None is the end.
        size: Of a panel, pixels.
        video: Path at which to keep the overlay video as a file.
        progress: Draw a progress bar; by default only within ``progress_bars()``.

    Raises:
        UserError: There is no clip store or no truth, or the range is empty, or the size is out of range.
    """
    store = ClipStore(clip)
    if not SIZES[0] <= size <= SIZES[1] or size % 2:
        raise UserError(f"Expected an even size from {SIZES[0]} to {SIZES[1]} pixels, but got {size}.")
    first, last = _frame_range(store, start, stop)
    subject = open_subject(store, truth)
    sheet = Sheet(store, size, subject.seen, subject.face, subject.model, subject.fitted, subject.truth)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "overlay.mp4" if video is None else Path(video)
        photometric, geometric = _write_overlay(path, store, sheet, first, last, progress)
        found = all_series(subject, slice(first, last), photometric, geometric)
        what = "truth" if truth else "fit" if subject.face else "prepared, not fitted"
        view = View(
            title=f"{store.path.resolve().name}: {what}",
            notes=notes(subject, first, last, truth),
            fps=Fraction(store.info.fps),
            first=first,
            size=size,
            sheet=sheet,
            series=found,
            waveform=_waveform(store, first, last),
            video=path,
        )
        write_view(out, view)
    errors = _values(found, LANDMARK_ERROR)
    return ViewSummary(
        Path(out), store.path.resolve().name, last - first, float(errors.nanmean()), _mean_psnr(photometric)
    )


def view_clips(clips: Sequence[str | Path], out: str | Path, **options) -> list[ViewSummary]:
    """Write one page for each clip and an index into a folder; options are those of ``view_clip`` except ``video``."""
    names = [Path(clip).resolve().name for clip in clips]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"Expected clips of different names, but got '{twice[0]}' twice; view them one by one.")
    for clip in clips:
        ClipStore(clip)  # raises before any page is drawn if there is no such clip
    with replacing_folder(out) as folder:
        found = [view_clip(clip, folder / f"{name}.html", **options) for clip, name in zip(clips, names, strict=True)]
        write_index(folder / "index.html", [(s.name, s.num_frames, s.landmark_error, s.psnr) for s in found])
    return [replace(summary, page=Path(out) / summary.page.name) for summary in found]


def _frame_range(store: ClipStore, start: int | float, stop: int | float | None) -> tuple[int, int]:
    length = store.num_frames / store.fps
    end = length if stop is None else min(stop, length)
    if not (math.isfinite(start) and 0 <= start < length and end > start):
        asked = f"{start:g} s to {'the end' if stop is None else f'{stop:g} s'}"
        raise UserError(f"Expected a start before the stop and within the clip's {length:.2f} s, but got {asked}.")
    first = min(round(start * store.fps), store.num_frames - 1)
    return first, max(first + 1, round(end * store.fps))


def _write_overlay(
    path: Path, store: ClipStore, sheet: Sheet, first: int, last: int, progress: bool | None
) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
    """Write the video; returns the photometric and geometric error of each frame."""
    waveform = _waveform(store, first, last)
    frames = track(sheet.draw(first, last), f"Drawing {store.path.name}", last - first, progress)
    errors = []
    writer = VideoWriter(
        path,
        Fraction(store.info.fps),
        waveform=waveform,
        sample_rate=None if waveform is None else SAMPLE_RATE,
        metadata={"title": f"{store.path.name}: {', '.join(panel.name for panel in sheet.panels)}"},
        crf=CRF,
        keyframe_interval=KEYFRAME_INTERVAL,
        preset=PRESET,
    )
    with writer:
        for frame in frames:
            writer.add(frame.sheet)
            errors.append((frame.photometric, frame.geometric))
    photometric, geometric = torch.tensor(errors, dtype=torch.float32).unbind(1)
    return photometric, geometric


def _waveform(store: ClipStore, first: int, last: int) -> Float[Tensor, " num_samples"] | None:
    if not store.info.has_audio:
        return None
    start, stop = (round(frame / store.fps * SAMPLE_RATE) for frame in (first, last))
    return store.waveform()[start:stop]


def _values(found: Sequence[Series], group: str) -> Float[Tensor, " T"]:
    return next((one.values for one in found if one.group == group), torch.full((1,), torch.nan))


def _mean_psnr(photometric: Float[Tensor, " T"]) -> float:
    return float((-20 * (photometric / 100).clamp(min=1e-6).log10()).nanmean())
