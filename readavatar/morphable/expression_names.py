"""The expressions that every blendshape model here shares, and their spelling in ARKit's and MediaPipe's lists.

The names are ICT-FaceKit's (Li et al. 2020): ARKit's, with ``_L`` and ``_R`` for the subject's left and right, and with
the symmetric ``browInnerUp`` and ``cheekPuff`` split in two.
"""

from __future__ import annotations

import re

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
    """ARKit's spelling: ``eyeBlink_L`` → ``eyeBlinkLeft``; the halves of a symmetric ARKit shape give the same name."""
    base = re.sub(r"_[LR]$", "", expression_name)
    if base in ("browInnerUp", "cheekPuff"):
        return base
    return base + {"_L": "Left", "_R": "Right"}.get(expression_name[-2:], "")
