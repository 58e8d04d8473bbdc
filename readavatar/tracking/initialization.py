"""The start of a fit: poses from landmarks, expressions from blendshapes, light and skin colour from frames."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from readavatar.assets import find_asset
from readavatar.data.datasets.tracking import Observations, TrackingBatch
from readavatar.data.store import ClipStore
from readavatar.rendering.camera import matrix_to_axis_angle
from readavatar.rendering.shading import srgb_to_linear
from readavatar.tracking.objective import FitObjective
from readavatar.tracking.parameters import PER_FRAME, FaceParameters

_LOGGER = logging.getLogger(__name__)

_ITERATIONS = 5


def scaled_orthographic_pose(
    points_3d: Float[Tensor, "N L 3"], points_2d: Float[Tensor, "N L 2"], weights: Float[Tensor, " L"]
) -> tuple[Float[Tensor, "N 3 3"], Float[Tensor, " N"], Float[Tensor, "N 2"], Float[Tensor, "N 3"]]:
    """The rotation and scale that best map points of the head onto the image, its perspective ignored.

    The least-squares affine map's 2×3 matrix is replaced by the nearest scaled pair of orthonormal rows.

    Args:
        points_3d: Head frame, metres.
        points_2d: x to the right, y **up**.
        weights: Of the points.

    Returns:
        Rotations head → world, units of ``points_2d`` a metre, and the weighted centroids in the image and in the head.
    """
    weights = weights / weights.sum()
    centroids_2d = torch.einsum("l,nlc->nc", weights, points_2d)
    centroids_3d = torch.einsum("l,nlc->nc", weights, points_3d)
    centred_2d = (points_2d - centroids_2d[:, None]) * weights[:, None]
    centred_3d = points_3d - centroids_3d[:, None]
    moments = torch.einsum("nli,nlj->nij", centred_3d * weights[:, None], centred_3d)
    # A face is never flat; the jitter is only for frames without landmarks, whose pose is discarded.
    moments = moments + 1e-10 * torch.eye(3)
    affine = torch.linalg.solve(moments, torch.einsum("nli,nlj->nij", centred_3d, centred_2d)).mT
    left, scales, right = torch.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    rotations = torch.cat([rows, torch.linalg.cross(rows[:, :1], rows[:, 1:])], 1)
    return rotations, scales.mean(1), centroids_2d, centroids_3d


def initial_pose(
    points_3d: Float[Tensor, "N L 3"],
    points_2d: Float[Tensor, "N L 2"],
    weights: Float[Tensor, " L"],
    focal: Float[Tensor, " N"],
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3"]]:
    """Rotation (axis-angle, head to world) and translation (metres) before a camera at the origin that looks along −z.

    POSIT (DeMenthon & Davis 1995): orthographic poses of ever better corrected points.

    Args:
        points_3d: Head frame, metres.
        points_2d: Relative to the principal point, x to the right, y up, in the focal length's unit.
        weights: Of the points.
        focal: Focal lengths.
    """
    corrected = points_2d
    for _ in range(_ITERATIONS):
        matrices, scale, centroids_2d, centroids_3d = scaled_orthographic_pose(points_3d, corrected, weights)
        scale = scale.clamp(min=1e-6)
        centroids_world = torch.cat([centroids_2d, -focal[:, None]], 1) / scale[:, None]
        translation = centroids_world - torch.einsum("nij,nj->ni", matrices, centroids_3d)
        # The points' images if all were as far away as their centroid.
        depth = torch.einsum("nj,nlj->nl", matrices[:, 2], points_3d) + translation[:, 2:]
        corrected = points_2d * (depth / centroids_world[:, 2:])[..., None]
    return matrix_to_axis_angle(matrices), translation


_POSE_WEIGHTS = torch.cat(
    [torch.full((count,), weight) for count, weight in ((17, 0.05), (10, 0.3), (9, 1.0), (12, 1.0), (20, 0.4))]
)
"""Of jaw line, brows, nose, eyes, mouth: high for points that move with the head rather than with the expression."""


@torch.no_grad()
def choose_morphable_model(name: str, stores: Sequence[ClipStore]) -> str:
    """The morphable model to fit: ``name``, or for ``auto`` the best installed one for the clips.

    Args:
        name: What ``load_morphable_model`` takes, or ``auto``: a digital actor's own model; for footage ``ict`` if it
            is installed, else ``builtin``.
        stores: The clips.
    """
    if name != "auto":
        return name
    actors = {store.truth().morphable_model for store in stores if (store.path / "truth.safetensors").exists()}
    if len(actors) == 1:
        name, reason = actors.pop(), "the digital actor's own model"
    elif find_asset("ict_facekit"):
        name, reason = "ict", "ICT-FaceKit is installed"
    else:
        name, reason = "builtin", "for ICT-FaceKit's finer face run 'readavatar assets get ict_facekit'"
    _LOGGER.info("readavatar: fitting the morphable model '%s' (%s).", name, reason)
    return name


def start_fit(parameters: FaceParameters, objective: FitObjective) -> None:
    """Set expressions and poses from the observations; interpolate the frames without a face."""
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
def start_appearance(parameters: FaceParameters, objective: FitObjective, batch: TrackingBatch) -> None:
    """Set the skin's colour and the light's brightness from some frames; the light is white and uniform."""
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
        Whether each frame was interpolated.
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
