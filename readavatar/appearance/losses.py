"""What a rendered frame is blamed for. All images are gamma-encoded, as the footage is: its curve is the tone map that
makes equal differences about equally visible, in the dark of the mouth too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.errors import UserError


def weighted_sum(
    terms: Mapping[str, Callable[[], Tensor]], weights: Mapping[str, float]
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The objective, and each weighted term's value under the name of its weight.

    Only terms with a weight other than 0 are computed.

    Raises:
        UserError: A weight whose term does not exist.
    """
    wanted = {name: weight for name, weight in weights.items() if weight != 0}
    if missing := sorted(set(wanted) - set(terms)):
        raise UserError(f"Expected loss weights of {', '.join(sorted(terms))}, but got one for '{missing[0]}'.")
    values = {name: terms[name]() for name in wanted}
    total = sum((wanted[name] * value for name, value in values.items()), torch.zeros(()))
    return total, {name: value.detach() for name, value in values.items()}


def photometric_difference(
    predicted: Float[Tensor, "B 3 H W"], target: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, "B 1 H W"]:
    """Absolute difference, mean over the colours."""
    return (predicted - target).abs().mean(1, keepdim=True)


def masked_mean(values: Float[Tensor, "B c H W"], mask: Float[Tensor, "B 1 H W"]) -> Float[Tensor, ""]:
    """Mean over a mask, so that a small part counts as much as a large one; 0 where the mask is empty."""
    return (values * mask).sum() / (mask.sum() * values.shape[1]).clamp(min=1.0)


def flicker(
    predicted: Float[Tensor, "B 3 H W"], target: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, ""]:
    """How differently two neighbouring frames change in the render and in the footage.

    Frames 2i and 2i + 1 of the batch are neighbours in time. Motion that the footage has is not punished, so that
    speech is not smeared.
    """
    change = (predicted[1::2] - predicted[::2]) - (target[1::2] - target[::2])
    return masked_mean(change.abs(), torch.maximum(mask[1::2], mask[::2]))


@runtime_checkable
class FeatureLoss(Protocol):
    """A perceptual distance between images, averaged over a mask; networks with pretrained weights fit in here."""

    def __call__(
        self, predicted: Float[Tensor, "B 3 H W"], target: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
    ) -> Float[Tensor, ""]: ...


class BandFeatures(nn.Module):
    """Differences of local frequency content at several scales, without any trained weight.

    Each level of a pyramid is seen through the 15 oscillating functions of a 4 × 4 cosine transform. Their
    values are compared (edges in place), and so is their energy in a neighbourhood of 5 of their samples (texture in
    kind, as in Portilla & Simoncelli 2000): the second is blind to a shift of a pixel or two, which is what tracking
    noise does to detail, and still sees blur, which the mean that L1 settles for does not pay for otherwise.
    """

    def __init__(self, levels: int = 4) -> None:
        """
        Args:
            levels: Of the pyramid, from full resolution.
        """
        super().__init__()
        self.levels = levels
        positions = torch.arange(4) + 0.5
        basis = torch.stack([torch.cos(math.pi / 4 * positions * frequency) for frequency in range(4)])
        basis = F.normalize(basis, dim=1)
        bank = torch.einsum("ay,bx->abyx", basis, basis).flatten(0, 1)[1:]
        self.register_buffer("bank", bank[:, None], persistent=False)

    def forward(
        self, predicted: Float[Tensor, "B 3 H W"], target: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
    ) -> Float[Tensor, ""]:
        """The mean distance over the mask and the levels."""
        # Never in bfloat16, which would round the images to 8 bits before their differences are taken.
        with torch.autocast(predicted.device.type, enabled=False):
            return self._distance(torch.cat([_opponent(predicted), _opponent(target)]).float(), mask)

    def _distance(self, images: Float[Tensor, "images 3 H W"], mask: Float[Tensor, "B 1 H W"]) -> Float[Tensor, ""]:
        total = images.new_zeros(())
        for _ in range(self.levels):
            if min(images.shape[-2:]) < 12:
                break
            bands = F.conv2d(images.flatten(0, 1)[:, None], self.bank, stride=2).unflatten(0, (-1, 3))
            # √(x² + ε): a plain root has no finite gradient at 0, the flat areas' value.
            energy = (F.avg_pool2d(bands.flatten(0, 1).square(), 5, stride=4) + 1e-5).sqrt().unflatten(0, (-1, 3))
            for features in (bands, energy):
                ours, theirs = features.chunk(2)
                weight = F.adaptive_avg_pool2d(mask, features.shape[-2:])
                total = total + masked_mean((ours - theirs).abs().flatten(1, 2), weight)
            images, mask = F.avg_pool2d(images, 2), F.avg_pool2d(mask, 2)
        return total / self.levels


def _opponent(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Light, red against green, blue against yellow, scaled alike: colour edges are seen less sharply than light's."""
    red, green, blue = image.unbind(1)
    return torch.stack([(red + green + blue) / 3, (red - green) / 4, ((red + green) / 2 - blue) / 4], 1)
