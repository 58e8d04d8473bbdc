"""ResNet-18 (He et al. 2016), with the parameter names that published checkpoints have."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut (He et al., fig. 5, left)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            convolution = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(channels))

    def forward(self, x: Float[Tensor, "B in_channels H W"]) -> Float[Tensor, "B channels h w"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        hidden = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(hidden)) + shortcut)


class ResNet18(nn.Module):
    """Image → ``num_outputs`` numbers: four stages of two blocks each, mean over space, one linear layer."""

    def __init__(self, num_outputs: int, width: int = 64) -> None:
        """
        Args:
            num_outputs: Of the last layer.
            width: Channels of the first stage; each further one has twice as many.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = (width, width, 2 * width, 4 * width, 8 * width)
        for stage, (before, after) in enumerate(pairwise(widths), start=1):
            blocks = ResidualBlock(before, after, 1 if stage == 1 else 2), ResidualBlock(after, after, 1)
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(widths[-1], num_outputs)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B num_outputs"]:
        """``images`` are standardised as in training."""
        hidden = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = stage(hidden)
        return self.fc(hidden.mean((2, 3)))
