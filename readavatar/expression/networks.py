"""Speech, emotion and noise → expression coefficients, and the networks that judge them.

No convolution here is padded: T + 2 · context frames in, T out. What a frame becomes depends on the frames around it
alone, not on where a window begins, so that any length in chunks equals the whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

_CONDITION_WIDTH = 64
_LEAST_STD = 1e-3
"""A feature that hardly varies in training is not to explode in use."""
_MARGIN = 0.01
"""How near to its bounds, in shares of its range, a coefficient may be on average."""


class _Block(nn.Module):
    """A dilated convolution over three frames, steered by the condition (FiLM, Perez et al. 2018)."""

    def __init__(self, width: int, condition_width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.reach = dilation
        self.norm = nn.LayerNorm(width, elementwise_affine=False)  # over the channels of one frame, so chunks agree
        self.steer = nn.Conv1d(condition_width, 2 * width, 1)
        self.over_time = nn.Conv1d(width, width, 3, dilation=dilation)
        self.over_channels = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Float[Tensor, "B C F"], condition: Float[Tensor, "B K F"]) -> Float[Tensor, "B C G"]:
        scale, shift = self.steer(condition).chunk(2, 1)
        normed = self.norm(hidden.transpose(1, 2)).transpose(1, 2)
        change = self.over_time(F.gelu(normed * (1 + scale) + shift))
        return hidden[..., self.reach : -self.reach] + self.over_channels(self.dropout(F.gelu(change)))


class ExpressionGenerator(nn.Module):
    """A temporal-convolutional residual network; emotion and noise steer every block."""

    def __init__(
        self,
        num_speech_features: int,
        num_emotions: int,
        num_expressions: int,
        fps: float,
        width: int = 96,
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 2, 4, 8),
        num_noise: int = 16,
        dropout: float = 0.2,
        speech_noise: float = 0.5,
    ) -> None:
        """
        Args:
            num_speech_features: D.
            num_emotions: N.
            num_expressions: E.
            fps: Of the motion it was trained on; says how fast the noise changes.
            width: Channels of the blocks.
            dilations: One block each.
            num_noise: Channels of noise.
            dropout: Of the blocks, and twice that of the speech features.
            speech_noise: Standard deviation of what is added to the standardised speech features in training.
        """
        super().__init__()
        self.config = {
            "num_speech_features": num_speech_features,
            "num_emotions": num_emotions,
            "num_expressions": num_expressions,
            "fps": fps,
            "width": width,
            "dilations": list(dilations),
            "num_noise": num_noise,
            "dropout": dropout,
            "speech_noise": speech_noise,
        }
        self.fps, self.num_noise, self.speech_noise = fps, num_noise, speech_noise
        self.context = sum(dilations)
        """Frames that the network looks at before and after the one it gives."""
        self.register_buffer("speech_mean", torch.zeros(num_speech_features))
        self.register_buffer("speech_std", torch.ones(num_speech_features))
        self.register_buffer("expression_mean", torch.full((num_expressions,), 0.5))
        self.register_buffer("expression_std", torch.full((num_expressions,), 0.1))
        self.register_buffer("expression_bounds", torch.tensor([0.0, 1.0]).repeat(num_expressions, 1))
        self.speech_dropout = nn.Dropout1d(2 * dropout)  # whole features, so that it leans on no single one
        self.listen = nn.Conv1d(num_speech_features, width, 1)
        self.condition = nn.Sequential(
            nn.Conv1d(num_emotions + num_noise, _CONDITION_WIDTH, 1),
            nn.GELU(),
            nn.Conv1d(_CONDITION_WIDTH, _CONDITION_WIDTH, 1),
        )
        self.feel = nn.Conv1d(_CONDITION_WIDTH, width, 1)
        self.blocks = nn.ModuleList(_Block(width, _CONDITION_WIDTH, dilation, dropout) for dilation in dilations)
        self.move = nn.Conv1d(width, num_expressions, 1)

    def standardise_by(
        self,
        speech: Float[Tensor, "F D"],
        expressions: Float[Tensor, "G E"],
        bounds: Float[Tensor, "E 2"],
    ) -> None:
        """Take the statistics of the training data, and the coefficients' least and greatest values."""
        self.speech_mean.copy_(speech.mean(0))
        self.speech_std.copy_(speech.std(0).clamp(min=_LEAST_STD))
        self.expression_mean.copy_(expressions.mean(0))
        self.expression_std.copy_(expressions.std(0).clamp(min=_LEAST_STD))
        self.expression_bounds.copy_(bounds)

    def standard_speech(self, speech: Float[Tensor, "B F D"]) -> Float[Tensor, "B F D"]:
        """Speech features of mean 0 and variance 1 over the training data."""
        return (speech - self.speech_mean) / self.speech_std

    def standard_expressions(self, expressions: Float[Tensor, "B T E"]) -> Float[Tensor, "B T E"]:
        """Coefficients of mean 0 and variance 1 over the training data."""
        return (expressions - self.expression_mean) / self.expression_std

    def forward(
        self, speech: Float[Tensor, "B F D"], emotion: Float[Tensor, "B F N"], noise: Float[Tensor, "B F K"]
    ) -> Float[Tensor, "B T E"]:
        """F = T + 2 · context frames of features, emotion and noise → T frames of coefficients within their bounds."""
        condition = self.condition(torch.cat([emotion, noise], dim=-1).mT)
        heard = self.standard_speech(speech)
        if self.training:  # with dropout, what keeps minutes of speech from being learned by heart
            heard = heard + self.speech_noise * torch.randn_like(heard)
        hidden = self.listen(self.speech_dropout(heard.mT)) + self.feel(condition)
        for block in self.blocks:
            hidden = block(hidden, condition)
            condition = condition[..., block.reach : -block.reach]
        return self._within_bounds(self.move(F.gelu(hidden)).mT)

    def _within_bounds(self, standard: Float[Tensor, "B T E"]) -> Float[Tensor, "B T E"]:
        """A sigmoid between the bounds that is, around the mean, the inverse of ``standard_expressions``."""
        low, high = self.expression_bounds.unbind(-1)
        mean = ((self.expression_mean - low) / (high - low)).clamp(_MARGIN, 1 - _MARGIN)
        slope = self.expression_std / (high - low) / (mean * (1 - mean))
        return low + (high - low) * torch.sigmoid(mean.logit() + slope * standard)


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
        self, num_speech_features: int, num_emotions: int, num_expressions: int, width: int = 64, scales: int = 3
    ) -> None:
        """
        Args:
            num_speech_features: D.
            num_emotions: N.
            num_expressions: E.
            width: Channels of the layers.
            scales: Discriminators, each at half the rate of the one before.
        """
        super().__init__()
        self.listen = nn.Sequential(nn.Dropout1d(0.2), nn.Conv1d(num_speech_features, width, 1))
        self.scales = nn.ModuleList(
            _PatchDiscriminator(2 * num_expressions + width + num_emotions, width) for _ in range(scales)
        )

    def forward(
        self,
        expressions: Float[Tensor, "B T E"],
        speech: Float[Tensor, "B T D"],
        emotion: Float[Tensor, "B T N"],
    ) -> list[list[Float[Tensor, "B _ _"]]]:
        """Features and, last, verdicts (above 0: true) of each discriminator.

        Args:
            expressions: Standardised; their velocity is judged with them.
            speech: Standardised features of the same frames.
            emotion: Of the same frames.
        """
        velocity = F.pad(expressions.diff(dim=1), (0, 0, 1, 0))
        inputs = torch.cat([expressions, velocity, self.listen(speech.mT).mT, emotion], dim=-1).mT
        results = []
        for scale in self.scales:
            results.append(scale(inputs))
            inputs = F.avg_pool1d(inputs, 2, ceil_mode=True)
        return results
