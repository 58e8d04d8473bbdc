"""Where the motion comes from that the expression scorecard measures: the actor's own truth, or a trained network."""

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

Motion = Callable[[Take, Float[Tensor, "T N"], int], Float[Tensor, "T E"]]
"""(a take, whose sound is heard; the emotion asked for, which may be another than the take's; a seed) → coefficients of
``EXPRESSION_NAMES`` without the gaze's."""

SPACE = EmotionSpace()
"""What the digital actors play; N."""
_IS_FACE = torch.tensor([not name.startswith("eyeLook") for name in EXPRESSION_NAMES])


def without_gaze(expressions: Float[Tensor, "T E"]) -> Float[Tensor, "T E"]:
    """Lids that follow the eyes are put back: an avatar's gaze is its footage's, and no network's to answer for."""
    return expressions * _IS_FACE


def true_motion(character: Character) -> Motion:
    """The actor says the same once more, in the emotion asked for: what a perfect network would give.

    Another seed blinks and beats the brows elsewhere, so that this is not the take again but another that is as true.
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
"""Added to a seed: performances that are none of a character's takes, of which each has its number."""


class TrainedMotion:
    """An avatar's expression network; what its encoder hears in a take is kept, since takes are used often."""

    def __init__(self, avatar: str | Path, heard: dict[str, Tensor] | None = None) -> None:
        """
        Args:
            avatar: The avatar's folder.
            heard: Features that another motion has computed; filled.

        Raises:
            UserError: No trained expression part, or one that knows other expressions or emotions than the actors'.
        """
        self.path = Path(avatar)
        part = Avatar(avatar).part("expression")
        self.generator = load_network(ExpressionGenerator(**part.config["network"]), part)
        if not Avatar(avatar).card.footage:  # a prior of many, in whose manner together it meets a new person
            for each in (self.generator.codes, self.generator.blink_rates):
                each.copy_(each.mean(0, keepdim=True).expand_as(each))
        self.encoder = load_encoder_of(avatar)
        self.heard = {} if heard is None else heard
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
        return encode_speech(self.encoder, take.waveform, take.fps, len(take.expressions), self.heard)

    def asked(self, emotion: Float[Tensor, "T N"]) -> Float[Tensor, "T M"]:
        """An emotion of the actors' in the network's own order; what else it knows is not asked for."""
        asked = torch.zeros(len(emotion), self._num_emotions)
        asked[:, self._asked] = emotion
        return asked

    def __call__(self, take: Take, emotion: Float[Tensor, "T N"], seed: int) -> Float[Tensor, "T E"]:
        """As ``Motion``."""
        motion = generate_expressions(self.generator, self.encode_speech(take), self.asked(emotion), seed=seed)
        return without_gaze(motion[:, self._columns])


def encode_speech(
    encoder: SpeechEncoder,
    waveform: Float[Tensor, " num_samples"],
    fps: float,
    num_frames: int,
    heard: dict[str, Tensor],
) -> Float[Tensor, "T D"]:
    """A sound's speech features, computed once and kept in ``heard``."""
    key = f"{encoder.fingerprint} {fps} {num_frames} {hash(waveform.numpy().tobytes())}"
    if key not in heard:
        heard[key] = encoder.encode(waveform, fps, num_frames)
    return heard[key]


def load_encoder_of(avatar: str | Path) -> SpeechEncoder:
    """The speech encoder that an avatar's expression part was trained with.

    Raises:
        UserError: It is another one on this machine.
    """
    described = Avatar(avatar).part_config("expression")["speech_encoder"]
    encoder = load_speech_encoder(described["name"], described["layers"])
    if encoder.fingerprint != described["fingerprint"]:
        raise UserError(
            f"Expected the speech encoder '{described['name']}' that '{avatar}' was trained with, but its weights or "
            "settings on this machine are others."
        )
    return encoder
