"""What is being said around a frame, in a few numbers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AudioLatent(nn.Module):
    """Speech features of W video frames → one latent of size L, by temporal convolutions and attention over time."""

    def __init__(self, num_features: int, window: int, latent_size: int = 32, width: int = 64) -> None:
        """
        Args:
            num_features: D of the speech features.
            window: W, odd; the frame in question is in the middle.
            latent_size: L.
            width: Channels inside.
        """
        super().__init__()
        # Pretrained encoders' features differ in scale by orders of magnitude, within a layer and between layers.
        self.register_buffer("feature_mean", torch.zeros(num_features))
        self.register_buffer("feature_scale", torch.ones(num_features))
        self.project = nn.Linear(num_features, width)
        self.position = nn.Parameter(torch.randn(window, width) * 0.02)
        self.convolutions = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv1d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.attention = nn.Conv1d(width, 1, 1, bias=False)
        self.out = nn.Linear(2 * width, latent_size)

    @torch.no_grad()
    def standardise_by(self, features: Float[Tensor, "T D"]) -> None:
        """Take mean and spread of every feature from the training speech.

        What never varies has no say, as nothing was learned of it: all features of somebody who was filmed in silence.
        """
        std = features.std(0, correction=0)
        self.feature_mean.copy_(features.mean(0))
        self.feature_scale.copy_(torch.where(std > 1e-5, 1 / std, 0.0))

    def forward(self, speech: Float[Tensor, "B window D"]) -> Float[Tensor, "B L"]:
        """The latent, in (−1, 1)."""
        # Clamped: a rare click is no reason for a latent that was never trained.
        standard = ((speech - self.feature_mean) * self.feature_scale).clamp(-5, 5)
        features = (self.project(standard) + self.position).mT
        features = features + self.convolutions(features)
        pooled = (features * self.attention(features).softmax(-1)).sum(-1)
        middle = features[..., features.shape[-1] // 2]
        return torch.tanh(self.out(torch.cat([pooled, middle], -1)))
