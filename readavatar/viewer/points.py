"""Where a clip's landmarks, lids and gaze are in its frames: the detector's, and those of a fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.data.clip_store import ClipStore
from readavatar.detection.landmark_sets import IRIS_LEFT, IRIS_RIGHT, to_landmarks_68
from readavatar.metrics import landmark_error
from readavatar.morphable.model import MorphableModel, gaze_rotation
from readavatar.rendering.camera import head_to_world, project
from readavatar.tracking.model_part import LandmarkModel
from readavatar.types import TrackedFace

GAZE_LENGTH = 0.04
"""Metres that the line of sight is drawn in front of a pupil."""
_BATCH = 256
_INNER = slice(17, 68)
"""The landmarks within the face: those of the jaw line slide over the skin as a head turns."""
_LIPS = ((61, 67), (62, 66), (63, 65))
_RIGHT_LIDS, _LEFT_LIDS = ((37, 41), (38, 40)), ((43, 47), (44, 46))
"""Pairs of iBUG landmarks, upper and lower."""
OPENINGS = {"lip gap": _LIPS, "left lid gap": _LEFT_LIDS, "right lid gap": _RIGHT_LIDS}


@dataclass(frozen=True)
class SeenPoints:
    """What the detector saw in T frames."""

    landmarks: Float[Tensor, "T 68 2"]
    """Frame sides."""
    irises: Float[Tensor, "T 2 5 2"] | None
    """Centre and rim of the subject's left and right iris, frame sides; None if the detector gives none."""
    found: Bool[Tensor, " T"]
    """Where there is a face; elsewhere the points mean nothing."""


@dataclass(frozen=True)
class FittedPoints:
    """What a fit says of the same frames."""

    landmarks: Float[Tensor, "T 68 2"]
    """Frame sides."""
    pupils: Float[Tensor, "T P 2"]
    """P = 2, left and right, or 0 for a model without eyeballs; frame sides."""
    sight: Float[Tensor, "T P 2"]
    """Where the line of sight ends that is drawn from each pupil."""


def seen_points(store: ClipStore) -> SeenPoints:
    """Read the detector's points."""
    landmarks = store.landmarks()
    points = landmarks.landmarks_2d / store.info.size
    has_irises = points.shape[1] > max(*IRIS_LEFT, *IRIS_RIGHT)
    irises = torch.stack([points[:, list(IRIS_LEFT)], points[:, list(IRIS_RIGHT)]], 1) if has_irises else None
    return SeenPoints(to_landmarks_68(points), irises, landmarks.landmark_confidence > 0)


@torch.no_grad()
def fitted_points(face: TrackedFace, model: MorphableModel) -> FittedPoints:
    """Project a fit's landmarks, pupils and lines of sight."""
    landmark_model = LandmarkModel(model)
    scale = torch.tensor([face.camera.width, face.camera.height], dtype=torch.float32)
    parts = []
    for frames in torch.arange(face.coefficients.num_frames).split(_BATCH):
        some = face.coefficients.frames(frames)
        landmarks, pupils = landmark_model(some.shape_coefficients[None], some.expression_coefficients, some.gaze)
        direction = gaze_rotation(some.gaze)[:, None, :, 2]
        points = torch.cat([landmarks, pupils, pupils + GAZE_LENGTH * direction], 1)
        parts.append(project(head_to_world(points, some.rotation, some.translation), face.camera) / scale)
    landmarks, ends = torch.cat(parts).split([68, parts[0].shape[1] - 68], 1)
    pupils, sight = ends.chunk(2, 1)
    return FittedPoints(landmarks, pupils, sight)


def landmark_errors(fitted: FittedPoints, seen: SeenPoints) -> Float[Tensor, " T"]:
    """Mean over the 51 landmarks within the face, per cent of the inter-ocular distance; NaN where none was seen."""
    errors = landmark_error(fitted.landmarks, seen.landmarks)[:, _INNER].mean(1) * 100
    return torch.where(seen.found, errors, torch.nan)


def jumps(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """How far the inner landmarks are from midway between their neighbours in time, per cent of the eyes' distance.

    A blink or a plosive jumps too; a frame that jumps where the person does not is a glitch of the fit.
    """
    if len(landmarks) < 3:
        return torch.full((len(landmarks),), torch.nan)
    midway = (landmarks[2:] + landmarks[:-2]) / 2
    inner = landmark_error(midway, landmarks[1:-1])[:, _INNER].mean(1) * 100
    return torch.cat([torch.tensor([torch.nan]), inner, torch.tensor([torch.nan])])


def openings(landmarks: Float[Tensor, "T 68 2"]) -> dict[str, Float[Tensor, " T"]]:
    """Gaps between lips and between lids, per cent of the inter-ocular distance."""
    eyes = (landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1)).norm(dim=-1).clamp(min=1e-6)

    def gap(pairs: tuple[tuple[int, int], ...]) -> Tensor:
        upper, lower = (landmarks[:, [pair[side] for pair in pairs]] for side in (0, 1))
        return (upper - lower).norm(dim=-1).mean(1) / eyes * 100

    return {name: gap(pairs) for name, pairs in OPENINGS.items()}


def filled(values: Float[Tensor, " T *c"], known: Bool[Tensor, " T"]) -> Float[Tensor, " T *c"]:
    """Values of all frames, those of frames that are not ``known`` interpolated; unchanged where none is known."""
    if bool(known.all()) or not bool(known.any()):
        return values
    flat, times = values.flatten(1).double().numpy(), np.arange(len(values))
    columns = [np.interp(times, times[known.numpy()], column[known.numpy()]) for column in flat.T]
    return torch.from_numpy(np.stack(columns, 1)).to(values.dtype).view_as(values)
