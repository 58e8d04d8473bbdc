"""What each expression does to the face."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.morphable.model import MorphableModel


def expression_displacements(model: MorphableModel) -> Float[Tensor, "E V 3"]:
    """Displacement by one unit of each expression, metres; models that articulate are taken at the neutral face."""
    step = 1e-2
    neutral, eye = torch.zeros(1, model.num_shape), torch.eye(model.num_expressions)
    rest = model.deform(neutral, torch.zeros(1, model.num_expressions))
    return torch.cat([(model.deform(neutral, step * unit[None]) - rest) / step for unit in eye])
