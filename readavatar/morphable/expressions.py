"""The expressions that every blendshape model here shares, and their spelling in ARKit's and MediaPipe's lists.

The names are ICT-FaceKit's (Li et al. 2020): ARKit's, with ``_L`` and ``_R`` for the subject's left and right, and with
the symmetric ``browInnerUp`` and ``cheekPuff`` split in two.

What each expression does to the face.

The lids and the skin around an eye follow its turning: the ``eyeLook*`` expressions of a gaze.
"""

from __future__ import annotations

import re

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.morphable.model import MorphableModel

_PAIRS = (
    "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn",
    "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress",
    "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
_SINGLES = (
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel", "mouthLeft", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
)  # fmt: skip

EXPRESSION_NAMES = tuple(sorted([f"{name}_{side}" for name in _PAIRS for side in "LR"] + list(_SINGLES)))
"""53 names, sorted: the columns of a blendshape model's ``expression_coefficients``."""


def arkit_name(expression_name: str) -> str:
    """ARKit's spelling: ``eyeBlink_L`` → ``eyeBlinkLeft``; the halves of a symmetric ARKit shape give the same name.

    Example:
        >>> from readavatar.morphable import arkit_name
        >>> arkit_name("eyeBlink_L"), arkit_name("cheekPuff_R"), arkit_name("jawOpen")
        ('eyeBlinkLeft', 'cheekPuff', 'jawOpen')
    """
    base = re.sub(r"_[LR]$", "", expression_name)
    if base in ("browInnerUp", "cheekPuff"):
        return base
    return base + {"_L": "Left", "_R": "Right"}.get(expression_name[-2:], "")


def expression_displacements(model: MorphableModel) -> Float[Tensor, "E V 3"]:
    """Displacement by one unit of each expression, metres; models that articulate are taken at the neutral face."""
    step, device = 1e-2, model.template.device
    neutral, eye = torch.zeros(1, model.num_shape, device=device), torch.eye(model.num_expressions, device=device)
    rest = model.deform(neutral, torch.zeros_like(eye[:1]))
    return torch.cat([(model.deform(neutral, step * unit[None]) - rest) / step for unit in eye])


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
