"""The tracking scorecard on footage of real people, whose truth nobody knows: what can be measured without it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from readavatar.benchmarks.scorecard import Row, Score, Values, summarise
from readavatar.benchmarks.tracking.fit import Fitted, fit_person
from readavatar.benchmarks.tracking.likeness import LIKENESS_ROWS, STEADINESS_ROWS, measure_likeness
from readavatar.benchmarks.tracking.meaning import (
    Windows,
    emotion_transfer,
    expressions_at_limit,
    hidden_expressions,
    is_neutral,
    join_windows,
    labelled_windows,
    without_neutral,
)
from readavatar.data.preparation.prepare import prepare_clip
from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import ARKIT_NAMES
from readavatar.emotion import MEAD_EMOTIONS, NEUTRAL, EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.files import sha256_of_file

_LOGGER = logging.getLogger(__name__)

VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi"}
SIZE = 512
"""Pixels of prepared videos' sides, at most."""
MEAD_LEVELS = 3
_MEAD_NAME = re.compile(rf"_({'|'.join((*MEAD_EMOTIONS, NEUTRAL))})_level([1-{MEAD_LEVELS}])$")

HIDDEN = "neutral: largest unseen expression"
AT_LIMIT = "neutral: expressions at their limit"
FOOTAGE_ROWS = {
    **LIKENESS_ROWS,
    **STEADINESS_ROWS,
    HIDDEN: Row("of 1", at_most=0.15, is_worst=True),
    AT_LIMIT: Row("number", at_most=0.0, is_worst=True),
}
WORTH_SAYING = 0.05
"""An unseen expression's mean, from which on it is named."""
TRANSFER = "emotion across people"
_TRANSFER_AIM, _NO_AIM = Row("%", at_least=70.0), Row("%")


@dataclass(frozen=True)
class PersonScores:
    """What one person's fit gave."""

    values: Values
    fitted: Windows
    detected: Windows | None
    """The detector's own blendshapes; None where it gives none."""
    remarks: list[str]


def find_people(folder: str | Path) -> dict[str, list[Path]]:
    """Who is in a folder: by the name of each folder in it, the clip stores and videos there.

    Raises:
        UserError: No such folder, or nobody in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"Expected a folder with one folder a person, but there is no folder '{folder}'.")
    people = {}
    for person in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        sources = [person] if _is_store(person) else [path for path in sorted(person.iterdir()) if _is_source(path)]
        if sources:
            people[person.name] = sources
    if _is_store(folder) or not people:
        raise UserError(
            f"Expected one folder a person in '{folder}', each with that person's clip stores or videos, but found "
            f"{'a clip store itself' if _is_store(folder) else 'none'}; give the folder above the people's."
        )
    return people


def emotion_of_name(name: str) -> EmotionTrack | None:
    """The label in a file name such as ``M030_angry_level3.mp4``; None where there is none."""
    match = _MEAD_NAME.search(Path(name).stem)
    if match is None:
        return None
    space = EmotionSpace()
    strength = 0.0 if match[1] == NEUTRAL else int(match[2]) / MEAD_LEVELS
    return EmotionTrack.constant(space, space.vector(match[1]) * strength)


def prepared(source: Path, person: str, work: Path) -> Path:
    """A source's clip store: itself, or what ``prepare`` makes of a video (kept in ``work``, by the video's hash)."""
    if _is_store(source):
        return source
    out = work / "footage" / person / f"{source.stem}-{sha256_of_file(source)[:8]}-{SIZE}"
    if not _is_store(out):
        prepare_clip(source, out, size=SIZE, emotion=emotion_of_name(source.name), say=lambda line: None)
    return out


def score_person(person: str, sources: list[Path], morphable_model: str, work: Path, config: str) -> PersonScores:
    """Prepare what is not, fit all of a person's clips together, and measure ``FOOTAGE_ROWS``."""
    clips = [prepared(source, person, work) for source in sources]
    num_frames = sum(ClipStore(clip).num_frames for clip in clips)
    _LOGGER.info("%s: fitting %d frames of %d clip(s)", person, num_frames, len(clips))
    fitted = fit_person(person, clips, work, config, morphable_model)
    values = {**measure_likeness(fitted), HIDDEN: [], AT_LIMIT: []}
    expressions, blendshapes, remarks = [], [], []
    for store in fitted.stores:
        landmarks = store.landmarks()
        found, own = landmarks.landmark_confidence > 0, store.tracking().coefficients.expression_coefficients
        expressions.append(labelled_windows(own, store.tracking().expression_names, found, store))
        blendshapes.append(labelled_windows(landmarks.blendshapes, ARKIT_NAMES, found, store))
        if not bool(found.all()):
            remarks.append(f"{person}, {_name(store)}: no face in {int((~found).sum())} of {len(found)} frames")
        if is_neutral(store):
            remarks += _measure_rest(fitted, store, person, values)
    has_blendshapes = all(bool(means.any()) for means, _ in blendshapes if len(means))
    return PersonScores(
        values, join_windows(expressions), join_windows(blendshapes) if has_blendshapes else None, remarks
    )


def _measure_rest(fitted: Fitted, store: ClipStore, person: str, values: Values) -> list[str]:
    """``HIDDEN`` and ``AT_LIMIT`` of a neutral clip; returns what should be said of them."""
    own = store.tracking().coefficients.expression_coefficients
    hidden, at_limit = hidden_expressions(own, fitted.model.expression_names), expressions_at_limit(own, fitted.model)
    values[HIDDEN].append(max(hidden.values(), default=0.0))
    values[AT_LIMIT].append(float(len(at_limit)))
    shown = sorted((name for name in hidden if hidden[name] >= WORTH_SAYING), key=lambda name: -hidden[name])
    named = ", ".join(f"{name} {hidden[name]:.2f}" for name in shown)
    remarks = [f"{person}, {_name(store)}: neutral, but {named}"] if named else []
    return [*remarks, *([f"{person}, {_name(store)}: at their limit: {', '.join(at_limit)}"] if at_limit else [])]


def transfer_scores(people: Mapping[str, PersonScores]) -> dict[str, Score]:
    """``emotion across people`` in four ways: fitted coefficients and the detector's blendshapes, each as they are and
    with the person's own neutral subtracted; empty where no two people show two emotions in common."""
    ways = {
        "fitted": (_TRANSFER_AIM, {name: each.fitted for name, each in people.items()}),
        "fitted − own neutral": (
            _TRANSFER_AIM,
            {name: without_neutral(each.fitted) for name, each in people.items()},
        ),
        "detector": (_NO_AIM, {name: each.detected for name, each in people.items()}),
        "detector − own neutral": (
            _NO_AIM,
            {name: None if each.detected is None else without_neutral(each.detected) for name, each in people.items()},
        ),
    }
    scores = {}
    for way, (row, windows) in ways.items():
        accuracies, chance = emotion_transfer(windows)
        scores[f"{TRANSFER}, {way}"] = summarise(row, accuracies, f"(chance {chance:.1f})")
    return {name: score for name, score in scores.items() if score is not None}


def _name(store: ClipStore) -> str:
    return store.info.source_name or store.path.name


def _is_store(path: Path) -> bool:
    return (path / "clip.json").is_file()


def _is_source(path: Path) -> bool:
    return _is_store(path) or (path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES)
