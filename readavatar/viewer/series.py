"""Curves over a clip's frames: coefficients, pose, gaze, lips and lids, errors, and what they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.detection import ARKIT_NAMES
from readavatar.morphable.model import arkit_name
from readavatar.rendering.camera import axis_angle_to_matrix
from readavatar.types import FaceCoefficients
from readavatar.viewer.drawing import FittedPoints, SeenPoints, openings

ACTIVE_IN_GROUP = 3
"""Expressions of each group that are shown at first: those that move most."""
EXPRESSION_GROUPS = {
    "jaw": ("jaw",),
    "mouth": ("mouth", "tongue"),
    "brows": ("brow",),
    "eyes": ("eye",),
    "cheeks and nose": ("cheek", "nose"),
}
"""Groups by the beginning of an expression's name; all others are in ``OTHER``."""
OTHER = "other expressions"
OPENING, ROTATION, POSITION, GAZE = "lips and lids", "head rotation", "head position", "gaze"
LANDMARK_ERROR, PHOTOMETRIC_ERROR, JUMP, SHAPE_ERROR = "landmark error", "photometric error", "jump", "shape error"
EMOTION = "emotion"


@dataclass(frozen=True)
class Series:
    """A curve."""

    name: str
    group: str
    """Curves of a group share a lane and a unit."""
    unit: str
    """Empty for a coefficient."""
    values: Float[Tensor, " T"]
    """NaN where there is none."""
    references: dict[str, Float[Tensor, " T"]] = field(default_factory=dict)
    """What it may be compared with: ``truth`` or ``detector``."""
    shown: bool = True
    """At first."""


def expression_group(name: str) -> str:
    """Which group an expression is shown in."""
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
        expressions: Of the fit.
        names: E names.
        blendshapes: The detector's, in the order of ``ARKIT_NAMES``.
        truth: A digital actor's, of the same names.
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
    """Gaps between lips and lids of the fit beside the detector's; the detector's alone without a fit."""
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
    """The clip's label over time; dimensions that are never used are left out."""
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
    # From each one's own mean: how far away a face is depends on the focal length, which is another matter.
    position = (coefficients.translation - coefficients.translation.mean(0)) * 1000
    curves |= {(POSITION, name, "mm"): position[:, axis] for axis, name in enumerate("xyz")}
    gaze = coefficients.gaze.rad2deg()
    return curves | {(GAZE, f"gaze {name}", "°"): gaze[:, axis] for axis, name in enumerate(("yaw", "pitch"))}
