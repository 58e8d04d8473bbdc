"""Where a fit starts: blendshapes as the detector gives them, poses in closed form, light and skin from some frames."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from readavatar.data.tracking_data import Observations, TrackingBatch
from readavatar.rendering.shading import srgb_to_linear
from readavatar.tracking.initial_pose import initial_pose
from readavatar.tracking.objective import Objective
from readavatar.tracking.parameters import PER_FRAME, FaceParameters

_POSE_WEIGHTS = torch.cat(
    [torch.full((count,), weight) for count, weight in ((17, 0.05), (10, 0.3), (9, 1.0), (12, 1.0), (20, 0.4))]
)
"""Jaw line, brows, nose, eyes, mouth: what moves with the head rather than with the expression."""


@torch.no_grad()
def start_fit(parameters: FaceParameters, objective: Objective) -> None:
    """Set expressions and poses from the observations; fill in the frames without a face."""
    seen = objective.observations
    everything = torch.arange(seen.num_frames)
    parameters.expression.copy_(objective.prior.mean)
    parameters.offsets.copy_(objective.typical_offsets)
    landmarks, _ = objective.landmark_model(parameters.shape[None], parameters.expression, parameters.gaze)
    landmarks = landmarks + parameters.offsets
    centre = seen.principal_points[seen.clip_index]
    points = (seen.landmarks_2d - centre[:, None]) * torch.tensor([1.0, -1.0])
    focal = parameters.focal_lengths(everything)
    rotation, translation = initial_pose(landmarks, points, _POSE_WEIGHTS, focal)
    parameters.rotation.copy_(rotation)
    parameters.set_translation(translation)
    fill_missing_frames(parameters, seen)
    objective.fix_units(parameters)


@torch.no_grad()
def start_appearance(parameters: FaceParameters, objective: Objective, batch: TrackingBatch) -> None:
    """Set the skin's colour and the light's brightness from some frames; the light is white and from everywhere."""
    prior = objective.albedo_prior
    weight = (batch.masks > 0.5).float()
    colour = (srgb_to_linear(batch.frames) * weight).sum((0, 2, 3)) / weight.sum().clamp(min=1)
    prior.set_skin_colour(colour)
    parameters.albedo.copy_(prior.mean)
    parameters.lighting.zero_()
    parameters.lighting[:, 0] = (colour.mean() / prior.skin_luminance().clamp(min=1e-3)).clamp(0.05, 5.0)


@torch.no_grad()
def fill_missing_frames(parameters: FaceParameters, seen: Observations) -> Bool[Tensor, " N"]:
    """Interpolate all per-frame parameters over the frames in which no face was found, clip by clip.

    Returns:
        Which frames these are.
    """
    missing = seen.confidence <= 0
    for clip in range(seen.num_clips):
        frames = seen.clip_frames(clip)
        gaps = frames[missing[frames]]
        if len(gaps) == 0:
            continue
        left, right, weight = _neighbours(frames[~missing[frames]], gaps)
        for name in PER_FRAME:
            values = getattr(parameters, name)
            share = weight.view(-1, *[1] * (values.dim() - 1))
            values[gaps] = values[left].lerp(values[right], share)
    return missing


def _neighbours(
    known: Int[Tensor, " k"], gaps: Int[Tensor, " g"]
) -> tuple[Int[Tensor, " g"], Int[Tensor, " g"], Float[Tensor, " g"]]:
    after = torch.searchsorted(known, gaps)
    left, right = known[(after - 1).clamp(min=0)], known[after.clamp(max=len(known) - 1)]
    return left, right, ((gaps - left) / (right - left).clamp(min=1)).clamp(0, 1).float()
