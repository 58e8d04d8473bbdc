"""The sources of motion that the expression scorecard compares: the actor's true performance, or a trained network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.store.avatar import Avatar, load_network
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.expression import ExpressionGenerator, generate_expressions
from readavatar.morphable import EXPRESSION_NAMES
from readavatar.speech import SpeechEncoder, load_speech_encoder
from readavatar.synthetic import Character, Speech, Take, perform

MotionSource = Callable[[Take, Float[Tensor, "T N"], int], Float[Tensor, "T E"]]
"""A function of a take (for its sound), the requested emotion (possibly not the take's own) and a seed that gives
coefficients of ``EXPRESSION_NAMES`` without those of the gaze."""

SPACE = EmotionSpace()
"""The N emotions that digital actors show."""
_IS_FACE = torch.tensor([not name.startswith("eyeLook") for name in EXPRESSION_NAMES])


def without_gaze(expressions: Float[Tensor, "T E"]) -> Float[Tensor, "T E"]:
    """Set the expressions that follow the eyes to 0: an avatar's gaze comes from its footage, not from a network."""
    return expressions * _IS_FACE


def true_motion(character: Character) -> MotionSource:
    """The actor's performance of the same sentences in the requested emotion: what a perfect network would give.

    Each seed gives other blinks and brow motion, so that this is another true performance, not a copy of the take.
    """

    def motion(take: Take, emotion: Float[Tensor, "T N"], seed: int) -> Float[Tensor, "T E"]:
        times = (torch.arange(len(emotion)) + 0.5) / take.fps
        performance = perform(
            Speech(take.waveform, take.phonemes),
            EmotionTrack(SPACE, times, emotion),
            fps=take.fps,
            seed=character.seed * 1_000_003 + _TRUE_TAKES + seed,
            style=character.style,
        )
        return without_gaze(performance.coefficients.expression_coefficients)

    return motion


_TRUE_TAKES = 700_000
"""Added to a seed, so that these performances differ from the character's numbered takes."""


class TrainedMotion:
    """An avatar's expression network. The speech features of each take are cached, since takes are used often."""

    def __init__(self, avatar: str | Path, features: dict[str, Tensor] | None = None) -> None:
        """
        Args:
            avatar: The avatar's folder.
            features: A cache of speech features to share with others; it is filled.

        Raises:
            UserError: The avatar has no expression part, or one without the actors' expressions or emotions.
        """
        self.path = Path(avatar)
        part = Avatar(avatar).part("expression")
        self.generator = load_network(ExpressionGenerator(**part.config["network"]), part)
        if not Avatar(avatar).card.footage:  # a prior of many people: use their mean style
            for each in (self.generator.codes, self.generator.blink_rates):
                each.copy_(each.mean(0, keepdim=True).expand_as(each))
        self.encoder = load_encoder_of(avatar)
        self.features = {} if features is None else features
        names = tuple(part.config["expression_names"])
        if set(names) != set(EXPRESSION_NAMES):
            raise UserError(
                f"Expected an avatar that moves the {len(EXPRESSION_NAMES)} named expressions of the digital actors, "
                f"but '{avatar}' was fitted with '{part.config['morphable_model']}'."
            )
        self._columns = [names.index(name) for name in EXPRESSION_NAMES]
        emotions = tuple(part.config["emotion_names"])
        missing = sorted(set(SPACE.names) - set(emotions))
        if missing:
            raise UserError(f"Expected an avatar with the actors' emotions, but '{avatar}' lacks {', '.join(missing)}.")
        self._asked = [emotions.index(name) for name in SPACE.names]
        self._num_emotions = len(emotions)

    @property
    def fps(self) -> float:
        """Frames a second of the motion."""
        return float(self.generator.fps)

    def encode_speech(self, take: Take) -> Float[Tensor, "T D"]:
        """The take's speech features."""
        return encode_speech(self.encoder, take.waveform, take.fps, len(take.expressions), self.features)

    def requested_emotion(self, emotion: Float[Tensor, "T N"]) -> Float[Tensor, "T M"]:
        """The actors' emotions in the network's order; its other emotions are 0."""
        asked = torch.zeros(len(emotion), self._num_emotions)
        asked[:, self._asked] = emotion
        return asked

    def __call__(self, take: Take, emotion: Float[Tensor, "T N"], seed: int) -> Float[Tensor, "T E"]:
        """As ``MotionSource``."""
        motion = generate_expressions(
            self.generator, self.encode_speech(take), self.requested_emotion(emotion), seed=seed
        )
        return without_gaze(motion[:, self._columns])


def encode_speech(
    encoder: SpeechEncoder,
    waveform: Float[Tensor, " num_samples"],
    fps: float,
    num_frames: int,
    cache: dict[str, Tensor],
) -> Float[Tensor, "T D"]:
    """A waveform's speech features, computed once and kept in ``cache``."""
    key = f"{encoder.fingerprint} {fps} {num_frames} {hash(waveform.numpy().tobytes())}"
    if key not in cache:
        cache[key] = encoder.encode(waveform, fps, num_frames)
    return cache[key]


def load_encoder_of(avatar: str | Path) -> SpeechEncoder:
    """The speech encoder that an avatar's expression part was trained with.

    Raises:
        UserError: This machine has another encoder of that name.
    """
    described = Avatar(avatar).part_config("expression")["speech_encoder"]
    encoder = load_speech_encoder(described["name"], described["layers"])
    if encoder.fingerprint != described["fingerprint"]:
        raise UserError(
            f"Expected the speech encoder '{described['name']}' that '{avatar}' was trained with, but its weights or "
            "settings on this machine are others."
        )
    return encoder
