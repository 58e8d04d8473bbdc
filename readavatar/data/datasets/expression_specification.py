"""What the expression stage has to know of its clips before it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.datasets.blinks import pulse_frames
from readavatar.data.datasets.expression_windows import ExpressionClip

_SHOWN = 0.2
"""Strength from which an emotion counts as shown."""


@dataclass(frozen=True)
class ExpressionSpecification:
    """What a network for some clips has to be built for, and the frames that its statistics are taken from."""

    speech_encoder: dict
    """Of ``describe_encoder``."""
    morphable_model: str
    """What ``load_morphable_model`` takes."""
    expression_names: tuple[str, ...]
    emotion_names: tuple[str, ...]
    people: tuple[str, ...]
    """Who moves, in the order of their codes."""
    fps: float
    num_speech_features: int
    """D."""
    clips: tuple[ExpressionClip, ...]
    """All that is trained on."""
    spoken: tuple[ExpressionClip, ...]
    """Of these, the ones with their own sound."""

    def description(self) -> dict:
        """JSON values that say what the trained network has to be given."""
        return {
            "speech_encoder": self.speech_encoder,
            "morphable_model": self.morphable_model,
            "expression_names": list(self.expression_names),
            "emotion_names": list(self.emotion_names),
            "people": list(self.people),
            "fps": self.fps,
        }

    def training_speech(self) -> Float[Tensor, "T D"]:
        """The features of every frame that is trained on."""
        return torch.cat([clip.speech for clip in self.clips]).float()

    def training_expressions(self) -> Float[Tensor, "T E"]:
        """The coefficients of every frame that is trained on and in which the face was seen."""
        return torch.cat([clip.expressions[clip.is_valid] for clip in self.clips])

    def blink_rates(self) -> Float[Tensor, " P"]:
        """Blinks a second of each person."""
        rates = []
        for person in range(len(self.people)):
            own = [clip for clip in self.clips if clip.person == person]
            # A pulse's area is known, and a clip's copies count as the clip does.
            blinks = sum(float(clip.blinks.sum()) for clip in own) / pulse_frames(self.fps)
            rates.append(blinks / max(1, sum(len(clip.blinks) for clip in own)) * self.fps)
        return torch.tensor(rates)

    def unseen_emotions(self) -> list[int]:
        """Which emotions the clips do not show."""
        strongest = torch.cat([clip.emotion for clip in self.clips]).amax(0)
        return torch.nonzero(strongest < _SHOWN)[:, 0].tolist()
