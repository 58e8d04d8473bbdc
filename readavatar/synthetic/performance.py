"""Performances: speech, emotion and behaviour → the coefficients of every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.emotion import EmotionTrack
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.morphable.model import EXPRESSION_NAMES, look_expressions
from readavatar.synthetic.behaviour import Gestures, behave
from readavatar.synthetic.emotions import (
    BROW_BEATS,
    VIGOUR,
    blink_rate,
    check_emotions,
    emotional_expressions,
    emotional_factor,
    emotional_head_pose,
)
from readavatar.synthetic.retarget import at_rest
from readavatar.synthetic.visemes import DECAY, Articulation, articulate, mouth_expressions
from readavatar.synthetic.voice import Phoneme, Speech
from readavatar.types import FaceCoefficients

DISTANCE = 0.66
"""Distance from the camera to the head's origin, metres; the default camera then shows 0.30 m."""
FACE_INERTIA = 0.06
"""Standard deviation of the Gaussian by which the face follows the requested emotion, seconds. A step then rises from
10 to 90 % in 2.56 standard deviations, 0.15 s: facial muscles take about 0.1 to 0.3 s to contract (Yan et al. 2013 find
onsets of at most 0.26 s in micro-expressions)."""
INERTIA_SAMPLES = 33
"""Number of samples of the kernel, over ±4 standard deviations, 0.015 s apart."""
TURN_SECONDS = 5.0
"""From side to side and back."""
TURN_LOOK = 0.3
"""Share of the head's slow rotation that the eyes compensate."""


@dataclass(frozen=True)
class Style:
    """An actor's style."""

    vigour: float = 1.0
    """Factor on how far speech opens the mouth."""
    decay: float = DECAY
    """Crispness of articulation, 1/s: see ``visemes.articulate``."""
    intensity: float = 1.0
    """Factor on the emotions."""
    liveliness: float = 1.0
    """Factor on head sway and brow beats."""
    blinking: float = 1.0
    """Factor on the blink rate."""
    resting_closure: float = 0.0
    """Closing of the lips in longer silences: 0 leaves them to the emotion, 1 closes them."""
    habits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Expression → (factor, offset at rest in [0, 1]): individual differences."""


@dataclass(frozen=True)
class Performance:
    """The sound and the coefficients of a take."""

    waveform: Float[Tensor, " num_samples"]
    """16 kHz, as long as the frames."""
    coefficients: FaceCoefficients
    """E are ``EXPRESSION_NAMES``."""
    tongue: Float[Tensor, "T 2"]
    """(raise in [0, 1], advance in [−1, 1]); not in the coefficients."""
    bite: Float[Tensor, " T"]
    """Motion of the lower front teeth towards the upper ones, in [0, 1]; not in the coefficients."""
    emotion: Float[Tensor, "T N"]
    """As requested; the face follows it with its inertia."""
    phonemes: tuple[Phoneme, ...]
    fps: float


def perform(
    speech: Speech,
    emotion: EmotionTrack,
    *,
    fps: int | float,
    seed: int,
    style: Style | None = None,
    shape_coefficients: Float[Tensor, " S"] | None = None,
    translation: tuple[float, float, float] = (0.0, 0.0, -DISTANCE),
    turn: int | float = 0.0,
) -> Performance:
    """Perform a speech.

    Args:
        speech: The speech; ``voice.speak`` adds the emotion to the voice.
        emotion: Of the face.
        fps: Frames per second; frame i shows the time (i + 0.5) / fps.
        seed: Of the random behaviour.
        style: Of the actor.
        shape_coefficients: Of the result.
        translation: Resting position of the head in the world, metres.
        turn: Radians of an additional slow head rotation from side to side.

    Raises:
        UserError: The emotion is not supported.
    """
    style = style or Style()
    fps = float(fps)
    check_emotions(emotion.space.names)
    # Up to the next whole frame, ignoring rounding errors.
    num_frames = max(1, int(np.ceil(speech.duration * fps - 1e-3)))
    times = (np.arange(num_frames) + 0.5) / fps
    asked = emotion.sample_frames(num_frames, fps).double().numpy()
    felt = felt_emotion(emotion, times)
    names = emotion.space.names
    articulation = articulate(speech.phonemes, times, style.decay)
    gestures = behave(
        times,
        speech.phonemes,
        style.blinking * blink_rate(felt, names),
        style.liveliness * emotional_factor(felt, names, BROW_BEATS),
        np.random.default_rng([seed, 2]),
    )
    head = style.liveliness * gestures.head_sway + style.intensity * emotional_head_pose(felt, names)
    # The eyes rotate against the head, so that they stay on their target.
    gaze = gestures.gaze_target + np.stack([-head[:, 1], head[:, 0]], axis=1)
    sweep = turn * np.sin(2 * np.pi * (times / TURN_SECONDS + np.random.default_rng([seed, 8]).random()))
    head[:, 1] += sweep
    gaze[:, 0] -= TURN_LOOK * sweep
    mouth = mouth_expressions(articulation, style.vigour * emotional_factor(felt, names, VIGOUR))
    resting = style.resting_closure * at_rest(speech.phonemes, times)
    emotional = emotional_expressions(felt, names, style.intensity)
    expressions = blend_expressions(mouth, emotional, articulation, gestures, gaze, style.habits, resting)
    columns = [expressions.get(name, np.zeros(num_frames)) for name in EXPRESSION_NAMES]
    coefficients = FaceCoefficients(
        shape_coefficients=torch.zeros(0) if shape_coefficients is None else shape_coefficients,
        expression_coefficients=_tensor(np.stack(columns, axis=1)),
        rotation=_tensor(head),  # as axis-angle: for small angles, the rotations about the axes
        translation=_tensor(np.array(translation) + gestures.head_shift * style.liveliness),
        gaze=_tensor(gaze),
    )
    waveform = torch.zeros(round(num_frames / fps * SAMPLE_RATE))
    kept = min(len(waveform), len(speech.waveform))
    waveform[:kept] = speech.waveform[:kept]
    controls = articulation.controls
    tongue = _tensor(np.stack([controls["tongue_raise"], controls["tongue_advance"]], axis=1))
    bite = _tensor(controls["bite"])
    return Performance(waveform, coefficients, tongue, bite, _tensor(asked), speech.phonemes, fps)


def felt_emotion(emotion: EmotionTrack, times: np.ndarray) -> np.ndarray:
    """The emotion that the face shows, (T, N): the track smoothed by the face's inertia.

    Args:
        emotion: As requested; constant before the first and after the last of the times.
        times: (T,) seconds, in order.
    """

    def sample(at: np.ndarray) -> np.ndarray:
        return emotion.sample(torch.from_numpy(at)).double().numpy()

    offsets = np.linspace(-4, 4, INERTIA_SAMPLES) * FACE_INERTIA
    weights = np.exp(-0.5 * (offsets / FACE_INERTIA) ** 2)
    around = np.clip(times[:, None] + offsets, times[0], times[-1])
    asked = sample(times)
    nearby = sample(around.ravel()).reshape(*around.shape, -1)
    # As a correction of the track, so that constant parts stay bit-identical.
    change = np.einsum("k,tkn->tn", weights / weights.sum(), nearby - asked[:, None])
    return np.clip(asked + change, 0, 1)


_CLOSED_KEEPS = {"mouthUpperUp": 0.0, "mouthLowerDown": 0.0, "mouthFunnel": 0.0, "mouthStretch": 0.5,
                 "mouthSmile": 0.6, "mouthFrown": 0.6, "mouthDimple": 0.6, "noseSneer": 0.3,
                 "mouthShrugUpper": 0.0, "mouthShrugLower": 0.5}  # fmt: skip
"""Share that is left of an expression that parts the lips while they are closed."""
_RESTING_KEEPS = {"mouthUpperUp": 0.0, "mouthLowerDown": 0.0, "mouthFunnel": 0.0, "noseSneer": 0.3}
"""The same while the mouth is closed at rest; smiles and frowns are not changed."""
_CLOSED_JAW = 0.10
"""Largest opening of the jaw during a closure."""


def blend_expressions(
    mouth: dict[str, np.ndarray],
    emotional: dict[str, np.ndarray],
    articulation: Articulation,
    gestures: Gestures,
    gaze: np.ndarray,
    habits: Mapping[str, tuple[float, float]] | None = None,
    resting: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Combine speech, emotion and gestures: (T,) for each expression.

    Speech has priority: rounding weakens smiles and stretches, and expressions that part the lips are suppressed while
    they close, so that /p b m/ close in every emotion. Habits are applied before closures and blinks, which are
    complete on every face. A mouth at rest (``resting``, (T,) in [0, 1]) closes but keeps its smile.
    """
    habits = habits or {}
    resting = np.zeros_like(gestures.blink) if resting is None else resting
    closure, touch = articulation.closure, articulation.lip_to_teeth
    rounding = articulation.controls["round"]
    blended: dict[str, np.ndarray] = {}
    for name in {*mouth, *emotional, *habits}:
        base = name.removesuffix("_L").removesuffix("_R")
        felt = emotional.get(name, np.zeros_like(closure))
        if base in ("mouthSmile", "mouthStretch", "mouthDimple", "mouthFrown"):
            felt = felt * (1 - 0.7 * rounding)
        if base in ("mouthLowerDown", "mouthRollLower", "mouthShrugLower", "mouthUpperUp", "noseSneer"):
            felt = felt * (1 - 0.7 * touch)
        value = 1 - (1 - mouth.get(name, 0.0)) * (1 - felt)
        if name in habits:
            factor, offset = habits[name]
            value = 1 - (1 - np.minimum(factor * value, 1)) * (1 - offset)
        left_by_closure = 1 - closure * (1 - _CLOSED_KEEPS.get(base, 1.0))
        blended[name] = value * np.minimum(left_by_closure, 1 - resting * (1 - _RESTING_KEEPS.get(base, 1.0)))
    jaw = blended["jawOpen"] * (1 - 0.8 * touch)
    closed = np.maximum(closure, resting)
    blended["jawOpen"] = jaw + closed * (np.minimum(jaw, _CLOSED_JAW) - jaw)
    # In ARKit's and ICT's terms mouthClose brings the lips together over an open jaw when it equals jawOpen.
    blended["mouthClose"] = closed * blended["jawOpen"]

    blink = gestures.blink
    for name, look in look_expressions(torch.from_numpy(gaze)).items():
        value = look.numpy()
        blended[name] = value * (1 - blink) if "Up" in name or "Down" in name else value
    for side in "LR":
        for base, height in (("browInnerUp", 0.35), ("browOuterUp", 0.55)):
            rest = 1 - blended.get(f"{base}_{side}", 0.0)
            blended[f"{base}_{side}"] = 1 - rest * (1 - height * gestures.brow_beat)
        rest = 1 - blended.get(f"eyeBlink_{side}", 0.0)
        blended[f"eyeBlink_{side}"] = 1 - rest * (1 - blink)
        for base in ("eyeWide", "eyeSquint"):
            if f"{base}_{side}" in blended:  # a closed lid is neither wide nor narrow
                blended[f"{base}_{side}"] = blended[f"{base}_{side}"] * (1 - blink)
    return blended


def _tensor(array: Sequence | np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()
