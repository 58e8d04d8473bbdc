"""The bite, which trackers do not see either: sibilants bring the lower front teeth edge to edge with the upper ones.

For /s z ʃ ʒ/ the jaw is thrust up and forward until the incisors nearly meet, whatever the neighbouring vowels do (Lee,
Beckman & Jackson 1994, "Jaw targets for strident fricatives"; Mooshammer, Hoole & Geumann 2007, "Jaw and order"); the
skin of the chin moves by less than the teeth, and a fit to the skin leaves them where the jaw's opening puts them.

The tongue, which no morphable model's coefficients move: its state (raise, advance) → vertices, and their light.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.morphable import MorphableModel

RISE, THRUST = 0.0022, 0.0025
"""Metres that the lower teeth rise and come forward in a full bite: the overbite and overjet of most people's teeth at
rest are 2 to 3 mm, which is what they have to make up for."""


def move_teeth(
    model: MorphableModel, vertices: Float[Tensor, "B V 3"], bite: Float[Tensor, " B"]
) -> Float[Tensor, "B V 3"]:
    """Thrust the model's lower teeth; a model without them is left as it is.

    Args:
        model: Whose vertices.
        vertices: Head frame, metres.
        bite: In [0, 1]; 0 where the jaw's coefficients put them.
    """
    index = model.region("teeth_lower")
    if len(index) == 0:
        return vertices
    thrust = vertices.new_tensor([0.0, RISE, THRUST])
    return vertices.index_copy(1, index, vertices[:, index] + bite[:, None, None] * thrust)


RAISE = 0.011
"""Metres that a fully raised tongue rises where it is raised most."""
BULGE = 0.38
"""Width of the raised part, of the tongue's length."""
REACH = 0.016
"""Metres that the tip comes forward at most: between the teeth and over the lower ones, 5 mm beyond their edge."""
OUT_FROM, OUT_AT = 0.6, 0.95
"""Advance at which a tip that is not raised begins to come out, and at which it is out (/θ/ and /ð/ reach 0.9; an /s/,
whose tip stays behind the teeth, 0.75)."""
BLOCKED = 0.5
"""Raise from which on the palate is in the way: beyond, the tip comes out less, and not at all at 1."""
RETREAT = 0.012
"""Metres that the tip goes back where the body is drawn back most: back vowels."""
SINK = 0.006
"""Metres that the front of a low tongue sinks then, so that the mouth is dark above it."""
LIGHT_DEPTH = 0.045
"""Metres behind the upper lip at which no light arrives; the depth that ``albedo`` paints the mouth's inside by."""
_LIP_LANDMARK = 51


def move_tongue(
    model: MorphableModel, vertices: Float[Tensor, "B V 3"], tongue: Float[Tensor, "B 2"]
) -> Float[Tensor, "B V 3"]:
    """Raise, advance and draw back the vertices of the model's tongue; a model without one is left as it is.

    Args:
        model: Whose vertices.
        vertices: Head frame, metres.
        tongue: (raise in [0, 1], advance in [−1, 1]): how high, and where along the tongue from root (−1) to tip (1). A
            tip that is advanced but not raised (/θ/) comes out between the teeth.
    """
    index = model.region("tongue")
    if len(index) == 0:
        return vertices
    up, forward = _motion(model, tongue)
    moved = vertices[:, index] + torch.stack([torch.zeros_like(up), up, forward], -1)
    return vertices.index_copy(1, index, moved)


def tongue_light(model: MorphableModel, tongue: Float[Tensor, "B 2"]) -> Float[Tensor, "B V"]:
    """How many times the light it was painted for a tongue in this state gets; 1 on all other vertices."""
    index = model.region("tongue")
    light = model.template.new_ones(len(tongue), model.num_vertices)
    if len(index) == 0:
        return light
    painted = model.landmarks_3d(model.template[None])[0, _LIP_LANDMARK, 2] - model.template[index, 2]
    _, forward = _motion(model, tongue)
    return light.index_copy(1, index, light_in_mouth(painted - forward) / light_in_mouth(painted))


def light_in_mouth(depth: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """How much light arrives ``depth`` metres behind the upper lip, in (0, 1]: by eye, as no light is traced."""
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
