"""The appearance scorecard on footage: the held-out end of a clip, rendered from its tracked coefficients.

A table compares the avatar with the nearest training frame and the tracker's albedo: means over frames, with intervals.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from readavatar.assets import find_asset
from readavatar.benchmarks.appearance.likeness import (
    FLICKER,
    GAZE,
    LIVELINESS,
    LPIPS_ALEX,
    MOUTH_PSNR,
    PAINTED,
    PSNR,
    Moment,
    measure_gaze,
    measure_likeness,
)
from readavatar.benchmarks.appearance.painting import AlbedoRender, AvatarPainter, NearestFrames, Painter, check_unseen
from readavatar.benchmarks.appearance.pictures import write_painting_sheet
from readavatar.benchmarks.scorecard import Row, Score, widened
from readavatar.benchmarks.trained import train_on_footage
from readavatar.data.datasets.appearance import num_held_out
from readavatar.data.store import ClipStore
from readavatar.detection import FaceDetector
from readavatar.errors import UserError
from readavatar.metrics import bootstrap_interval
from readavatar.metrics.lpips import ARCHITECTURES, load_lpips
from readavatar.morphable import load_morphable_model
from readavatar.progress import track

_LOGGER = logging.getLogger(__name__)

AVATAR, NEAREST, ALBEDO = "avatar", "nearest training frame", "tracker's albedo"
OVER_NEAREST = "face: PSNR over the nearest training frame's"
MINUTES = "training"
EVERY = 3
"""Every third held-out frame is scored, together with the frame after it, for the change between them."""
SHEET_MOMENTS = 6
LONG = 30.0
"""Seconds of training footage from which on the aims are absolute; with less, they are relative to the nearest
frame."""

_UNITS = {
    PSNR: "dB",
    MOUTH_PSNR: "dB",
    OVER_NEAREST: "dB",
    FLICKER: "of 255",
    LIVELINESS: "ratio",
    PAINTED: "%",
    GAZE: "°",
}
_LONG_AIMS = {PSNR: Row("dB", at_least=31.0), LPIPS_ALEX: Row("", at_most=0.020)}
_SHORT_AIMS = {OVER_NEAREST: Row("dB", at_least=10.0)}
_MINUTES = Row("min", at_most=60.0)

Measured = dict[str, list[float]]
"""By measure, one value for each moment."""


def bench_appearance_footage(
    clip: str | Path,
    *,
    avatar: str | Path | None = None,
    held_out: float = 10.0,
    configs: Sequence[str] = (),
    work: str | Path = "bench_appearance",
    sheets: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Score]:
    """Paint every third frame of a clip's end from its fit, beside the nearest training frame and the fit's albedo.

    Args:
        clip: A fitted clip.
        avatar: Trained on the clip without its end; by default, one is trained now.
        held_out: Seconds of the end, at most a quarter of the clip.
        configs: Applied over the training's default.
        work: Folder for the avatar that is trained.
        sheets: Folder for a contact sheet.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``painter: measure``: means over frames, with the 95 % bootstrap interval over seconds.

    Raises:
        UserError: The clip is not fitted or shows no face in its end, or the avatar was trained on that end.
    """
    store = ClipStore(clip)
    face = store.tracking()
    count = num_held_out(store.num_frames, store.fps, held_out)
    moments = scored_moments(store, count)
    minutes = None
    if avatar is None:
        avatar, minutes = train_on_footage(store, count / store.fps, configs, Path(work))
    if remark := check_unseen(avatar, store, count):
        _LOGGER.warning("%s", remark)
    model = load_morphable_model(face.morphable_model)
    painters = {
        AVATAR: AvatarPainter(avatar, store, model, face),
        NEAREST: NearestFrames(store, store.num_frames - count),
        ALBEDO: AlbedoRender(store, model, face),
    }
    measured, shown = measure_painters(store, painters, moments)
    is_long = (store.num_frames - count) / store.fps >= LONG
    scores = summarise_painters(measured, moments, store.fps, _LONG_AIMS if is_long else _SHORT_AIMS)
    if minutes is not None:
        scores[f"{AVATAR}: {MINUTES}"] = single(_MINUTES, minutes)
    name = store.info.source_name or store.path.name
    if console is not None:
        print_comparison(f"appearance, the last {count / store.fps:g} s of {name}", scores, list(painters), console)
    if sheets is not None:
        path = Path(sheets) / f"{Path(name).stem}.png"
        chosen, images = shown
        write_painting_sheet(path, chosen, images, store.fps)
        _LOGGER.info("see '%s'", path)
    return scores


def scored_moments(store: ClipStore, count: int) -> list[int]:
    """Every third of a clip's last frames, where it and the next frame show a face.

    Raises:
        UserError: No such frame.
    """
    seen = store.landmarks().landmark_confidence > 0
    first = store.num_frames - count
    moments = [frame for frame in range(first, store.num_frames - 1, EVERY) if bool(seen[frame : frame + 2].all())]
    if not moments or not bool(seen[:first].any()):
        raise UserError(
            f"Expected a face before and in the last {count / store.fps:g} s of '{store.path}', but there is none."
        )
    return moments


def measure_painters(
    store: ClipStore, painters: Mapping[str, Painter], places: Sequence[int]
) -> tuple[dict[str, Measured], tuple[list[Moment], dict[str, list[Tensor]]]]:
    """Measure each painter at each moment, one moment in memory at a time.

    Returns:
        By painter, the measured values; and a few moments with each painter's rendering of their first frame.
    """
    networks = load_lpips_networks()
    landmarks = store.landmarks().landmarks_2d
    measured: dict[str, Measured] = {name: {} for name in painters}
    spread = torch.linspace(0, len(places) - 1, min(SHEET_MOMENTS, len(places))).round().long()
    to_show = {places[index] for index in spread.tolist()}
    moments, images = [], {name: [] for name in painters}
    with ExitStack() as stack:
        detector = stack.enter_context(FaceDetector()) if find_asset("face_landmarker") else None
        for place in track(places, "painting held-out frames"):
            frames = range(place, place + 2)
            moment = Moment(place, store.frames(frames), landmarks[place : place + 2])
            paintings = {name: painter.paint(frames) for name, painter in painters.items()}
            firsts = {name: painting.images[0] for name, painting in paintings.items()}
            gazes = measure_gaze(detector, firsts, moment.frames[0]) if detector else {}
            for name, painting in paintings.items():
                values = measure_likeness(painting, moment, networks)
                for measure, value in {**values, **({GAZE: gazes[name]} if gazes else {})}.items():
                    measured[name].setdefault(measure, []).append(value)
                if place in to_show:
                    images[name].append(firsts[name])
            if place in to_show:
                moments.append(moment)
    return measured, (moments, images)


def load_lpips_networks() -> dict[str, nn.Module]:
    """The LPIPS networks whose weights are installed; a warning names the others."""
    networks = {name: load_lpips(name) for name in ARCHITECTURES if find_asset(ARCHITECTURES[name].asset)}
    for name in ARCHITECTURES:
        if name not in networks:
            asset = ARCHITECTURES[name].asset
            _LOGGER.warning("LPIPS (%s) is not measured: run 'readavatar assets get %s'", name, asset)
    return networks


def summarise_painters(
    measured: Mapping[str, Measured], places: Sequence[int], fps: float, aims: Mapping[str, Row]
) -> dict[str, Score]:
    """Means over moments by ``painter: measure``; the aims apply to the avatar."""
    measured = {name: dict(values) for name, values in measured.items()}
    pairs = zip(measured[AVATAR][PSNR], measured[NEAREST][PSNR], strict=True)
    measured[AVATAR] = {PSNR: measured[AVATAR][PSNR], OVER_NEAREST: [a - b for a, b in pairs], **measured[AVATAR]}
    scores = {}
    for name, values in measured.items():
        for measure, each in values.items():
            row = aims.get(measure) if name == AVATAR else None
            row = row or Row(_UNITS.get(measure, ""))
            scores[f"{name}: {measure}"] = score_over_seconds(row, each, places, fps)
    return scores


_FILE_WIDTH = 120
"""Columns of a table that is printed into a file."""
_VERDICTS = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}


def score_over_seconds(row: Row, values: Sequence[float], places: Sequence[int], fps: int | float) -> Score:
    """The mean over frames, with a bootstrap interval over seconds, since neighbouring frames are not independent.

    Args:
        row: Unit and aim of the values.
        values: One for each frame; values that are not finite (nothing to measure) are left out.
        places: The frames' indices.
        fps: Frames a second.
    """
    seconds: dict[int, list[float]] = {}
    for place, value in zip(places, values, strict=True):
        if math.isfinite(value):
            seconds.setdefault(int((place - places[0]) / fps), []).append(value)
    finite = [value for each in seconds.values() for value in each]
    if not finite:
        return Score(math.nan, math.nan, math.nan, row.unit, row.aim, 0)
    means = torch.tensor([sum(each) / len(each) for each in seconds.values()], dtype=torch.float64)
    _, low, high = bootstrap_interval(means)
    value = sum(finite) / len(finite)
    return Score(value, low, high, row.unit, row.aim, len(means), row.holds(value))


def single(row: Row, value: float) -> Score:
    """A figure that is measured once."""
    return Score(value, value, value, row.unit, row.aim, 1, row.holds(value))


def print_comparison(title: str, scores: Mapping[str, Score], subjects: Sequence[str], console: Console) -> None:
    """Print one row for each measure: the first subject's value with its interval and aim, then the others'.

    Args:
        title: Of the table.
        scores: By ``subject: measure``.
        subjects: The columns.
        console: Where to print.
    """
    first, *others = subjects
    table = Table(title=title, caption="means over frames; 95 %: bootstrap over seconds")
    for column in ("what", first, "95 %", *others, "unit", "aim", "holds"):
        table.add_column(column, justify="left" if column in ("what", "unit", "aim", "holds") else "right")
    measures = dict.fromkeys(name.partition(": ")[2] for name in scores)
    for measure in measures:
        found = [scores.get(f"{subject}: {measure}") for subject in subjects]
        ours, any_of_them = found[0], next(each for each in found if each is not None)
        interval = f"{_text(ours.low)}–{_text(ours.high)}" if ours else ""
        values = ["" if each is None else _text(each.value) for each in found]
        verdict = ("", "") if ours is None else (ours.aim, _VERDICTS[ours.holds])
        table.add_row(measure, values[0], interval, *values[1:], any_of_them.unit, *verdict)
    widened(console, _FILE_WIDTH).print(table)


def _text(value: float) -> str:
    """Three significant digits: 31.2, 4.56, 0.019."""
    size = abs(value)
    return f"{value:.3f}" if size < 1 else f"{value:.2f}" if size < 10 else f"{value:.1f}"
