"""The curves of a clip's page: coefficients, pose, gaze, openings and errors, and the data they are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.store import ClipStore
from readavatar.detection import ARKIT_NAMES
from readavatar.errors import UserError
from readavatar.morphable import load_morphable_model
from readavatar.morphable.model import MorphableModel, arkit_name
from readavatar.rendering.camera import axis_angle_to_matrix
from readavatar.tracking.results import truth_of
from readavatar.types import FaceCoefficients, TrackedFace
from readavatar.viewer.drawing import (
    FittedPoints,
    SeenPoints,
    fitted_points,
    jumps,
    landmark_errors,
    openings,
    seen_points,
)

ACTIVE_IN_GROUP = 3
"""Number of expressions in each group that are shown at first: those that move most."""
EXPRESSION_GROUPS = {
    "jaw": ("jaw",),
    "mouth": ("mouth", "tongue"),
    "brows": ("brow",),
    "eyes": ("eye",),
    "cheeks and nose": ("cheek", "nose"),
}
"""Prefixes of the expressions' names in each group; all others are in ``OTHER``."""
OTHER = "other expressions"
OPENING, ROTATION, POSITION, GAZE = "lips and lids", "head rotation", "head position", "gaze"
LANDMARK_ERROR, PHOTOMETRIC_ERROR, JUMP, SHAPE_ERROR = "landmark error", "photometric error", "jump", "shape error"
EMOTION = "emotion"


@dataclass(frozen=True)
class Series:
    """A curve."""

    name: str
    group: str
    """Curves of a group share a plot and a unit."""
    unit: str
    """Empty for a coefficient."""
    values: Float[Tensor, " T"]
    """NaN where there is none."""
    references: dict[str, Float[Tensor, " T"]] = field(default_factory=dict)
    """Curves for comparison: ``truth`` or ``detector``."""
    shown: bool = True
    """At first."""


def expression_group(name: str) -> str:
    """The group of an expression."""
    for group, beginnings in EXPRESSION_GROUPS.items():
        if name.startswith(beginnings):
            return group
    return OTHER


def expression_series(
    expressions: Float[Tensor, "T E"],
    names: Sequence[str],
    blendshapes: Float[Tensor, "T 52"] | None = None,
    truth: Float[Tensor, "T E"] | None = None,
) -> list[Series]:
    """Expression coefficients, the most active of each group first.

    Args:
        expressions: The fit's coefficients.
        names: E names.
        blendshapes: The detector's, in the order of ``ARKIT_NAMES``.
        truth: A digital actor's true coefficients, with the same names.
    """
    references = [{} for _ in names]
    for number, name in enumerate(names):
        if blendshapes is not None and arkit_name(name) in ARKIT_NAMES:
            references[number]["detector"] = blendshapes[:, ARKIT_NAMES.index(arkit_name(name))]
        if truth is not None:
            references[number]["truth"] = truth[:, number]
    grouped: dict[str, list[tuple[float, int]]] = {group: [] for group in (*EXPRESSION_GROUPS, OTHER)}
    for number, name in enumerate(names):
        grouped[expression_group(name)].append((float(expressions[:, number].std(correction=0)), number))
    found = []
    for group, members in grouped.items():
        for rank, (_, number) in enumerate(sorted(members, key=lambda member: (-member[0], member[1]))):
            shown = rank < ACTIVE_IN_GROUP
            found.append(Series(names[number], group, "", expressions[:, number], references[number], shown))
    return found


def pose_series(coefficients: FaceCoefficients, truth: FaceCoefficients | None = None) -> list[Series]:
    """Head rotation, head position about its mean, gaze."""
    own = _pose_curves(coefficients)
    true = {} if truth is None else _pose_curves(truth)
    return [
        Series(name, group, unit, values, {"truth": true[group, name, unit]} if true else {})
        for (group, name, unit), values in own.items()
    ]


def opening_series(
    seen: SeenPoints, fitted: FittedPoints | None = None, truth: FittedPoints | None = None
) -> list[Series]:
    """Gaps between lips and lids, of the fit with the detector's as reference, or of the detector without a fit."""
    detected = {name: torch.where(seen.found, values, torch.nan) for name, values in openings(seen.landmarks).items()}
    if fitted is None:
        return [Series(name, OPENING, "%", values) for name, values in detected.items()]
    true = {} if truth is None else openings(truth.landmarks)
    return [
        Series(
            name,
            OPENING,
            "%",
            values,
            {"detector": detected[name]} | ({"truth": true[name]} if true else {}),
        )
        for name, values in openings(fitted.landmarks).items()
    ]


def emotion_series(emotion: Float[Tensor, "T N"], names: Sequence[str]) -> list[Series]:
    """The clip's label over time, without emotions that never occur."""
    return [
        Series(name, EMOTION, "", emotion[:, number]) for number, name in enumerate(names) if emotion[:, number].any()
    ]


def worst_frames(values: Float[Tensor, " T"], count: int, apart: int) -> list[int]:
    """The frames of the highest values, highest first, each ``apart`` frames or more from those before it."""
    found: list[int] = []
    for frame in values.nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True).tolist():
        if len(found) == count or not bool(values[frame].isfinite()):
            break
        if all(abs(frame - other) >= apart for other in found):
            found.append(frame)
    return found


def euler_angles(rotation: Float[Tensor, "T 3"]) -> dict[str, Float[Tensor, " T"]]:
    """Axis-angle → degrees of ``yaw`` (to the subject's left), ``pitch`` (up) and ``roll`` (R = yaw · pitch · roll)."""
    matrix = axis_angle_to_matrix(rotation)
    nose = matrix[..., 2]
    return {
        "yaw": torch.atan2(nose[:, 0], nose[:, 2]).rad2deg(),
        "pitch": nose[:, 1].clamp(-1, 1).asin().rad2deg(),
        "roll": torch.atan2(matrix[:, 1, 0], matrix[:, 1, 1]).rad2deg(),
    }


def _pose_curves(coefficients: FaceCoefficients) -> dict[tuple[str, str, str], Float[Tensor, " T"]]:
    curves = {(ROTATION, name, "°"): values for name, values in euler_angles(coefficients.rotation).items()}
    # Relative to the mean, since the distance of a face depends on the focal length.
    position = (coefficients.translation - coefficients.translation.mean(0)) * 1000
    curves |= {(POSITION, name, "mm"): position[:, axis] for axis, name in enumerate("xyz")}
    gaze = coefficients.gaze.rad2deg()
    return curves | {(GAZE, f"gaze {name}", "°"): gaze[:, axis] for axis, name in enumerate(("yaw", "pitch"))}


@dataclass(frozen=True)
class Subject:
    """A clip with its points, fit and truth."""

    store: ClipStore
    seen: SeenPoints
    face: TrackedFace | None = None
    model: MorphableModel | None = None
    fitted: FittedPoints | None = None
    truth: TrackedFace | None = None
    truth_points: FittedPoints | None = None


def open_subject(store: ClipStore, truth: bool = False) -> Subject:
    """Read a clip's points, fit and truth.

    Args:
        store: A prepared clip, fitted or not.
        truth: Use a digital actor's truth instead of the fit.

    Raises:
        UserError: There is no truth, or the morphable model has other expressions than the fit.
    """
    seen = seen_points(store)
    if not truth and not store.is_tracked:
        return Subject(store, seen)
    face = store.truth() if truth else store.tracking()
    model = load_morphable_model(face.morphable_model)
    if tuple(model.expression_names) != face.expression_names:
        raise UserError(
            f"Expected '{face.morphable_model}' to have the {len(face.expression_names)} expressions that "
            f"'{store.path}' was fitted with, but it has others; fit the clip again."
        )
    fitted = fitted_points(face, model)
    true = None if truth else truth_of(store, model)
    return Subject(store, seen, face, model, fitted, true, None if true is None else fitted_points(true, model))


def all_series(
    subject: Subject, index: slice, photometric: Float[Tensor, " n"], geometric: Float[Tensor, " n"]
) -> list[Series]:
    """All curves of the n frames ``index``, in order; the errors are those of ``DrawnFrame``."""
    store, face, truth, seen = subject.store, subject.face, subject.truth, subject.seen
    emotion, blendshapes = store.emotion(), store.landmarks().blendshapes
    blendshapes = blendshapes if bool(blendshapes.any()) else None
    found: list[Series] = []
    if emotion is not None:
        found += emotion_series(emotion.sample_frames(store.num_frames, store.fps), emotion.space.names)
    found += opening_series(seen, subject.fitted, subject.truth_points)
    if face is None:
        if blendshapes is not None:
            found += expression_series(blendshapes, ARKIT_NAMES)
        return [_cut(one, index) for one in found]
    true = None if truth is None else truth.coefficients
    found += expression_series(
        face.coefficients.expression_coefficients,
        face.expression_names,
        blendshapes,
        None if true is None else true.expression_coefficients,
    )
    found += pose_series(face.coefficients, true)
    errors = landmark_errors(subject.fitted, seen)
    found += [
        Series("landmark error", LANDMARK_ERROR, "%", errors),
        Series("jump", JUMP, "%", jumps(subject.fitted.landmarks), {"detector": jumps(seen.landmarks)}),
    ]
    found = [_cut(one, index) for one in found]
    found.append(Series("photometric error", PHOTOMETRIC_ERROR, "%", photometric))
    if truth is not None:
        found.append(Series("shape error", SHAPE_ERROR, "mm", geometric))
    return found


def _cut(one: Series, index: slice) -> Series:
    references = {name: values[index] for name, values in one.references.items()}
    return replace(one, values=one.values[index], references=references)


def notes(subject: Subject, first: int, last: int, truth: bool) -> list[str]:
    """The text above the panels."""
    store = subject.store
    missing = int((~subject.seen.found[first:last]).sum())
    found = [
        f"{store.info.source_name}: frames {first} to {last - 1} of {store.num_frames}, {store.fps:g} per second, "
        f"{store.info.size}×{store.info.size} pixels; no face was found in {missing}."
    ]
    if subject.face is None:
        found.append(
            "The clip is prepared, but not fitted: only the detector's results are shown. Fit it with 'readavatar fit "
            f"--config configs/tracking/default.yaml --data.clips {store.path}'."
        )
    else:
        what = "The digital actor's truth, drawn" if truth else "Fitted"
        found.append(f"{what} with the morphable model '{subject.face.morphable_model}'.")
        if not truth and subject.truth is None and (store.path / "truth.safetensors").exists():
            found.append("The clip has a truth, but in another morphable model: it is not compared with the fit.")
    return found
