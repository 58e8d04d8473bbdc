"""The detector's landmarks and irises against the model's, linearised at the current unknowns."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.tracking import terms
from readavatar.tracking.objective import Objective
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.projection import View, image_jacobian, point_jacobian, shared_jacobian
from readavatar.tracking.terms import Rows

GAZE_PROBE = 1e-3
"""Radians, to differentiate the eyeballs' turning."""


def landmark_rows(
    objective: Objective, parameters: FaceParameters, indices: Int[Tensor, " B"], view: View, shares: bool
) -> dict[str, Rows]:
    """The terms of landmarks, gaps and, for a model with eyes, irises; see ``terms``.

    Args:
        objective: What was observed.
        parameters: Where the equations are linearised.
        indices: Frames.
        view: Of these frames.
        shares: Whether the shared unknowns are free too.
    """
    seen, unit = objective.observations, objective.units[indices]
    confidence, target = seen.confidence[indices], seen.landmarks_2d[indices]
    points, own, shared = linearised_landmarks(objective, parameters, indices, view, shares)
    landmarks, by_own = points[:, :68], own[:, :68]
    by_shared = None if shared is None else shared[:, :68]
    inner = terms.landmark_weights(target)[None] * confidence[:, None]
    rows = {"landmarks": terms.point_rows(landmarks, target, by_own, unit, inner, by_shared)}
    of_gaps = [terms.gaps(values) for values in (landmarks, target, by_own)]
    gap_by_shared = None if by_shared is None else terms.gaps(by_shared)
    rows["gaps"] = terms.point_rows(*of_gaps, unit, confidence[:, None], gap_by_shared)
    if points.shape[1] > 68:
        open_eyes = terms.eye_openness(target) * (confidence * seen.has_irises[indices])[:, None]
        by_shared = None if shared is None else shared[:, 68:]
        rows["irises"] = terms.point_rows(points[:, 68:], seen.irises[indices], own[:, 68:], unit, open_eyes, by_shared)
    return rows


def linearised_landmarks(
    objective: Objective, parameters: FaceParameters, indices: Int[Tensor, " B"], view: View, shares: bool
) -> tuple[Float[Tensor, "B n 2"], Float[Tensor, "B n 2 D"], Float[Tensor, "B n 2 G"] | None]:
    """The 68 landmarks (where the detector should see them) and the pupils in the image, and their derivatives.

    Args:
        objective: Whose model.
        parameters: Where.
        indices: Frames.
        view: Of these frames.
        shares: Whether to give the derivatives by the shared unknowns: shape, focal length and the landmarks' offsets.

    Returns:
        Frame sides; derivatives by the frames' own unknowns (see ``projection``) and by the shared ones, or None.
    """
    model, expression, gaze = objective.landmark_model, parameters.expression[indices], parameters.gaze[indices]

    def points_at(gaze: Float[Tensor, "B 2"]) -> Float[Tensor, "B n 3"]:
        return torch.cat(model(parameters.shape[None], expression, gaze), 1)

    head = points_at(gaze)
    by_gaze = differentiate_by_gaze(points_at, head, gaze)
    head[:, :68] += parameters.offsets
    points = view.image(view.world(head))
    own = image_jacobian(view, head, model.by_expression[None], by_gaze)
    if not shares:
        return points, own, None
    by_shape_and_focal = shared_jacobian(view, head, model.by_shape[None])
    by_offset = own.new_zeros(*own.shape[:3], 68, 3)
    number = torch.arange(68, device=own.device)
    by_offset[:, number, :, number] = point_jacobian(view, head)[:, :68].transpose(0, 1)
    return points, own, torch.cat([by_shape_and_focal, by_offset.flatten(3)], -1)


def differentiate_by_gaze(
    points_at: Callable[[Tensor], Tensor], points: Float[Tensor, "B n 3"], gaze: Float[Tensor, "B 2"]
) -> Float[Tensor, "B n 3 2"]:
    """Derivatives of points by the gaze, by finite differences.

    Args:
        points_at: The points of a gaze.
        points: Those of the current one.
        gaze: The current one.
    """
    turned = [points_at(gaze + GAZE_PROBE * axis) for axis in torch.eye(2).to(gaze)]
    return torch.stack([(one - points) / GAZE_PROBE for one in turned], -1)
