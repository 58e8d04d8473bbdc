"""The lids and the skin around an eye follow its turning: the ``eyeLook*`` expressions of a gaze."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

LID_REACH = 0.55
"""Radians of gaze at which an eyeLook* expression is full."""


def look_expressions(gaze: Float[Tensor, "T 2"]) -> dict[str, Float[Tensor, " T"]]:
    """``eyeLook*`` coefficients in [0, 1] by name, of a gaze (yaw to the subject's left, pitch up; radians)."""
    yaw, pitch = (gaze / LID_REACH).unbind(1)
    to_left, to_right = yaw.clamp(0, 1), (-yaw).clamp(0, 1)
    expressions = {"eyeLookOut_L": to_left, "eyeLookIn_R": to_left, "eyeLookIn_L": to_right, "eyeLookOut_R": to_right}
    for side in "LR":
        expressions[f"eyeLookUp_{side}"] = pitch.clamp(0, 1)
        expressions[f"eyeLookDown_{side}"] = (-pitch).clamp(0, 1)
    return expressions
