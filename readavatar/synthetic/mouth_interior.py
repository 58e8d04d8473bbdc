"""The inside of the mouth, which no morphable model's coefficients move: the bite and the tongue.

Bite. For /s z ʃ ʒ/ the jaw is moved up and forward until the incisors nearly meet, independently of the neighbouring
vowels (Lee, Beckman & Jackson 1994, "Jaw targets for strident fricatives"; Mooshammer, Hoole & Geumann 2007, "Jaw and
order"). The skin of the chin moves less than the teeth, so that a fit of the skin does not include it.

Tongue. Its state (raise, advance) determines its vertices and their light.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.morphable import MorphableModel

RISE, THRUST = 0.0022, 0.0025
"""Metres by which the lower teeth move up and forward in a full bite: about the overbite and overjet of most people at
rest, 2 to 3 mm."""


def move_teeth(
    model: MorphableModel, vertices: Float[Tensor, "B V 3"], bite: Float[Tensor, " B"]
) -> Float[Tensor, "B V 3"]:
    """Move the model's lower teeth; a model without teeth is not changed.

    Args:
        model: The morphable model.
        vertices: Head frame, metres.
        bite: In [0, 1]; 0 keeps the teeth at the jaw's coefficients.
    """
    index = model.region("teeth_lower")
    if len(index) == 0:
        return vertices
    thrust = vertices.new_tensor([0.0, RISE, THRUST])
    return vertices.index_copy(1, index, vertices[:, index] + bite[:, None, None] * thrust)


RAISE = 0.011
"""Largest rise of a fully raised tongue, metres."""
BULGE = 0.38
"""Width of the raised part, relative to the tongue's length."""
REACH = 0.016
"""Largest forward motion of the tip, metres: between the teeth, 5 mm beyond their edge."""
OUT_FROM, OUT_AT = 0.6, 0.95
"""Advance at which a tip that is not raised starts to move between the teeth, and at which it is fully there (/θ/ and
/ð/ have 0.9; an /s/, whose tip is behind the teeth, 0.75)."""
BLOCKED = 0.5
"""Raise above which the palate limits the forward motion, which is 0 at a raise of 1."""
RETREAT = 0.012
"""Largest backward motion of the tip, metres: back vowels."""
SINK = 0.006
"""Largest lowering of the front of the tongue then, metres; the mouth above it is dark."""
LIGHT_DEPTH = 0.045
"""Depth behind the upper lip without light, metres; also used by ``albedo`` for the mouth's inside."""
_LIP_LANDMARK = 51


def move_tongue(
    model: MorphableModel, vertices: Float[Tensor, "B V 3"], tongue: Float[Tensor, "B 2"]
) -> Float[Tensor, "B V 3"]:
    """Move the vertices of the model's tongue; a model without a tongue is not changed.

    Args:
        model: The morphable model.
        vertices: Head frame, metres.
        tongue: (raise in [0, 1], advance in [−1, 1]): height, and its place along the tongue from root (−1) to tip (1).
            A tip that is advanced but not raised (/θ/) is between the teeth.
    """
    index = model.region("tongue")
    if len(index) == 0:
        return vertices
    up, forward = _motion(model, tongue)
    moved = vertices[:, index] + torch.stack([torch.zeros_like(up), up, forward], -1)
    return vertices.index_copy(1, index, moved)


def tongue_light(model: MorphableModel, tongue: Float[Tensor, "B 2"]) -> Float[Tensor, "B V"]:
    """Factor on the light of the tongue's vertices relative to the painted albedo; 1 on all other vertices."""
    index = model.region("tongue")
    light = model.template.new_ones(len(tongue), model.num_vertices)
    if len(index) == 0:
        return light
    painted = model.landmarks_3d(model.template[None])[0, _LIP_LANDMARK, 2] - model.template[index, 2]
    _, forward = _motion(model, tongue)
    return light.index_copy(1, index, light_in_mouth(painted - forward) / light_in_mouth(painted))


def light_in_mouth(depth: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Light at ``depth`` metres behind the upper lip, in (0, 1]; chosen by eye."""
    return (1.05 - depth / LIGHT_DEPTH).clamp(0.06, 1) ** 1.5


def _motion(model: MorphableModel, tongue: Float[Tensor, "B 2"]) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
    """Up and forward, metres, of the tongue's N vertices."""
    depth = model.template[model.region("tongue"), 2]
    along = (depth - depth.min()) / (depth.max() - depth.min())
    height, advance = tongue[:, :1], tongue[:, 1:]
    out = ((advance - OUT_FROM) / (OUT_AT - OUT_FROM)).clamp(0, 1) * ((1 - height) / (1 - BLOCKED)).clamp(max=1)
    back = (-advance).clamp(min=0)
    up = RAISE * height * torch.exp(-(((along - (0.55 + 0.4 * advance)) / BULGE) ** 2)) * along.clamp(max=0.3) / 0.3
    up = up - SINK * back * (1 - height) * along
    return up, REACH * out * along**2 - RETREAT * back * along
