"""The tracking scorecard on footage of real people: what can be measured without knowing the true coefficients.

Beside landmarks and pixels, two tests show whether coefficients mean what their names say: a neutral face should have
no hidden expression, and an emotion learnt on one person's coefficients should be recognised on another's.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from readavatar.benchmarks.scorecard import Row, Score, Values, summarise
from readavatar.benchmarks.tracking.fit import LIKENESS_ROWS, STEADINESS_ROWS, Fitted, fit_person, measure_likeness
from readavatar.data.preparation.prepare import prepare_clip
from readavatar.data.store import ClipStore
from readavatar.detection.landmark_sets import ARKIT_NAMES
from readavatar.emotion import MEAD_EMOTIONS, NEUTRAL, EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.files import sha256_of_file
from readavatar.metrics import nearest_centroid_accuracy, window_means
from readavatar.morphable import MorphableModel

HIDDEN_EXPRESSIONS = ("cheekPuff", "jawForward", "mouthShrugLower", "mouthShrugUpper", "tongueOut")
"""Expressions that do not change the landmarks: a fit of points alone can give them any value."""
LIMIT = 0.99
"""An expression at this share of its bound counts as at its limit."""
AT_LIMIT_FRAMES = 0.05
"""Share of a clip's frames from which on an expression is reported as at its limit: more than a blink or two."""
LABELLED_STRENGTH = 1 / 6
"""Half of the weakest label in MEAD's clips: a window with less counts as neutral."""

SMALLEST_SPREAD = 0.02
"""Least standard deviation of a coefficient over windows, for the division."""
LOOK = "eyeLook"
"""Prefix of the expressions that follow the gaze, which does not depend on the emotion."""


@dataclass(frozen=True)
class Windows:
    """One person's labelled windows of one second."""

    means: Float[Tensor, "W D"]
    labels: tuple[str, ...]


def hidden_expressions(expressions: Float[Tensor, "T E"], names: tuple[str, ...]) -> dict[str, float]:
    """Means over the frames of the expressions among ``HIDDEN_EXPRESSIONS``."""
    means = expressions.mean(0)
    return {name: float(means[i]) for i, name in enumerate(names) if name.partition("_")[0] in HIDDEN_EXPRESSIONS}


def expressions_at_limit(expressions: Float[Tensor, "T E"], model: MorphableModel) -> list[str]:
    """Names of the expressions that are at a bound other than 0 in more than ``AT_LIMIT_FRAMES`` of the frames."""
    low, high = model.expression_bounds.unbind(1)
    at_limit = (expressions >= LIMIT * high) | ((low < 0) & (expressions <= LIMIT * low))
    share = at_limit.float().mean(0)
    return [name for name, one in zip(model.expression_names, share.tolist(), strict=True) if one > AT_LIMIT_FRAMES]


def is_neutral(store: ClipStore) -> bool:
    """Whether a clip is labelled as neutral throughout."""
    emotion = store.emotion()
    return emotion is not None and not bool(emotion.vectors.any())


def labelled_windows(
    curves: Float[Tensor, "T D"], names: Sequence[str], found: Bool[Tensor, " T"], store: ClipStore
) -> tuple[Float[Tensor, "W d"], list[str]]:
    """The means of one clip's windows of one second, and each window's labelled emotion.

    Args:
        curves: Values of every frame.
        names: Of the D curves; those that follow the gaze are left out.
        found: Frames with a face; the others are left out.
        store: The clip; without a label it gives no windows.
    """
    curves = curves[:, [not name.startswith(LOOK) for name in names]]
    emotion = store.emotion()
    if emotion is None or not found.any():
        return curves[:0], []
    length = round(store.fps)
    strengths = window_means(emotion.sample_frames(store.num_frames, store.fps)[found], length)
    largest, which = strengths.max(1)
    labels = [
        emotion.space.names[index] if strength >= LABELLED_STRENGTH else NEUTRAL
        for strength, index in zip(largest.tolist(), which.tolist(), strict=True)
    ]
    return window_means(curves[found], length), labels


def join_windows(parts: list[tuple[Float[Tensor, "W D"], list[str]]]) -> Windows:
    """The windows of all clips of a person."""
    return Windows(torch.cat([means for means, _ in parts]), tuple(label for _, labels in parts for label in labels))


def without_neutral(windows: Windows) -> Windows | None:
    """Subtract the mean of the person's own neutral windows; None if the person has none."""
    neutral = torch.tensor([label == NEUTRAL for label in windows.labels], dtype=torch.bool)
    if not neutral.any():
        return None
    return Windows(windows.means - windows.means[neutral].mean(0), windows.labels)


def emotion_transfer(people: Mapping[str, Windows | None]) -> tuple[list[float], float]:
    """Per cent of windows whose emotion is recognised from another person's windows.

    Nearest centroid: learnt on one person's windows and tested on another's, for the emotions that both show. Each
    coefficient is divided by its standard deviation over the training windows.

    Args:
        people: Each person's windows; people with None are left out.

    Returns:
        One value for each ordered pair of people with at least two emotions in common, and the chance level (0 if there
        is no such pair).
    """
    accuracies, chances = [], []
    shown = {name: windows for name, windows in people.items() if windows is not None}
    for first, second in permutations(shown.values(), 2):
        common = sorted(set(first.labels) & set(second.labels))
        if len(common) < 2:
            continue
        train, train_labels = _of_labels(first, common)
        test, test_labels = _of_labels(second, common)
        # In units of its usual motion, since brows move further than a sneer.
        spread = train.std(0, correction=0) + SMALLEST_SPREAD
        train, test = train / spread, test / spread
        accuracies.append(100 * nearest_centroid_accuracy(train, train_labels, test, test_labels))
        chances.append(100 / len(common))
    return accuracies, sum(chances) / len(chances) if chances else 0.0


def _of_labels(windows: Windows, labels: list[str]) -> tuple[Float[Tensor, "w D"], Int[Tensor, " w"]]:
    """The windows with one of the given labels, and the index of each one's label."""
    numbers = torch.tensor([labels.index(label) if label in labels else -1 for label in windows.labels])
    return windows.means[numbers >= 0], numbers[numbers >= 0]


_LOGGER = logging.getLogger(__name__)

VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi"}
SIZE = 512
"""Largest side of prepared videos, pixels."""
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
"""Least mean of a hidden expression that is reported by name."""
TRANSFER = "emotion across people"
_TRANSFER_AIM, _NO_AIM = Row("%", at_least=70.0), Row("%")


@dataclass(frozen=True)
class PersonScores:
    """The measurements of one person's fit."""

    values: Values
    fitted: Windows
    detected: Windows | None
    """The detector's blendshapes; None if it gives none."""
    remarks: list[str]


def find_people(folder: str | Path) -> dict[str, list[Path]]:
    """The people in a folder: by the name of each subfolder, its clip stores and videos.

    Raises:
        UserError: There is no such folder, or nobody in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"Expected a folder with one folder for each person, but there is no folder '{folder}'.")
    people = {}
    for person in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        sources = [person] if _is_store(person) else [path for path in sorted(person.iterdir()) if _is_source(path)]
        if sources:
            people[person.name] = sources
    if _is_store(folder) or not people:
        raise UserError(
            f"Expected one folder for each person in '{folder}', with that person's clip stores or videos, but found "
            f"{'a clip store itself' if _is_store(folder) else 'none'}; give the folder above the people's."
        )
    return people


def emotion_of_name(name: str) -> EmotionTrack | None:
    """The label in a file name such as ``M030_angry_level3.mp4``; None if there is none."""
    match = _MEAD_NAME.search(Path(name).stem)
    if match is None:
        return None
    space = EmotionSpace()
    strength = 0.0 if match[1] == NEUTRAL else int(match[2]) / MEAD_LEVELS
    return EmotionTrack.constant(space, space.vector(match[1]) * strength)


def prepared(source: Path, person: str, work: Path) -> Path:
    """A clip store itself, or the one that ``prepare`` makes of a video (kept in ``work`` under the video's hash)."""
    if _is_store(source):
        return source
    out = work / "footage" / person / f"{source.stem}-{sha256_of_file(source)[:8]}-{SIZE}"
    if not _is_store(out):
        prepare_clip(source, out, size=SIZE, emotion=emotion_of_name(source.name), say=lambda line: None)
    return out


def score_person(person: str, sources: list[Path], morphable_model: str, work: Path, config: str) -> PersonScores:
    """Prepare a person's videos, fit all clips together, and measure ``FOOTAGE_ROWS``."""
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
    """Measure ``HIDDEN`` and ``AT_LIMIT`` of a neutral clip; returns remarks for the log."""
    own = store.tracking().coefficients.expression_coefficients
    hidden, at_limit = hidden_expressions(own, fitted.model.expression_names), expressions_at_limit(own, fitted.model)
    values[HIDDEN].append(max(hidden.values(), default=0.0))
    values[AT_LIMIT].append(float(len(at_limit)))
    shown = sorted((name for name in hidden if hidden[name] >= WORTH_SAYING), key=lambda name: -hidden[name])
    named = ", ".join(f"{name} {hidden[name]:.2f}" for name in shown)
    remarks = [f"{person}, {_name(store)}: neutral, but {named}"] if named else []
    return [*remarks, *([f"{person}, {_name(store)}: at their limit: {', '.join(at_limit)}"] if at_limit else [])]


def transfer_scores(people: Mapping[str, PersonScores]) -> dict[str, Score]:
    """``emotion across people`` in four ways: for fitted coefficients and the detector's blendshapes, each with and
    without the person's own neutral subtracted. Empty if no two people have two emotions in common."""
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
