"""Clips of speech, emotion and motion, and the windows that the expression stage is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from readavatar.types import Tensors

_REST_SHARE = 0.05
"""Share of a clip's frames, those with the least mouth motion, that define the resting mouth."""


@dataclass(frozen=True)
class ExpressionBatch(Tensors):
    """Training windows; F = T + 2 · context."""

    speech: Float[Tensor, "B F D"]
    emotion: Float[Tensor, "B F N"]
    blinks: Float[Tensor, "B F"]
    expressions: Float[Tensor, "B T E"]
    person: Int[Tensor, " B"]


@dataclass(frozen=True)
class ExpressionClip:
    """Consecutive frames of one clip."""

    speech: Float[Tensor, "T D"]
    """May be in half precision to save memory."""
    emotion: Float[Tensor, "T N"]
    expressions: Float[Tensor, "T E"]
    is_valid: Bool[Tensor, " T"]
    """Whether the face was detected."""
    person: int = 0
    """Index of the person."""
    blinks: Float[Tensor, " T"] | None = None
    """From ``blink_pulses``."""

    def frames(self, first: int, last: int) -> ExpressionClip:
        """Frames [first, last)."""
        kept = {name: values[first:last] for name, values in vars(self).items() if isinstance(values, Tensor)}
        return replace(self, **kept)

    def window(self, first: int, length: int, context: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Speech, emotion and blinks with ``context`` frames on either side (the clip's ends are repeated),
        expressions, and the person."""
        index = torch.arange(first - context, first + length + context).clamp(0, len(self.speech) - 1)
        expressions = self.expressions[first : first + length]
        inputs = (self.speech[index].float(), self.emotion[index], self.blinks[index])
        return *inputs, expressions, torch.tensor(self.person)

    def starts(self, length: int) -> list[int]:
        """The frames at which a window may begin, with the face detected in all of its frames."""
        if len(self.is_valid) < length:
            return []
        return torch.nonzero(self.is_valid.unfold(0, length, 1).all(1))[:, 0].tolist()

    def muted(self, silence: Float[Tensor, "T D"], mouth: Sequence[int]) -> ExpressionClip:
        """A copy without sound: the mouth is at rest as between words, the rest of the face is unchanged."""
        movement = self.expressions[:, mouth].abs().sum(1)
        num_quiet = max(1, round(_REST_SHARE * len(movement)))
        rest = self.expressions[movement.topk(num_quiet, largest=False).indices].mean(0)
        expressions = self.expressions.clone()
        expressions[:, mouth] = rest[mouth]
        return replace(self, speech=silence, expressions=expressions)


class ExpressionWindows(Dataset):
    """Windows of several clips, loaded by batches."""

    def __init__(
        self, clips: Sequence[ExpressionClip], places: Sequence[tuple[int, int]], length: int, context: int
    ) -> None:
        """
        Args:
            clips: All with the same fps and expressions.
            places: (clip, first frame) of each item.
            length: T.
            context: Frames of speech and emotion on either side.
        """
        self.clips, self.places, self.length, self.context = clips, places, length, context

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, item: int) -> ExpressionBatch:
        return self.__getitems__([item])

    def __getitems__(self, items: list[int]) -> ExpressionBatch:
        """A batch, in the order of ``items``."""
        places = [self.places[item] for item in items]
        windows = [self.clips[clip].window(first, self.length, self.context) for clip, first in places]
        return ExpressionBatch(*(torch.stack(values) for values in zip(*windows, strict=True)))
