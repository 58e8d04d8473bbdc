"""A U-Net that turns feature maps into pixels (Ronneberger et al. 2015)."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBlock(nn.Module):
    """Two 3×3 convolutions, each pixel normalised over its channels.

    Unlike statistics over the image, a pixel's do not change with what is cropped, nor with a blink elsewhere.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "B in_channels H W"]) -> Float[Tensor, "B out_channels H W"]:
        return _activated(self.second(_activated(self.first(x))))


def _activated(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    return F.leaky_relu(F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2), 0.2)


class UNetRenderer(nn.Module):
    """Feature maps of any size → an image's logits of the same size.

    Full resolution, half of the cost of a symmetric network, has one convolution on the way down: what it needs there
    is the sampled texture, which is detailed already.
    """

    def __init__(
        self, in_channels: int, out_channels: int = 3, width: int = 16, levels: int = 5, max_width: int = 128
    ) -> None:
        """
        Args:
            in_channels: Of the feature maps.
            out_channels: Of the image.
            width: Channels at full resolution, doubled at each level up to ``max_width``.
            levels: Resolutions, each half the one before.
            max_width: See ``width``.
        """
        super().__init__()
        widths = [min(width * 2**level, max_width) for level in range(levels)]
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.encoders = nn.ModuleList(ConvBlock(each, each) for each in widths[1:])
        self.decoders = nn.ModuleList(ConvBlock(below + each, each) for each, below in pairwise(widths))
        self.head = nn.Conv2d(width, out_channels, 3, padding=1)
        # A sixth faster than channels first, as a pixel's channels are what is normalised.
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "B in_channels H W"]) -> Float[Tensor, "B out_channels H W"]:
        """Sides that are no multiple of 2^(levels − 1) are padded with their edge, and cropped again."""
        height, width = x.shape[-2:]
        multiple = 2 ** len(self.downs)
        padding = (0, -width % multiple, 0, -height % multiple)
        x = F.pad(x, padding, mode="replicate") if any(padding) else x
        x = F.leaky_relu(self.stem(x.contiguous(memory_format=torch.channels_last)), 0.2)
        skips = []
        for down, encoder in zip(self.downs, self.encoders, strict=True):
            skips.append(x)
            x = encoder(F.leaky_relu(down(x), 0.2))
        for decoder, skip in zip(reversed(self.decoders), reversed(skips), strict=True):
            x = decoder(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        return self.head(x)[..., :height, :width]
