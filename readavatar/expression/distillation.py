"""What the prior knows of emotions that a person was not filmed in, kept while that person is learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.data.datasets.expression_windows import ExpressionBatch
from readavatar.expression.inference import slow_noise
from readavatar.expression.networks import ExpressionGenerator

_WINDOWS = 4
"""Of a batch: each is generated with and without an emotion, by both networks."""


class EmotionDistillation(nn.Module):
    """Asks that an emotion change the face as it does in the prior (distillation, Hinton et al. 2015; learning without
    forgetting, Li & Hoiem 2016), for the emotions of which the clips show nothing."""

    def __init__(self, prior: ExpressionGenerator, emotions: Sequence[int]) -> None:
        """
        Args:
            prior: Its generator for one person; stays as it is.
            emotions: Indices of those to keep.
        """
        super().__init__()
        self.prior = prior.eval().requires_grad_(False)
        self.emotions = list(emotions)

    def train(self, mode: bool = True) -> EmotionDistillation:
        """The prior never trains."""
        return super().train(False)

    def forward(
        self,
        generator: ExpressionGenerator,
        batch: ExpressionBatch,
        distance: Callable[[Tensor, Tensor], Tensor],
    ) -> Float[Tensor, ""]:
        """Mean distance between the two networks' effects of an emotion drawn at random, in sound of the batch."""
        speech, blinks, person = (each[:_WINDOWS] for each in (batch.speech, batch.blinks, batch.person))
        size, num_frames, _ = speech.shape
        noise = slow_noise(size, num_frames, generator.num_noise, generator.fps).to(speech)[None]
        chosen = torch.tensor(self.emotions, device=speech.device)[torch.randint(len(self.emotions), (size,))]
        strength = torch.rand(size, 1, device=speech.device)
        asked = torch.zeros(size, batch.emotion.shape[2], device=speech.device).scatter(1, chosen[:, None], strength)
        asked = asked[:, None].expand(-1, num_frames, -1)
        without = torch.zeros_like(asked)
        was_training = generator.training
        generator.eval()  # dropout would differ between the two and pass for an effect of the emotion
        ours = generator(speech, asked, blinks, noise, person) - generator(speech, without, blinks, noise, person)
        generator.train(was_training)
        with torch.no_grad():
            nobody = torch.zeros_like(person)
            theirs = self.prior(speech, asked, blinks, noise, nobody) - self.prior(
                speech, without, blinks, noise, nobody
            )
        return distance(ours, theirs).mean()
