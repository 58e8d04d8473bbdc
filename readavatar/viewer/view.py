"""A clip store → its overlay video and its page."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.store import ClipStore
from readavatar.errors import UserError
from readavatar.files import replacing_folder
from readavatar.media.video_writer import VideoWriter
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.progress import track
from readavatar.viewer.page import View, write_index, write_view
from readavatar.viewer.panels import Sheet
from readavatar.viewer.series import LANDMARK_ERROR, Series
from readavatar.viewer.subject import all_series, notes, open_subject

KEYFRAME_INTERVAL = 5
"""Frames: a browser decodes four more at most to show one, and shows exactly the one that is asked for."""
CRF = 25
"""x264's quality of the overlay: dots and lips stay sharp, and a minute of 256² panels takes 20 MB of page."""
PRESET = "veryfast"
"""x264's; with so many key frames the slower ones (medium: 45 ms a frame more) save no bytes."""
SIZES = (64, 1024)


@dataclass(frozen=True)
class ViewSummary:
    """What a page says of its clip."""

    page: Path
    name: str
    num_frames: int
    landmark_error: float
    """Mean, per cent of the inter-ocular distance; NaN where nothing was fitted."""
    psnr: float
    """Mean over the frames, inside the face, dB; NaN where nothing was fitted."""


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
        truth: Draw a digital actor's truth in place of the fit.
        start: Seconds.
        stop: Seconds; None is the end.
        size: Of a panel, pixels.
        video: Where to keep the overlay video as a file too.
        progress: Draw a progress bar; by default only within ``progress_bars()``.

    Raises:
        UserError: No clip store, no truth where one is asked for, an empty range or a size out of range.
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
    """Write one page a clip and an index into a folder; options as for ``view_clip``, save ``video``."""
    names = [Path(clip).resolve().name for clip in clips]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"Expected clips of different names, but got '{twice[0]}' twice; view them one by one.")
    for clip in clips:
        ClipStore(clip)  # a mistake in the last name is said before the first is drawn
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
    """The video, and the photometric and geometric error of each frame."""
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
