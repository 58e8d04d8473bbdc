"""Speech + emotion + behaviour → a performance: the coefficients of every frame."""

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
"""Metres from the camera to the head's origin; the default camera then sees 0.30 m."""
FACE_INERTIA = 0.06
"""Seconds, standard deviation of the Gaussian through which the face follows the asked emotion. A step then rises from
10 to 90 % in 2.56 standard deviations, 0.15 s: facial muscles take some 0.1 to 0.3 s to contract, the quickest
expression, surprise, being near the lower end (Yan et al. 2013 find onsets of 0.26 s at the most in micro-expressions),
and no face jumps within one frame."""
INERTIA_SAMPLES = 33
"""Of the kernel, over ±4 standard deviations: 0.015 s apart, finer than any video's frames."""
TURN_SECONDS = 5.0
"""From side to side and back."""
TURN_LOOK = 0.3
"""Share of a head's slow turn that the eyes make up for: who turns away looks elsewhere, too."""


@dataclass(frozen=True)
class Style:
    """How an actor acts."""

    vigour: float = 1.0
    """Factor on how far speech opens the mouth."""
    decay: float = DECAY
    """How crisply sounds follow each other, 1/s: see ``visemes.articulate``."""
    intensity: float = 1.0
    """Factor on the emotions."""
    liveliness: float = 1.0
    """Factor on head sway and brow beats."""
    blinking: float = 1.0
    """Factor on how often the lids blink."""
    resting_closure: float = 0.0
    """How far the lips close when nothing is said for a while: 0 as far as the emotion lets them, 1 wholly."""
    habits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Expression → (factor, offset at rest in [0, 1]): how this face differs from the next in all that it does."""


@dataclass(frozen=True)
class Performance:
    """A take: what is heard and what every frame shows."""

    waveform: Float[Tensor, " num_samples"]
    """16 kHz, as long as the frames."""
    coefficients: FaceCoefficients
    """E are ``EXPRESSION_NAMES``."""
    tongue: Float[Tensor, "T 2"]
    """(raise in [0, 1], advance in [−1, 1]); no coefficient tells it."""
    bite: Float[Tensor, " T"]
    """How far the lower front teeth are thrust towards the upper ones, in [0, 1]; no coefficient tells that either."""
    emotion: Float[Tensor, "T N"]
    """As asked; the face follows it through its inertia."""
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
    """Act a speech out.

    Args:
        speech: What is said; its emotion in the voice is made by ``voice.speak``.
        emotion: What is felt.
        fps: Frames a second; frame i shows the time (i + 0.5) / fps.
        seed: Of everything that the speech does not decide.
        style: How.
        shape_coefficients: Passed on.
        translation: Where the head rests in the world, metres.
        turn: Radians by which the head turns slowly from side to side, beside what it does anyway.

    Raises:
        UserError: An emotion that the actor cannot play.
    """
    style = style or Style()
    fps = float(fps)
    check_emotions(emotion.space.names)
    # Up to the next whole frame, but for the samples that rounding alone makes of it.
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
    # The eyes turn against the head, so that they stay on what they look at.
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
        rotation=_tensor(head),  # read as axis-angle: for small angles, the turns about the axes
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
    """What the face shows of a track, (T, N): the track through the face's inertia.

    Args:
        emotion: As asked; before the first and after the last of the times, taken to stay as it is there.
        times: (T,) seconds, in order.
    """

    def sample(at: np.ndarray) -> np.ndarray:
        return emotion.sample(torch.from_numpy(at)).double().numpy()

    offsets = np.linspace(-4, 4, INERTIA_SAMPLES) * FACE_INERTIA
    weights = np.exp(-0.5 * (offsets / FACE_INERTIA) ** 2)
    around = np.clip(times[:, None] + offsets, times[0], times[-1])
    asked = sample(times)
    nearby = sample(around.ravel()).reshape(*around.shape, -1)
    # As a correction of the track itself, so that nothing, not even the last bit, changes where it is constant.
    change = np.einsum("k,tkn->tn", weights / weights.sum(), nearby - asked[:, None])
    return np.clip(asked + change, 0, 1)


_CLOSED_KEEPS = {"mouthUpperUp": 0.0, "mouthLowerDown": 0.0, "mouthFunnel": 0.0, "mouthStretch": 0.5,
                 "mouthSmile": 0.6, "mouthFrown": 0.6, "mouthDimple": 0.6, "noseSneer": 0.3,
                 "mouthShrugUpper": 0.0, "mouthShrugLower": 0.5}  # fmt: skip
"""What is left of an expression that parts the lips while they are closed."""
_RESTING_KEEPS = {"mouthUpperUp": 0.0, "mouthLowerDown": 0.0, "mouthFunnel": 0.0, "noseSneer": 0.3}
"""What is left of an expression that parts the lips while a mouth rests closed; smiles and frowns stay as they are."""
_CLOSED_JAW = 0.10
"""The jaw's opening during a closure at most: a closed mouth in full surprise still drops the chin a little."""


def blend_expressions(
    mouth: dict[str, np.ndarray],
    emotional: dict[str, np.ndarray],
    articulation: Articulation,
    gestures: Gestures,
    gaze: np.ndarray,
    habits: Mapping[str, tuple[float, float]] | None = None,
    resting: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Speech, emotion and gestures in one face: (T,) an expression.

    Emotion gives way where it would spoil a sound: rounding weakens smiles and stretches, and whatever parts the lips
    lets go while they close, so that /p b m/ close in any emotion. A face's habits come before both closures and
    blinks, which are complete on any face. A mouth at rest (``resting``, (T,) in [0, 1]) closes but keeps its smile.
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
