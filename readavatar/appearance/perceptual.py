"""A feature loss on a trained network, and the choice among feature losses.

The network is LPIPS on VGG16 (``readavatar.metrics.lpips``). The benchmarks report LPIPS on AlexNet, which is not used
in training.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.appearance.losses import BandFeatures, FeatureLoss, masked_mean
from readavatar.assets import find_asset
from readavatar.errors import UserError
from readavatar.metrics.lpips import ARCHITECTURES, Backbone, read_lpips_weights

FEATURE_LOSSES = ("auto", "bands", "vgg")
DEFAULT_CROP = 96
"""Side of the square, pixels. A feature of relu3_3 depends on 40, so that those in the middle do not see the border."""
VGG_SCALE = 0.3
"""Factor on ``vgg``, so that both losses can have the same weight. Of 0.1, 0.3 and 1 together with L1, it gave the
least LPIPS (Alex) on faces with jitter of up to 1.5 pixels: 0.0085; bands gave 0.0105, L1 alone 0.0121."""
_EPS = 1e-8
"""Added to the squared length of a feature, since the gradient of the length is infinite at 0."""


class VggFeatures(nn.Module):
    """LPIPS's weighted squared difference of VGG16's unit features (Zhang et al. 2018, eq. 1), over a mask.

    Johnson et al. 2016 compare the features directly. Here they are normalised, since their length mostly depends on
    contrast, and channels have LPIPS' weights, which were fitted to human judgements.

    By default, only features up to relu3_3 are used (deeper ones describe the content, which L1 already determines),
    and only in a random square of each image; otherwise this loss would take most of a step's time on a CPU. Under
    autocast, all layers but the first are in half precision, while images, lengths and differences are not.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        num_features: int = 3,
        crop: int | None = DEFAULT_CROP,
        scale: int | float = 1.0,
    ) -> None:
        """
        Args:
            weights: As from ``read_lpips_weights("vgg")``; they are not trained and not saved in checkpoints.
            num_features: How many of relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 are compared.
            crop: Side of the square, pixels; None takes whole images.
            scale: Factor on the result.
        """
        super().__init__()
        self.crop, self.scale = crop, scale
        self.backbone = Backbone(ARCHITECTURES["vgg"], weights, num_features)
        self.linear = [f"linear{index}" for index in range(num_features)]
        for name in self.linear:
            self.register_buffer(name, weights[name], persistent=False)

    def forward(
        self,
        predicted: Float[Tensor, "B 3 H W"],
        target: Float[Tensor, "B 3 H W"],
        mask: Float[Tensor, "B 1 H W"],
        focus: Float[Tensor, "B 1 H W"] | None = None,
    ) -> Float[Tensor, ""]:
        """The distance, mean over the mask and summed over the layers, times the scale.

        Args:
            predicted: In [0, 1].
            target: In [0, 1]; gets no gradient.
            mask: Weight of each pixel, in [0, 1].
            focus: Relative probability of each pixel as the square's centre, ≥ 0, such as the mouth's mask; None: the
                mask.
        """
        if self.crop is not None:
            squares = random_squares(mask if focus is None else focus, self.crop)
            predicted, target, mask = (_cut(images, squares) for images in (predicted, target, mask))
        with torch.no_grad():
            targets = self.backbone(target)
        total = predicted.new_zeros((), dtype=torch.float32)
        pairs = zip(self.backbone(predicted), targets, strict=True)
        with torch.autocast(predicted.device.type, enabled=False):
            for name, (ours, theirs) in zip(self.linear, pairs, strict=True):
                squared = (_unit(ours.float()) - _unit(theirs.float())).square()
                distance = torch.einsum("bchw,c->bhw", squared, self.get_buffer(name))[:, None]
                total = total + masked_mean(distance, F.adaptive_avg_pool2d(mask.float(), distance.shape[-2:]))
        return self.scale * total


def random_squares(weights: Float[Tensor, "B 1 H W"], side: int) -> list[tuple[slice, slice]]:
    """Rows and columns of one square for each image, centred on a pixel drawn in proportion to its weight.

    Squares that would extend outside the image are moved into it; one larger than the image is clipped.
    """
    height, width = weights.shape[-2:]
    flat = weights.flatten(1).float()
    # Without any weight (a part may be hidden in a frame), all pixels are equally likely.
    centres = torch.multinomial(torch.where(flat.sum(1, keepdim=True) > 0, flat, 1.0), 1)[:, 0].tolist()
    return [(_span(centre // width, side, height), _span(centre % width, side, width)) for centre in centres]


def load_feature_loss(name: str, crop: int | None = DEFAULT_CROP) -> FeatureLoss:
    """A feature loss by name.

    Args:
        name: ``vgg`` (``VggFeatures``), ``bands`` (``BandFeatures``, which needs no file), or ``auto``: ``vgg`` if
            its file is on this machine, else ``bands``; nothing is downloaded.
        crop: For ``VggFeatures``, pixels.

    Raises:
        UserError: The name is unknown, or the weights of ``vgg`` are missing.
    """
    if name not in FEATURE_LOSSES:
        raise UserError(f"Expected a feature loss of {', '.join(FEATURE_LOSSES)}, but got '{name}'.")
    asset = ARCHITECTURES["vgg"].asset
    if name == "auto" and find_asset(asset) is None:
        warnings.warn(
            "The feature loss is 'bands', since VGG16's weights are not on this machine ('readavatar assets get "
            f"{asset}' gives sharper detail).",
            stacklevel=2,
        )
        return BandFeatures()
    return BandFeatures() if name == "bands" else VggFeatures(read_lpips_weights("vgg"), crop=crop, scale=VGG_SCALE)


def _span(centre: int, side: int, length: int) -> slice:
    start = max(0, min(centre - side // 2, length - side))
    return slice(start, start + min(side, length))


def _cut(images: Float[Tensor, "B c H W"], squares: list[tuple[slice, slice]]) -> Float[Tensor, "B c h w"]:
    return torch.stack([image[:, rows, columns] for image, (rows, columns) in zip(images, squares, strict=True)])


def _unit(features: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h w"]:
    return features / (features.square().sum(1, keepdim=True) + _EPS).sqrt()
