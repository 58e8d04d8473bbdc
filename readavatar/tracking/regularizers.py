"""What a fit expects before it looks: of expressions, their two sides, motion over time, a person and a lens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.morphable.model import look_expressions
from readavatar.tracking.objective import FitObjective
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.projection import NUM_POSE
from readavatar.tracking.residuals import Rows, second_differences

FOCAL_DEVIATION = 0.2
"""Of its logarithm: one face at arm's length says little about the lens."""
ASYMMETRY = 0.15
"""How far an expression's two sides are apart."""
SPARSITY_FLOOR = 0.05
"""Where the sum of absolute coefficients is rounded off."""
ROTATION_ACCELERATION = 0.004
"""Radians a frame²."""
POSITION_ACCELERATION = 0.001
"""Frame sides, and of the logarithm of the distance, a frame²."""
EXPRESSION_ACCELERATION = 0.03
GAZE_ACCELERATION = 0.05
"""Radians a frame²; saccades are faster, so this weighs little."""


@dataclass(frozen=True)
class Separate:
    """A term that is separate in each unknown: Σ curvature (x − where)², as what the normal equations need of it."""

    curvature: Float[Tensor, " *u"]
    gradient: Float[Tensor, " *u"]
    """Half the energy's."""
    energies: dict[str, Tensor]
    """Weighted squares by weight key; a frame's mean, of shared unknowns the sum."""


@dataclass(frozen=True)
class Smoothness:
    """Accelerations of T frames' unknowns over time, as squares that couple neighbours."""

    differences: Float[Tensor, "t B"]
    """Accelerations by the batch's own frames."""
    precision: Float[Tensor, " D"]
    gradient: Float[Tensor, "B D"]
    energies: dict[str, Tensor]
    """Weighted squares by weight key, a frame."""


def expected_expression(
    objective: FitObjective, indices: Int[Tensor, " B"], gaze: Float[Tensor, "B 2"]
) -> Float[Tensor, "B E"]:
    """The prior's mean, with the looks of the current gaze in place of the detector's."""
    mean, looks = objective.prior.mean[indices].clone(), look_expressions(gaze)
    for column, name in enumerate(objective.expression_names):
        if name in looks:
            mean[:, column] = looks[name]
    return mean


def expression_term(objective: FitObjective, parameters: FaceParameters, indices: Int[Tensor, " B"]) -> Separate:
    """Expressions near what the detector says, and few of them (|x| reweighted as x² / (|x| + floor)).

    Returns:
        Of the frames' expression columns, (B, E).
    """
    weights, confidence = objective.weights, objective.observations.confidence[indices]
    expression = parameters.expression[indices]
    precision = weights["expression"] / objective.prior.deviation[indices].square() * confidence[:, None]
    sparse = weights["sparsity"] * confidence[:, None] / (expression.abs() + SPARSITY_FLOOR)
    away = expression - expected_expression(objective, indices, parameters.gaze[indices])
    energies = {
        "expression": (precision * away.square()).sum() / len(indices),
        "sparsity": (sparse * expression.square()).sum() / len(indices),
    }
    return Separate(precision + sparse, precision * away + sparse * expression, energies)


def symmetry_rows(expression: Float[Tensor, "B E"], sides: Int[Tensor, "n 2"], confidence: Float[Tensor, " B"]) -> Rows:
    """The two sides of a face do much the same.

    Args:
        expression: Coefficients.
        sides: Columns of the left and the right half of an expression.
        confidence: Of the frames.
    """
    left, right = sides.unbind(1)
    rows = torch.arange(len(sides), device=expression.device)
    jacobian = expression.new_zeros(len(expression), len(sides), expression.shape[1] + NUM_POSE)
    jacobian[:, rows, left], jacobian[:, rows, right] = 1 / ASYMMETRY, -1 / ASYMMETRY
    residuals = (expression[:, left] - expression[:, right]) / ASYMMETRY
    return Rows(residuals, jacobian, confidence[:, None].expand_as(residuals))


def smoothness(objective: FitObjective, parameters: FaceParameters, indices: Int[Tensor, " B"]) -> Smoothness | None:
    """Faces accelerate little. Two frames on either side take part, held still, so that batches join smoothly.

    Args:
        objective: Weights, and which frames are whose clip's.
        parameters: Of all frames.
        indices: Neighbours.

    Returns:
        None where there are fewer than three frames.
    """
    seen, weights, acceleration = objective.observations, objective.weights, objective.prior.acceleration
    first, last = int(indices[0]), int(indices[-1])
    start, stop = max(0, first - 2), min(seen.num_frames, last + 3)
    if stop - start < 3:
        return None
    differences = second_differences(seen.clip_index[start:stop])
    unknowns = (parameters.expression, parameters.rotation, parameters.position, parameters.gaze)
    values = torch.cat([unknown[start:stop] for unknown in unknowns], 1)
    parts = [
        weights["smooth_expression"] / (EXPRESSION_ACCELERATION * acceleration).square(),
        acceleration.new_full((3,), weights["smooth_pose"] / ROTATION_ACCELERATION**2),
        acceleration.new_full((3,), weights["smooth_pose"] / POSITION_ACCELERATION**2),
        acceleration.new_full((2,), weights["smooth_gaze"] / GAZE_ACCELERATION**2),
    ]
    precision = torch.cat(parts)
    own = differences[:, first - start : last + 1 - start]
    accelerations = differences @ values
    squares = (precision * accelerations.square()).sum(0) / len(indices)
    by_kind = (part.sum() for part in squares.split([len(acceleration), 6, 2]))
    energies = dict(zip(("smooth_expression", "smooth_pose", "smooth_gaze"), by_kind, strict=True))
    return Smoothness(own, precision, precision * (own.mT @ accelerations), energies)


def shared_term(objective: FitObjective, parameters: FaceParameters) -> Separate:
    """A typical shape, the focal length that the fit started with, and the detector's typical offsets.

    Returns:
        Of the shared unknowns, (G,).
    """
    weights = objective.weights
    away = {
        "shape": parameters.shape,
        "focal": (parameters.focal - objective.initial_focal).view(1),
        "offsets": (parameters.offsets - objective.typical_offsets).flatten(),
    }
    deviations = {"shape": 1.0, "focal": FOCAL_DEVIATION, "offsets": objective.offset_spread}
    precision = {name: torch.full_like(away[name], weights[name] / deviations[name] ** 2) for name in away}
    return Separate(
        torch.cat([*precision.values()]),
        torch.cat([precision[name] * away[name] for name in away]),
        {name: (precision[name] * away[name].square()).sum() for name in away},
    )
