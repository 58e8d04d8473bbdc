"""The tongue, which no morphable model's coefficients move: its state (raise, advance) → vertices."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.morphable import MorphableModel

RAISE = 0.011
"""Metres that a fully raised tongue rises where it is raised most."""
REACH = 0.014
"""Metres that the tip comes forward at most: between the teeth."""
BULGE = 0.38
"""Width of the raised part, of the tongue's length."""


def move_tongue(
    model: MorphableModel, vertices: Float[Tensor, "B V 3"], tongue: Float[Tensor, "B 2"]
) -> Float[Tensor, "B V 3"]:
    """Raise and advance the vertices of the model's tongue; a model without one is left as it is.

    Args:
        model: Whose vertices.
        vertices: Head frame, metres.
        tongue: (raise in [0, 1], advance in [−1, 1]): how high, and where along the tongue from root (−1) to tip (1). A
            tip that is advanced but not raised (/θ/) comes out between the teeth.
    """
    index = model.region("tongue")
    if len(index) == 0:
        return vertices
    depth = model.template[index, 2]
    along = (depth - depth.min()) / (depth.max() - depth.min())
    height, advance = tongue[:, :1], tongue[:, 1:]
    up = RAISE * height * torch.exp(-(((along - (0.55 + 0.4 * advance)) / BULGE) ** 2)) * along.clamp(max=0.3) / 0.3
    forward = REACH * advance.clamp(min=0) * (1 - height) * along**2
    moved = vertices[:, index] + torch.stack([torch.zeros_like(up), up, forward], -1)
    return vertices.index_copy(1, index, moved)
