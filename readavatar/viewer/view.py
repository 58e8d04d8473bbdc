"""A clip store → its overlay video and its page."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.clip_store import SAMPLE_RATE, ClipStore
from readavatar.errors import UserError
from readavatar.files import replacing_folder
from readavatar.media.video_writer import VideoWriter
from readavatar.morphable import load_morphable_model
from readavatar.morphable.model import MorphableModel
from readavatar.tracking.results import truth_of
from readavatar.types import TrackedFace
from readavatar.viewer import series as curves
from readavatar.viewer.page import View, write_index, write_view
from readavatar.viewer.panels import Sheet
from readavatar.viewer.points import FittedPoints, SeenPoints, fitted_points, jumps, landmark_errors, seen_points
from readavatar.viewer.series import Series

KEYFRAME_INTERVAL = 5
"""Frames: a browser decodes four more at most to show one, and shows exactly the one that is asked for."""
CRF = 25
"""x264's quality of the overlay: dots and lips stay sharp, and a minute of 256² panels fits into 20 MB."""
SIZES = (64, 1024)

Progress = Callable[..., object]
"""``rich.progress.track``, or what gives back its first argument."""


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
    start: float = 0.0,
    stop: float | None = None,
    size: int = 256,
    video: str | Path | None = None,
    progress: Progress | None = None,
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
        progress: Shows a bar.

    Raises:
        UserError: No clip store, no truth where one is asked for, an empty range or a size out of range.
    """
    store = ClipStore(clip)
    if not SIZES[0] <= size <= SIZES[1] or size % 2:
        raise UserError(f"Expected an even size from {SIZES[0]} to {SIZES[1]} pixels, but got {size}.")
    first, last = _frame_range(store, start, stop)
    subject = _subject(store, truth)
    sheet = Sheet(store, size, subject.seen, subject.face, subject.model, subject.fitted, subject.truth)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "overlay.mp4" if video is None else Path(video)
        photometric, geometric = _write_overlay(path, store, sheet, first, last, progress)
        found = _all_series(store, subject, slice(first, last), photometric, geometric)
        what = "truth" if truth else "fit" if subject.face else "prepared, not fitted"
        view = View(
            title=f"{store.path.resolve().name}: {what}",
            notes=_notes(store, subject, first, last, truth),
            fps=Fraction(store.info.fps),
            first=first,
            size=size,
            sheet=sheet,
            series=found,
            waveform=_waveform(store, first, last),
            video=path,
        )
        write_view(out, view)
    errors = _values(found, curves.LANDMARK_ERROR)
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


@dataclass(frozen=True)
class _Subject:
    """What is looked at."""

    seen: SeenPoints
    face: TrackedFace | None = None
    model: MorphableModel | None = None
    fitted: FittedPoints | None = None
    truth: TrackedFace | None = None
    truth_points: FittedPoints | None = None


def _subject(store: ClipStore, truth: bool) -> _Subject:
    seen = seen_points(store)
    if not truth and not store.is_tracked:
        return _Subject(seen)
    face = store.truth() if truth else store.tracking()
    model = load_morphable_model(face.morphable_model)
    if tuple(model.expression_names) != face.expression_names:
        raise UserError(
            f"Expected '{face.morphable_model}' to have the {len(face.expression_names)} expressions that "
            f"'{store.path}' was fitted with, but it has others; fit the clip again."
        )
    fitted = fitted_points(face, model)
    true = None if truth else truth_of(store, model)
    return _Subject(seen, face, model, fitted, true, None if true is None else fitted_points(true, model))


def _frame_range(store: ClipStore, start: float, stop: float | None) -> tuple[int, int]:
    length = store.num_frames / store.fps
    end = length if stop is None else min(stop, length)
    if not (math.isfinite(start) and 0 <= start < length and end > start):
        asked = f"{start:g} s to {'the end' if stop is None else f'{stop:g} s'}"
        raise UserError(f"Expected a start before the stop and within the clip's {length:.2f} s, but got {asked}.")
    first = min(round(start * store.fps), store.num_frames - 1)
    return first, max(first + 1, round(end * store.fps))


def _write_overlay(
    path: Path, store: ClipStore, sheet: Sheet, first: int, last: int, progress: Progress | None
) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
    """The video, and the photometric and geometric error of each frame."""
    waveform = _waveform(store, first, last)
    frames = sheet.draw(first, last)
    if progress is not None:
        frames = progress(frames, description=f"Drawing {store.path.name}", total=last - first)
    errors = []
    writer = VideoWriter(
        path,
        Fraction(store.info.fps),
        waveform=waveform,
        sample_rate=None if waveform is None else SAMPLE_RATE,
        metadata={"title": f"{store.path.name}: {', '.join(panel.name for panel in sheet.panels)}"},
        crf=CRF,
        keyframe_interval=KEYFRAME_INTERVAL,
    )
    with writer:
        for frame in frames:
            writer.add(frame.sheet)
            errors.append((frame.photometric, frame.geometric))
    photometric, geometric = torch.tensor(errors, dtype=torch.float32).unbind(1)
    return photometric, geometric


def _all_series(
    store: ClipStore, subject: _Subject, index: slice, photometric: Tensor, geometric: Tensor
) -> list[Series]:
    """All curves of the frames shown, in the order of their lanes."""
    face, truth, seen = subject.face, subject.truth, subject.seen
    emotion, blendshapes = store.emotion(), store.landmarks().blendshapes
    blendshapes = blendshapes if bool(blendshapes.any()) else None
    found: list[Series] = []
    if emotion is not None:
        found += curves.emotion_series(emotion.sample_frames(store.num_frames, store.fps), emotion.space.names)
    found += curves.opening_series(seen, subject.fitted, subject.truth_points)
    if face is None:
        if blendshapes is not None:
            found += curves.expression_series(blendshapes, curves.ARKIT_NAMES)
        return [_cut(one, index) for one in found]
    true = None if truth is None else truth.coefficients
    found += curves.expression_series(
        face.coefficients.expression_coefficients,
        face.expression_names,
        blendshapes,
        None if true is None else true.expression_coefficients,
    )
    found += curves.pose_series(face.coefficients, true)
    errors = landmark_errors(subject.fitted, seen)
    found += [
        Series("landmark error", curves.LANDMARK_ERROR, "%", errors),
        Series("jump", curves.JUMP, "%", jumps(subject.fitted.landmarks), {"detector": jumps(seen.landmarks)}),
    ]
    found = [_cut(one, index) for one in found]
    found.append(Series("photometric error", curves.PHOTOMETRIC_ERROR, "%", photometric))
    if truth is not None:
        found.append(Series("shape error", curves.SHAPE_ERROR, "mm", geometric))
    return found


def _cut(one: Series, index: slice) -> Series:
    references = {name: values[index] for name, values in one.references.items()}
    return replace(one, values=one.values[index], references=references)


def _waveform(store: ClipStore, first: int, last: int) -> Float[Tensor, " num_samples"] | None:
    if not store.info.has_audio:
        return None
    start, stop = (round(frame / store.fps * SAMPLE_RATE) for frame in (first, last))
    return store.waveform()[start:stop]


def _notes(store: ClipStore, subject: _Subject, first: int, last: int, truth: bool) -> list[str]:
    missing = int((~subject.seen.found[first:last]).sum())
    notes = [
        f"{store.info.source_name}: frames {first} to {last - 1} of {store.num_frames}, {store.fps:g} a second, "
        f"{store.info.size}×{store.info.size} pixels; no face was found in {missing}."
    ]
    if subject.face is None:
        notes.append(
            "The clip is prepared, but not fitted: only what the detector saw is shown. Fit it with 'readavatar fit "
            f"--config configs/tracking/default.yaml --data.clips {store.path}'."
        )
    else:
        what = "The digital actor's truth, drawn" if truth else "Fitted"
        notes.append(f"{what} with the morphable model '{subject.face.morphable_model}'.")
        if not truth and subject.truth is None and (store.path / "truth.safetensors").exists():
            notes.append("The clip has a truth, but in another morphable model: it is not compared with the fit.")
    return notes


def _values(found: Sequence[Series], group: str) -> Float[Tensor, " T"]:
    return next((one.values for one in found if one.group == group), torch.full((1,), torch.nan))


def _mean_psnr(photometric: Float[Tensor, " T"]) -> float:
    return float((-20 * (photometric / 100).clamp(min=1e-6).log10()).nanmean())
