"""Where the head looks, from the fit or else from the landmarks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.morphable import load_morphable_model
from readavatar.rendering.camera import axis_angle_to_matrix
from readavatar.tracking.initial_pose import initial_pose
from readavatar.types import DEFAULT_FOCAL, TrackedFace

_WEIGHTS = torch.cat([torch.full((count,), weight) for count, weight in ((17, 0.0), (10, 0.2), (21, 1.0), (20, 0.2))])
"""Jaw line, brows, nose and eyes, mouth: what moves with the head alone."""


def head_angles(landmarks: Float[Tensor, "T 68 2"], size: int, tracking: TrackedFace | None) -> Float[Tensor, "T 2"]:
    """(yaw, pitch), degrees: to the viewer's right, and up; 0 is towards the camera.

    Args:
        landmarks: Pixels.
        size: Of the frames, pixels.
        tracking: The fit, where there is one; without it the average head is put onto the landmarks, whose pitch is off
            by some degrees for another face, the same in all frames.
    """
    if tracking is not None:
        return _angles(tracking.coefficients.rotation)
    model = load_morphable_model("builtin")
    head = model.landmarks_3d(model.template[None]).expand(len(landmarks), -1, -1)
    points = (landmarks - size / 2) * torch.tensor([1.0, -1.0])
    rotation, _ = initial_pose(head, points, _WEIGHTS, torch.full((len(landmarks),), DEFAULT_FOCAL * size))
    return _angles(rotation)


def _angles(rotation: Float[Tensor, "T 3"]) -> Float[Tensor, "T 2"]:
    ahead = axis_angle_to_matrix(rotation)[..., 2]
    yaw = torch.atan2(ahead[:, 0], ahead[:, 2])
    return torch.stack([yaw, ahead[:, 1].clamp(-1, 1).asin()], 1).rad2deg()
