"""The judge that makes rendered skin, teeth and hair look filmed: patches at several scales."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

Features = list[list[Tensor]]
"""By scale, the layers' activations; the last one holds the verdicts, a logit a patch."""


class PatchDiscriminator(nn.Module):
    """Convolutions whose verdict on each patch is a logit (Isola et al. 2017), on the image at several scales."""

    def __init__(self, width: int = 32, scales: int = 2, layers: int = 3) -> None:
        """
        Args:
            width: Channels of the first layer, doubled by each.
            scales: The image, and halvings of it.
            layers: Convolutions of stride 2.
        """
        super().__init__()
        self.judges = nn.ModuleList(_judge(width, layers) for _ in range(scales))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Features:
        """The features of every scale."""
        features = []
        for scale, judge in enumerate(self.judges):
            x = 2 * (F.avg_pool2d(image, 2**scale) if scale else image) - 1
            layers = []
            for layer in judge:
                x = layer(x)
                layers.append(x)
            features.append(layers)
        return features


def discriminator_loss(real: Features, rendered: Features) -> Float[Tensor, ""]:
    """Hinge loss, mean over scales (Lim & Ye 2017)."""
    losses = [
        F.relu(1 - ours[-1]).mean() + F.relu(1 + theirs[-1]).mean() for ours, theirs in zip(real, rendered, strict=True)
    ]
    return torch.stack(losses).mean()


def adversarial_loss(rendered: Features) -> Float[Tensor, ""]:
    """What the renderer pays for verdicts below "real"."""
    return torch.stack([-layers[-1].mean() for layers in rendered]).mean()


def matching_loss(rendered: Features, real: Features, is_filmed: Bool[Tensor, " B"]) -> Float[Tensor, ""]:
    """L1 between the judges' features of the render and of the footage (Wang et al. 2018, eq. 2).

    Args:
        rendered: Of B images.
        real: Of the frames that they are likenesses of.
        is_filmed: Whether the frame shows what was rendered; the others are left out.
    """
    if not is_filmed.any():
        return rendered[0][0].new_zeros(())
    pairs = [
        (ours[is_filmed], theirs[is_filmed].detach())
        for ours_by_layer, theirs_by_layer in zip(rendered, real, strict=True)
        for ours, theirs in zip(ours_by_layer[:-1], theirs_by_layer[:-1], strict=True)
    ]
    return torch.stack([(ours - theirs).abs().mean() for ours, theirs in pairs]).mean()


def gradient_penalty(discriminator: PatchDiscriminator, real: Float[Tensor, "B 3 H W"]) -> Float[Tensor, ""]:
    """R1: the squared gradient of the verdicts at real images (Mescheder et al. 2018, eq. 9)."""
    real = real.detach().requires_grad_(True)
    verdict = sum(layers[-1].mean((1, 2, 3)).sum() for layers in discriminator(real))
    (gradient,) = torch.autograd.grad(verdict, real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2


def _judge(width: int, layers: int) -> nn.ModuleList:
    widths = [3] + [width * 2**layer for layer in range(layers)]
    convolutions = [
        nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        for before, after in pairwise(widths)
    ]
    return nn.ModuleList([*convolutions, nn.Conv2d(widths[-1], 1, 3, padding=1)])
