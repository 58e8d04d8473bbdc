"""Retargeting of acted expressions to any morphable model, and the pauses in which a mouth is at rest.

A model with the named expressions takes them directly. For other models, expressions are matched by the motion of the
landmarks.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.errors import UserError
from readavatar.morphable import EXPRESSION_NAMES, MorphableModel, load_morphable_model
from readavatar.synthetic.visemes import visemes_of
from readavatar.synthetic.voice import Phoneme

SHORTEST_REST = 0.3
"""Seconds; in shorter silences the mouth moves from one sound to the next."""
RESTING_RAMP = 0.14
"""Seconds from the last sound until the mouth is closed, and from its opening until the next sound."""


def at_rest(phonemes: tuple[Phoneme, ...], times: np.ndarray) -> np.ndarray:
    """(T,) 1 within longer silences, with smooth ramps inside them.

    Next to a /p b m/ there is no ramp, since the lips are already closed.

    Args:
        phonemes: Of a speech; before its beginning and after its end is silence.
        times: (T,) seconds.
    """
    rest = np.zeros_like(times)
    never = np.full_like(times, np.inf)
    for index, phoneme in enumerate(phonemes):
        if phoneme.symbol or phoneme.end - phoneme.start < SHORTEST_REST:
            continue
        opens_late = index == len(phonemes) - 1 or visemes_of(phonemes[index + 1].symbol)[0].closure > 0
        closed_early = index == 0 or visemes_of(phonemes[index - 1].symbol)[-1].closure > 0
        since = never if closed_early else times - phoneme.start
        until = never if opens_late else phoneme.end - times
        inside = np.clip(np.minimum(since, until) / RESTING_RAMP, 0, 1)
        end = np.inf if index == len(phonemes) - 1 else phoneme.end
        inside *= (times >= phoneme.start) & (times < end)
        rest = np.maximum(rest, inside * inside * (3 - 2 * inside))
    return rest


DAMPING = 0.02
"""Damping of the least squares, relative to the largest singular value."""


def retarget(expressions: Float[Tensor, "T named"], model: MorphableModel) -> Float[Tensor, "T E"]:
    """Coefficients of ``EXPRESSION_NAMES`` → coefficients of ``model``.

    A model with these names takes them directly (its other expressions are 0). For any other (FLAME's and Basel's modes
    have no names), each expression is replaced by the coefficients that move the model's 68 landmarks most like that
    expression moves the built-in head's, relative to the faces' widths, by damped least squares within the bounds.

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
