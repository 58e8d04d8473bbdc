"""The generator (speech, emotion, noise and a person's code → expression coefficients) and its discriminators.

The generator has no padding: T + 2 · context frames in, T out. A frame only depends on the frames around it, so that
the result in chunks equals the whole. The discriminators rate whether motion is real and fits the sound, emotion and
person.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from readavatar.expression.settings import Kind

_CONDITION_WIDTH = 64
_NUM_HEADS = 4
_CODE_STD = 0.5
"""Standard deviation of the people's codes before training."""
_RARE = 4.0
"""Scale of emotions and blinks, which are mostly 0, to about unit variance."""
_LEAST_STD = 1e-3
"""Least standard deviation of a feature, for the division."""
_LEAK = 0.1
"""Slope outside a coefficient's bounds, in training."""


class _Steered(nn.Module):
    """Layer norm of each frame, scaled and shifted by the condition (FiLM, Perez et al. 2018)."""

    def __init__(self, width: int, condition_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)  # over the channels of one frame, so chunks agree
        self.steer = nn.Linear(condition_width, 2 * width)

    def forward(self, hidden: Float[Tensor, "B F C"], condition: Float[Tensor, "B F K"]) -> Float[Tensor, "B F C"]:
        scale, shift = self.steer(condition).chunk(2, -1)
        return self.norm(hidden) * (1 + scale) + shift


class _ConvolutionBlock(nn.Module):
    """A dilated convolution over three frames."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.reach = dilation
        self.steered = _Steered(width, _CONDITION_WIDTH)
        self.over_time = nn.Conv1d(width, width, 3, dilation=dilation)
        self.over_channels = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Float[Tensor, "B F C"], condition: Float[Tensor, "B F K"]) -> Float[Tensor, "B G C"]:
        change = self.over_time(F.silu(self.steered(hidden, condition)).mT).mT
        return hidden[:, self.reach : -self.reach] + self.over_channels(self.dropout(F.silu(change)))


class _TransformerBlock(nn.Module):
    """Attention of each frame to the ``reach`` frames on either side, then a feed-forward layer of twice the width."""

    def __init__(self, width: int, reach: int, dropout: float) -> None:
        super().__init__()
        self.reach = reach
        self.steered_attention, self.steered_feed = (_Steered(width, _CONDITION_WIDTH) for _ in range(2))
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.bias = nn.Parameter(torch.zeros(_NUM_HEADS, 2 * reach + 1))
        """Of each relative position."""
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Float[Tensor, "B F C"], condition: Float[Tensor, "B F K"]) -> Float[Tensor, "B G C"]:
        inside = slice(self.reach, -self.reach)
        normed = self.steered_attention(hidden, condition)
        query = self.query(normed[:, inside]).unflatten(-1, (_NUM_HEADS, -1))
        near = self.key_value(normed).unfold(1, 2 * self.reach + 1, 1)  # (B, G, 2C, W)
        key, value = near.unflatten(2, (2 * _NUM_HEADS, -1)).chunk(2, 2)
        scores = torch.einsum("bghc,bghcw->bghw", query, key) * query.shape[-1] ** -0.5 + self.bias
        mixed = torch.einsum("bghw,bghcw->bghc", self.dropout(scores.softmax(-1)), value).flatten(2)
        hidden = hidden[:, inside] + self.out(mixed)
        return hidden + self.feed(self.dropout(self.steered_feed(hidden, condition[:, inside])))


_BLOCKS = {"convolution": _ConvolutionBlock, "transformer": _TransformerBlock}


class ExpressionGenerator(nn.Module):
    """A residual network over time; emotion, noise and the person's code modulate every block."""

    def __init__(
        self,
        num_speech_features: int,
        num_emotions: int,
        num_expressions: int,
        fps: float,
        kind: Kind,
        width: int,
        reaches: Sequence[int],
        num_noise: int,
        num_people: int,
        code_width: int,
        dropout: float,
        speech_noise: float,
    ) -> None:
        """All sizes are required; ``NetworkSettings`` has their defaults.

        Args:
            num_speech_features: D.
            num_emotions: N.
            num_expressions: E.
            fps: Of the features and the motion; it determines how fast the noise changes.
            kind: Of the blocks.
            width: Channels of the blocks.
            reaches: One block each: the dilation of its convolution over three frames, or how many frames to either
                side its attention spans.
            num_noise: Channels of noise.
            num_people: P; each has a style code.
            code_width: Numbers in a code.
            dropout: Of the blocks, and twice that of the speech features.
            speech_noise: Standard deviation of noise added to the standardised speech features in training.
        """
        super().__init__()
        self.config = {
            "num_speech_features": num_speech_features,
            "num_emotions": num_emotions,
            "num_expressions": num_expressions,
            "fps": fps,
            "kind": kind,
            "width": width,
            "reaches": list(reaches),
            "num_noise": num_noise,
            "num_people": num_people,
            "code_width": code_width,
            "dropout": dropout,
            "speech_noise": speech_noise,
        }
        self.fps, self.num_noise, self.speech_noise = fps, num_noise, speech_noise
        self.context = sum(reaches)
        """Frames before and after an output frame that it depends on."""
        self.register_buffer("speech_mean", torch.zeros(num_speech_features))
        self.register_buffer("speech_std", torch.ones(num_speech_features))
        self.register_buffer("expression_mean", torch.full((num_expressions,), 0.5))
        self.register_buffer("expression_std", torch.full((num_expressions,), 0.1))
        self.register_buffer("expression_bounds", torch.tensor([0.0, 1.0]).repeat(num_expressions, 1))
        self.register_buffer("blink_rates", torch.zeros(num_people))
        """Hz, of each person."""
        self.codes = nn.Parameter(_CODE_STD * torch.randn(num_people, code_width))
        self.speech_dropout = nn.Dropout1d(2 * dropout)  # drops whole features
        self.speech_projection = nn.Linear(num_speech_features, width)
        self.condition = nn.Sequential(
            nn.Linear(num_emotions + code_width + 1 + num_noise, _CONDITION_WIDTH),
            nn.SiLU(),
            nn.Linear(_CONDITION_WIDTH, _CONDITION_WIDTH),
        )
        self.condition_projection = nn.Linear(_CONDITION_WIDTH, width)
        self.blocks = nn.ModuleList(_BLOCKS[kind](width, reach, dropout) for reach in reaches)
        self.head = nn.Linear(width, num_expressions)

    def standardise_by(
        self,
        speech: Float[Tensor, "F D"],
        expressions: Float[Tensor, "G E"],
        bounds: Float[Tensor, "E 2"],
    ) -> None:
        """Set the statistics of the training data, and the coefficients' bounds."""
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

    def inside(self, values: Float[Tensor, "B F C"], motion: Float[Tensor, "B T E"]) -> Float[Tensor, "B T C"]:
        """The values of a motion's T frames, among the network's F input frames."""
        return values[:, self.context : self.context + motion.shape[1]]

    def forward(
        self,
        speech: Float[Tensor, "B F D"],
        emotion: Float[Tensor, "B F N"],
        blinks: Float[Tensor, "B F"],
        noise: Float[Tensor, "S B F K"],
        person: Int[Tensor, " B"],
    ) -> Float[Tensor, "S B T E"]:
        """F = T + 2 · context frames of features, emotion and blinks, and S noises → S motions of T frames."""
        num_samples = len(noise)
        code = self.codes[person][:, None].expand(-1, emotion.shape[1], -1)
        known = torch.cat([_RARE * emotion, code, _RARE * blinks[..., None]], dim=-1)[None].expand(
            num_samples, -1, -1, -1
        )
        condition = self.condition(torch.cat([known, noise], dim=-1)).flatten(0, 1)
        standard = self.standard_speech(speech)
        if self.training:  # with dropout, against overfitting to minutes of speech
            standard = torch.addcmul(standard, torch.randn_like(standard), standard.new_tensor(self.speech_noise))
        hidden = self.speech_projection(self.speech_dropout(standard.mT).mT).repeat(
            num_samples, 1, 1
        ) + self.condition_projection(condition)
        for block in self.blocks:
            hidden = block(hidden, condition)
            condition = condition[:, block.reach : -block.reach]
        return self._within_bounds(self.head(F.silu(hidden))).unflatten(0, (num_samples, -1))

    def _within_bounds(self, standard: Float[Tensor, "B T E"]) -> Float[Tensor, "B T E"]:
        """The inverse of ``standard_expressions``, clamped; in training, with a small slope outside the bounds.

        Most coefficients are often exactly at a bound (an open lid is a blink of 0). A sigmoid would saturate there,
        and its gradient would vanish.
        """
        free = self.expression_mean + self.expression_std * standard
        low, high = self.expression_bounds.unbind(-1)
        bounded = free.clamp(low, high)
        return bounded + _LEAK * (free - bounded) if self.training else bounded


class _PatchDiscriminator(nn.Module):
    """Rates overlapping stretches of motion, each with its sound and emotion."""

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
        width: int,
        scales: int,
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
        self.speech_projection = nn.Sequential(nn.Dropout1d(0.2), nn.Conv1d(num_speech_features, width, 1))
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
        """The features and, last, the logits (above 0: real) of each discriminator.

        Args:
            expressions: Standardised; their velocity is also an input.
            speech: Standardised features of the same frames.
            emotion: Of the same frames.
            code: The person's style code.
        """
        velocity = F.pad(expressions.diff(dim=1), (0, 0, 1, 0))
        code = code[:, None].expand(-1, expressions.shape[1], -1)
        inputs = torch.cat([expressions, velocity, self.speech_projection(speech.mT).mT, emotion, code], dim=-1).mT
        results = []
        for scale in self.scales:
            results.append(scale(inputs))
            inputs = F.avg_pool1d(inputs, 2, ceil_mode=True)
        return results
