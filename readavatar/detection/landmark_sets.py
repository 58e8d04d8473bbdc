"""Indices and names of MediaPipe's 478 landmarks and 52 blendshapes.

*left* and *right* are the subject's. The iBUG 68 run from the subject's right to its left (in an upright image: from
the viewer's left).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

_IN_ORDER = (
    "_neutral", "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "eyeBlink", "eyeLookDown",
    "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimple", "mouthFrown", "mouthFunnel", "mouthLeft", "mouthLowerDown", "mouthPress",
    "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
_PAIRED = {
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp",
    "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch",
    "mouthUpperUp", "noseSneer",
}  # fmt: skip

ARKIT_NAMES = tuple(name + side for name in _IN_ORDER for side in (("Left", "Right") if name in _PAIRED else ("",)))
"""MediaPipe's 52 blendshapes in its order: ``_neutral`` and ARKit's 52 without ``tongueOut``."""

LANDMARKS_68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,  # jaw line
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose: bridge, base
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # lips, outer edge
    78, 81, 13, 311, 308, 402, 14, 178,  # lips, inner edge
)  # fmt: skip
"""MediaPipe's index of each iBUG landmark (Sagonas et al. 2013). Those of the jaw line depend on the head's
rotation."""

IRIS_RIGHT = (468, 469, 470, 471, 472)
"""The centre, then four points on the rim."""
IRIS_LEFT = (473, 474, 475, 476, 477)


def to_landmarks_68(landmarks_2d: Float[Tensor, "*n L 2"]) -> Float[Tensor, "*n 68 2"]:
    """The 68 iBUG landmarks: selected from MediaPipe's 478, or unchanged if there are 68."""
    if landmarks_2d.shape[-2] == len(LANDMARKS_68):
        return landmarks_2d
    return landmarks_2d[..., list(LANDMARKS_68), :]
