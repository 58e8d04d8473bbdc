"""The acted expressions on any morphable model: by name where it has them, else by how the landmarks move."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError
from readavatar.morphable import EXPRESSION_NAMES, MorphableModel, load_morphable_model

DAMPING = 0.02
"""Of the least squares, relative to the largest singular value: keeps the coefficients of weakly seen modes small."""


def retarget(expressions: Float[Tensor, "T named"], model: MorphableModel) -> Float[Tensor, "T E"]:
    """Coefficients of ``EXPRESSION_NAMES`` → coefficients of ``model``.

    A model with these names takes them as they are (other expressions stay 0). For any other (FLAME's and Basel's modes
    have no names), each expression becomes the coefficients that move the model's 68 landmarks most nearly as that
    expression moves the built-in head's, relative to the faces' widths: damped least squares, within the bounds.

    Raises:
        UserError: The model has no expressions.
    """
    if model.num_expressions == 0:
        raise UserError(f"Expected a morphable model with expressions to act with, but '{model.name}' has none.")
    names = list(model.expression_names)
    shared = [name for name in EXPRESSION_NAMES if name in names]
    if shared:
        coefficients = torch.zeros(len(expressions), len(names))
        source = [EXPRESSION_NAMES.index(name) for name in shared]
        coefficients[:, [names.index(name) for name in shared]] = expressions[:, source]
        return coefficients
    moved, width = _landmark_motion(load_morphable_model("builtin"))
    modes, own_width = _landmark_motion(model)
    left, singular, right = torch.linalg.svd(modes.flatten(1).T, full_matrices=False)
    damped = singular / (singular**2 + (DAMPING * singular.max()) ** 2)
    solve = right.T @ (damped[:, None] * left.T)
    coefficients = expressions @ (solve @ (moved.flatten(1).T * own_width / width)).T
    return coefficients.clamp(model.expression_bounds[:, 0], model.expression_bounds[:, 1])


def _landmark_motion(model: MorphableModel) -> tuple[Float[Tensor, "E 68 3"], float]:
    """How one unit of each expression moves the landmarks, metres, and the face's width."""
    shape = torch.zeros(1, model.num_shape)
    neutral = model.landmarks_3d(model(shape, torch.zeros(1, model.num_expressions)))
    unit = model.landmarks_3d(model(shape.expand(model.num_expressions, -1), torch.eye(model.num_expressions)))
    return unit - neutral, float(neutral[0, :17, 0].amax() - neutral[0, :17, 0].amin())
