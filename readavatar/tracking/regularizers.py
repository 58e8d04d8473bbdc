"""The priors of a fit: expressions, their symmetry, smoothness over time, identity and focal length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.morphable.model import look_expressions
from readavatar.tracking.objective import FitObjective
from readavatar.tracking.parameters import NUM_POSE, FaceParameters
from readavatar.tracking.residuals import Rows, second_differences

FOCAL_DEVIATION = 0.2
"""Standard deviation of the logarithm of the focal length."""
ASYMMETRY = 0.15
"""Typical difference between an expression's two sides."""
SPARSITY_FLOOR = 0.05
"""Below it, the absolute value of a coefficient is smoothed."""
ROTATION_ACCELERATION = 0.004
"""Radians per frame²."""
POSITION_ACCELERATION = 0.001
"""Frame sides, and of the logarithm of the distance, per frame²."""
EXPRESSION_ACCELERATION = 0.03
GAZE_ACCELERATION = 0.05
"""Radians per frame²; high, since saccades are fast."""


@dataclass(frozen=True)
class Separate:
    """A term that is separate in each unknown: Σ curvature (x − where)², in the form of the normal equations."""

    curvature: Float[Tensor, " *u"]
    gradient: Float[Tensor, " *u"]
    """Half the energy's."""
    energies: dict[str, Tensor]
    """Weighted squares by weight key: means over frames, or sums for shared unknowns."""


@dataclass(frozen=True)
class Smoothness:
    """Accelerations of T frames' unknowns over time, as squares that couple neighbours."""

    differences: Float[Tensor, "t B"]
    """Accelerations by the batch's own frames."""
    precision: Float[Tensor, " D"]
    gradient: Float[Tensor, "B D"]
    energies: dict[str, Tensor]
    """Weighted squares by weight key, means over frames."""


def expected_expression(
    objective: FitObjective, indices: Int[Tensor, " B"], gaze: Float[Tensor, "B 2"]
) -> Float[Tensor, "B E"]:
    """The prior's mean, with the eyeLook expressions of the current gaze instead of the detector's."""
    mean, looks = objective.prior.mean[indices].clone(), look_expressions(gaze)
    for column, name in enumerate(objective.expression_names):
        if name in looks:
            mean[:, column] = looks[name]
    return mean


def expression_term(objective: FitObjective, parameters: FaceParameters, indices: Int[Tensor, " B"]) -> Separate:
    """A prior for expressions near the detector's, and for few of them (|x| reweighted as x² / (|x| + floor)).

    Returns:
        A term of the frames' expression coefficients, (B, E).
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
    """A prior for similar expressions on both sides of the face.

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
    """A prior for small accelerations. Two fixed frames on either side are included, so that batches join smoothly.

    Args:
        objective: With the weights and each frame's clip.
        parameters: Of all frames.
        indices: Consecutive frames.

    Returns:
        None if there are fewer than three frames.
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
    """Priors for a typical shape, the initial focal length, and the detector's typical offsets.

    Returns:
        A term of the shared unknowns, (G,).
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
