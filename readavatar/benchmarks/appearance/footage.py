"""The appearance scorecard on footage: a clip's held-out end, painted from its tracked coefficients."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from readavatar.assets import find_asset
from readavatar.benchmarks.appearance.baselines import AlbedoRender, NearestFrames
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
from readavatar.benchmarks.appearance.painting import AvatarPainter, Painter, check_unseen
from readavatar.benchmarks.appearance.pictures import write_painting_sheet
from readavatar.benchmarks.appearance.table import print_comparison, score_over_seconds, single
from readavatar.benchmarks.appearance.training import train_on_footage
from readavatar.benchmarks.scorecard import Row, Score
from readavatar.data.datasets.appearance import num_held_out
from readavatar.data.store import ClipStore
from readavatar.detection import FaceDetector
from readavatar.errors import UserError
from readavatar.metrics.lpips import ARCHITECTURES, load_lpips
from readavatar.morphable import load_morphable_model
from readavatar.progress import track

_LOGGER = logging.getLogger(__name__)

AVATAR, NEAREST, ALBEDO = "avatar", "nearest training frame", "tracker's albedo"
OVER_NEAREST = "face: PSNR over the nearest training frame's"
MINUTES = "training"
EVERY = 3
"""Of the held-out frames, one in so many is scored, with the one behind it for the change."""
SHEET_MOMENTS = 6
LONG = 30.0
"""Seconds of training from which on a likeness is asked for; with less, more than the nearest frame gives."""

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
"""By measure, one value a moment."""


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
        avatar: Trained on the clip without its end; by default one is trained.
        held_out: Seconds of the end, at most a quarter of the clip.
        configs: Of the training.
        work: Folder for the avatar that is trained.
        sheets: Folder for a contact sheet.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``painter: measure``: means over frames, with the 95 % bootstrap interval over seconds.

    Raises:
        UserError: A clip that is not fitted or shows no face in its end, or an avatar that saw that end.
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
    """Every third of a clip's last frames that shows a face, as does the one behind it.

    Raises:
        UserError: None does.
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
        By painter, the measures; and a few moments with each painter's likeness of their first frame, to look at.
    """
    judges = find_judges()
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
                values = measure_likeness(painting, moment, judges)
                for measure, value in {**values, **({GAZE: gazes[name]} if gazes else {})}.items():
                    measured[name].setdefault(measure, []).append(value)
                if place in to_show:
                    images[name].append(firsts[name])
            if place in to_show:
                moments.append(moment)
    return measured, (moments, images)


def find_judges() -> dict[str, nn.Module]:
    """LPIPS on the networks whose weights are on this machine; what is not there is said."""
    judges = {name: load_lpips(name) for name in ARCHITECTURES if find_asset(ARCHITECTURES[name].asset)}
    for name in ARCHITECTURES:
        if name not in judges:
            asset = ARCHITECTURES[name].asset
            _LOGGER.warning("LPIPS (%s) is not measured: run 'readavatar assets get %s'", name, asset)
    return judges


def summarise_painters(
    measured: Mapping[str, Measured], places: Sequence[int], fps: float, aims: Mapping[str, Row]
) -> dict[str, Score]:
    """Means over moments by ``painter: measure``; the aims are the avatar's."""
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
