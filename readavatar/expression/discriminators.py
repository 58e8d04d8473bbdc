"""The networks that judge motion: is it true, and does it go with this sound, emotion and person?"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class _PatchDiscriminator(nn.Module):
    """Judges overlapping stretches of motion, each with the sound and emotion around it."""

    def __init__(self, num_inputs: int, width: int) -> None:
        super().__init__()
        sizes = [num_inputs, width, width, width]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv1d(before, after, 5, stride=1 + (index > 0), padding=2))
            for index, (before, after) in enumerate(itertools.pairwise(sizes))
        )
        self.verdict = spectral_norm(nn.Conv1d(width, 1, 3, padding=1))

    def forward(self, inputs: Float[Tensor, "B C T"]) -> list[Float[Tensor, "B _ _"]]:
        features = []
        for layer in self.layers:
            inputs = F.leaky_relu(layer(inputs), 0.2)
            features.append(inputs)
        return [*features, self.verdict(inputs)]


class ExpressionDiscriminator(nn.Module):
    """Patch discriminators at several rates (after MelGAN, Kumar et al. 2019, sec. 2.2), spectrally normalised."""

    def __init__(
        self,
        num_speech_features: int,
        num_emotions: int,
        num_expressions: int,
        code_width: int,
        width: int = 64,
        scales: int = 3,
    ) -> None:
        """
        Args:
            num_speech_features: D.
            num_emotions: N.
            num_expressions: E.
            code_width: Numbers in a person's code.
            width: Channels of the layers.
            scales: Discriminators, each at half the rate of the one before.
        """
        super().__init__()
        self.config = {
            "num_speech_features": num_speech_features,
            "num_emotions": num_emotions,
            "num_expressions": num_expressions,
            "code_width": code_width,
            "width": width,
            "scales": scales,
        }
        self.listen = nn.Sequential(nn.Dropout1d(0.2), nn.Conv1d(num_speech_features, width, 1))
        self.scales = nn.ModuleList(
            _PatchDiscriminator(2 * num_expressions + width + num_emotions + code_width, width) for _ in range(scales)
        )

    def forward(
        self,
        expressions: Float[Tensor, "B T E"],
        speech: Float[Tensor, "B T D"],
        emotion: Float[Tensor, "B T N"],
        code: Float[Tensor, "B I"],
    ) -> list[list[Float[Tensor, "B _ _"]]]:
        """Features and, last, verdicts (above 0: true) of each discriminator.

        Args:
            expressions: Standardised; their velocity is judged with them.
            speech: Standardised features of the same frames.
            emotion: Of the same frames.
            code: Of who moves.
        """
        velocity = F.pad(expressions.diff(dim=1), (0, 0, 1, 0))
        code = code[:, None].expand(-1, expressions.shape[1], -1)
        inputs = torch.cat([expressions, velocity, self.listen(speech.mT).mT, emotion, code], dim=-1).mT
        results = []
        for scale in self.scales:
            results.append(scale(inputs))
            inputs = F.avg_pool1d(inputs, 2, ceil_mode=True)
        return results
