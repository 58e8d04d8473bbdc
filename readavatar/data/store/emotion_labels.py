"""What clips are labelled with → the emotion of every frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.store.clip_store import ClipStore
from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace
from readavatar.errors import UserError

EmotionCoding = Literal["continuous", "one_hot", "none"]


def label_names(stores: Sequence[ClipStore]) -> tuple[str, ...]:
    """The names that the clips are labelled in, each once; MEAD's where there are none."""
    names: dict[str, None] = {}
    for store in stores:
        if track := store.emotion():
            names |= dict.fromkeys(track.space.names)
    return tuple(names) or MEAD_EMOTIONS


def read_emotion(
    store: ClipStore, space: EmotionSpace, num_frames: int, fps: float, coding: EmotionCoding = "continuous"
) -> Float[Tensor, "T N"]:
    """The labels of a clip's frames; neutral where it has none.

    Args:
        store: The clip.
        space: N names.
        num_frames: T.
        fps: Frames a second.
        coding: Of ``coded``.

    Raises:
        UserError: The clip shows an emotion that the space does not have.
    """
    track = store.emotion()
    emotion = torch.zeros(num_frames, space.num_emotions)
    if track is None or coding == "none":
        return emotion
    labels = track.sample_frames(num_frames, fps)
    for name, strength in zip(track.space.names, labels.T, strict=True):
        if name in space.names:
            emotion[:, space.names.index(name)] = strength
        elif bool(strength.any()):
            raise UserError(
                f"Expected labels of {', '.join(space.names)} in '{store.path}', but it shows '{name}'; add it to "
                "data.emotion_names or leave the clip out."
            )
    return coded(emotion, coding)


def coded(emotion: Float[Tensor, "T N"], coding: EmotionCoding) -> Float[Tensor, "T N"]:
    """What a coding leaves of the labels: all, the strongest's name (at full strength), or nothing."""
    if coding == "none":
        return torch.zeros_like(emotion)
    if coding == "one_hot":
        strongest = emotion.argmax(1, keepdim=True)
        shown = (emotion.gather(1, strongest) > 0).float()
        return torch.zeros_like(emotion).scatter_(1, strongest, shown)
    return emotion
