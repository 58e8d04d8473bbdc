"""The effect of emotions on the face: patterns, strengths and mixtures; and random emotion tracks.

The patterns are those of the facial action coding system (Ekman & Friesen 1978; EMFACS 1983), written in the
blendshape names that correspond to the action units (AU). They are stylised, not measured on people.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace, EmotionTrack
from readavatar.errors import UserError


def _both(**expressions: float) -> dict[str, float]:
    return {f"{name}_{side}": value for name, value in expressions.items() for side in "LR"}


PATTERNS: dict[str, dict[str, float]] = {
    # AU 4 + 5 + 7 + 23 (+ 9, 10 slightly: the open-mouthed anger of speech)
    "angry": _both(browDown=1.0, eyeSquint=0.45, eyeWide=0.30, noseSneer=0.45, mouthPress=0.35, mouthUpperUp=0.22,
                   mouthFrown=0.25) | {"mouthRollUpper": 0.12, "jawForward": 0.25, "mouthShrugLower": 0.15},
    # R12 + R14, the other side little; a lid half lowered, one brow up
    "contempt": {"mouthDimple_R": 0.75, "mouthSmile_R": 0.45, "mouthPress_R": 0.40, "mouthDimple_L": 0.10,
                 "mouthRight": 0.25, "cheekSquint_R": 0.25, "noseSneer_R": 0.25, "browOuterUp_R": 0.45,
                 "browDown_L": 0.35, "eyeSquint_L": 0.30, "eyeSquint_R": 0.20, "eyeBlink_L": 0.14, "eyeBlink_R": 0.14},
    # AU 9 + 15 + 16 (+ 10, 7)
    "disgusted": _both(noseSneer=1.0, mouthUpperUp=0.45, mouthFrown=0.55, mouthLowerDown=0.25, browDown=0.45,
                       eyeSquint=0.55, cheekSquint=0.45) | {"mouthShrugLower": 0.35},
    # AU 1 + 2 + 4 + 5 + 20 (+ 25)
    "fear": _both(browInnerUp=0.95, browOuterUp=0.35, browDown=0.25, eyeWide=0.95, mouthStretch=0.75,
                  mouthLowerDown=0.25, mouthFrown=0.12) | {"jawOpen": 0.12},
    # AU 6 + 12 (+ 25)
    "happy": _both(mouthSmile=0.95, cheekSquint=0.75, eyeSquint=0.35, mouthUpperUp=0.22, mouthDimple=0.15,
                   browOuterUp=0.12, browInnerUp=0.08) | {"jawOpen": 0.05},
    # AU 1 + 4 + 15 (+ 17, heavy lids)
    "sad": _both(browInnerUp=1.0, browDown=0.22, mouthFrown=0.85, eyeSquint=0.15, eyeBlink=0.20, mouthPress=0.12)
    | {"mouthShrugLower": 0.45, "mouthRollLower": 0.10},
    # AU 1 + 2 + 5 + 26
    "surprised": _both(browInnerUp=1.0, browOuterUp=1.0, eyeWide=0.80) | {"jawOpen": 0.38, "mouthFunnel": 0.22},
}  # fmt: skip
"""Expressions at full strength."""

UPPER_EXPONENT = 1.6
"""Brows, lids, nose and cheeks: amplitude = strength ** exponent; weak emotions hardly move them."""
LOWER_EXPONENT = 0.8
"""The same for the mouth, where weak emotions are already visible."""

HEAD_POSE = {
    "angry": (0.06, 0.0, 0.0), "contempt": (-0.09, 0.05, -0.05), "disgusted": (-0.04, 0.07, 0.0),
    "fear": (-0.03, -0.03, 0.0), "happy": (-0.02, 0.0, 0.04), "sad": (0.14, 0.0, 0.06), "surprised": (-0.06, 0.0, 0.0),
}  # fmt: skip
"""Radians at full strength: chin down, turn to the subject's left, tilt to the subject's right."""

BLINKS_A_MINUTE = {
    "angry": 9, "contempt": 12, "disgusted": 20, "fear": 34, "happy": 18, "sad": 13, "surprised": 6,
}  # fmt: skip
NEUTRAL_BLINKS_A_MINUTE = 17
"""At rest people blink 17 times a minute, in conversation 26 (Bentivoglio et al. 1997)."""
BROW_BEATS = {
    "angry": 0.6, "contempt": 0.7, "disgusted": 0.5, "fear": 1.3, "happy": 1.3, "sad": 0.5, "surprised": 1.5,
}  # fmt: skip
"""Factor on the rate of brow beats."""
VIGOUR = {
    "angry": 1.25, "contempt": 0.85, "disgusted": 0.95, "fear": 0.95, "happy": 1.12, "sad": 0.72, "surprised": 1.15,
}  # fmt: skip
"""Factor on the mouth's opening in speech."""


def _is_upper(expression: str) -> bool:
    return expression.startswith(("brow", "eye", "nose", "cheek"))


def check_emotions(names: Sequence[str]) -> None:
    """Raise ``UserError`` for an emotion that is not supported."""
    unknown = [name for name in names if name not in PATTERNS]
    if unknown:
        raise UserError(f"Expected emotions of the digital actor ({', '.join(MEAD_EMOTIONS)}), but got {unknown}.")


def emotional_expressions(emotion: np.ndarray, names: Sequence[str], intensity: float = 1.0) -> dict[str, np.ndarray]:
    """Emotion → expressions, (T,) each, of a face that does not speak.

    Each emotion's contribution is ``intensity · strength ** exponent · pattern``; mixtures add with saturation,
    ``1 − Π (1 − contribution)``.

    Args:
        emotion: (T, N) in [0, 1].
        names: N.
        intensity: Factor of the actor's style; 1 by default.
    """
    check_emotions(names)
    rests: dict[str, np.ndarray] = {}
    for column, name in zip(emotion.T, names, strict=True):
        for expression, full in PATTERNS[name].items():
            exponent = UPPER_EXPONENT if _is_upper(expression) else LOWER_EXPONENT
            contribution = np.clip(intensity * full * column**exponent, 0, 1)
            rests[expression] = rests.get(expression, np.ones(len(emotion))) * (1 - contribution)
    return {expression: 1 - rest for expression, rest in rests.items()}


def emotional_factor(emotion: np.ndarray, names: Sequence[str], table: dict[str, float]) -> np.ndarray:
    """(T,) factor that is 1 in neutral and the table's at an emotion's full strength; mixtures multiply."""
    exponents = emotion @ np.log([table[name] for name in names])
    return np.exp(exponents)


def emotional_head_pose(emotion: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(T, 3) radians: chin down, to the subject's left, tilt to the subject's right."""
    return emotion @ np.array([HEAD_POSE[name] for name in names])


def blink_rate(emotion: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(T,) blinks per second."""
    relative = {name: value / NEUTRAL_BLINKS_A_MINUTE for name, value in BLINKS_A_MINUTE.items()}
    return NEUTRAL_BLINKS_A_MINUTE / 60 * emotional_factor(emotion, names, relative)


SHARES = {"neutral": 0.10, "single": 0.35, "mixture": 0.20, "changing": 0.35}
"""Shares of takes by kind of track."""
STRENGTHS = {"full": 0.30, "level": 0.25, "any": 0.45}
"""Shares of single emotions: strength 1; MEAD's levels 1 and 2; any strength."""
LEVELS = (1 / 3, 2 / 3)
"""MEAD's lower two of three levels of intensity."""
WEAKEST = 0.05
NEUTRAL_KEYFRAME_SHARE = 0.2
STEP_SHARE = 0.3
"""Share of changes that are steps; the others are ramps."""
STEP = 0.01
"""Duration of a step, seconds."""
LONGEST_RAMP = 2.0


def draw_emotion(generator: np.random.Generator, duration: float, space: EmotionSpace | None = None) -> EmotionTrack:
    """Draw a track.

    Args:
        generator: Random generator.
        duration: Seconds within which the track may change.
        space: Of the emotions; by default MEAD's.
    """
    space = space or EmotionSpace()
    kind = str(generator.choice(list(SHARES), p=list(SHARES.values())))
    if kind == "neutral":
        return EmotionTrack.constant(space)
    if kind == "changing":
        return _changing(generator, duration, space)
    vector = draw_single(generator, space) if kind == "single" else draw_mixture(generator, space)
    return EmotionTrack.constant(space, _tensor(vector))


def draw_single(generator: np.random.Generator, space: EmotionSpace) -> np.ndarray:
    """(N,) one emotion, with a strength that occurs in corpora or any strength."""
    vector = np.zeros(space.num_emotions)
    kind = str(generator.choice(list(STRENGTHS), p=list(STRENGTHS.values())))
    level, anything = generator.choice(LEVELS), generator.uniform(WEAKEST, 1)
    vector[generator.integers(space.num_emotions)] = {"full": 1.0, "level": level, "any": anything}[kind]
    return vector


def draw_mixture(generator: np.random.Generator, space: EmotionSpace) -> np.ndarray:
    """(N,) two emotions, each with any strength."""
    vector = np.zeros(space.num_emotions)
    chosen = generator.choice(space.num_emotions, size=min(2, space.num_emotions), replace=False)
    vector[chosen] = generator.uniform(WEAKEST, 1, len(chosen))
    return vector


def _changing(generator: np.random.Generator, duration: float, space: EmotionSpace) -> EmotionTrack:
    """Two to four vectors, held in turn, with ramps or steps between them."""
    num_held = int(generator.integers(2, 5))
    # Changes are at least half a second apart in takes of 4 s and more.
    apart = min(0.5, duration / (2 * num_held))
    starts = np.sort(generator.uniform(0, duration - apart * num_held, num_held - 1)) + apart * np.arange(1, num_held)
    times, vectors = [0.0], [_held(generator, space)]
    for index, start in enumerate(starts):
        latest = starts[index + 1] if index + 1 < len(starts) else duration
        steps = generator.random() < STEP_SHARE
        ramp = min(generator.uniform(STEP, LONGEST_RAMP), latest - start - STEP)
        times += [start, start + (STEP if steps else ramp)]
        vectors += [vectors[-1], _held(generator, space)]
    return EmotionTrack(space, _tensor(np.array(times)), torch.stack([_tensor(vector) for vector in vectors]))


def _held(generator: np.random.Generator, space: EmotionSpace) -> np.ndarray:
    if generator.random() < NEUTRAL_KEYFRAME_SHARE:
        return np.zeros(space.num_emotions)
    return draw_single(generator, space) if generator.random() < 0.6 else draw_mixture(generator, space)


def _tensor(vector: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(vector)).float()
