"""The bite, which trackers do not see either: sibilants bring the lower front teeth edge to edge with the upper ones.

For /s z ʃ ʒ/ the jaw is thrust up and forward until the incisors nearly meet, whatever the neighbouring vowels do (Lee,
Beckman & Jackson 1994, "Jaw targets for strident fricatives"; Mooshammer, Hoole & Geumann 2007, "Jaw and order"); the
skin of the chin moves by less than the teeth, and a fit to the skin leaves them where the jaw's opening puts them.
"""

from __future__ import annotations

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
