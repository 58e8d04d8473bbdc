"""ResNet-18 (He et al. 2016), with the parameter names that published checkpoints have.

Gaze experts: frozen networks that say where a pictured face looks, through which a loss can reach the pixels.

The expert's frame is that of its normalised camera, which looks straight at the face with the eyes level: (yaw, pitch)
in radians, yaw to the subject's left, pitch up, both 0 where the face looks into the camera. It is not the head frame
of ``FaceCoefficients.gaze``: a head that turns with its eyes fixed in it turns this gaze too. Between two pictures of
one frame the head is the same, so that their difference is one of the eyes.
"""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.assets import find_asset
from readavatar.errors import UserError
from readavatar.gaze.placement import FacePlacement, face_crops


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


EXPERT_NAMES = ("eth_xgaze",)
XGAZE_ASSET = "eth_xgaze_resnet18"
_CROP_SIZE = 224
"""Pixels of ETH-XGaze's normalised face."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's RGB, by which the checkpoint's training images were standardised."""


@runtime_checkable
class GazeExpert(Protocol):
    """Pictures of faces → where they look; differentiable in the pictures, and never trained here."""

    def __call__(self, images: Float[Tensor, "B 3 H W"], placement: FacePlacement) -> Float[Tensor, "B 2"]:
        """(yaw, pitch), radians, in the frame that the module describes.

        Args:
            images: In [0, 1], gamma-encoded.
            placement: Of the face in each.
        """
        ...


class FaceGazeNetwork(nn.Module):
    """ETH-XGaze's baseline (Zhang et al. 2020): a ResNet on the normalised face."""

    def __init__(self, network: nn.Module, crop_size: int = _CROP_SIZE) -> None:
        """
        Args:
            network: Standardised faces (B, 3, crop_size, crop_size) → ETH-XGaze's angles (B, 2): pitch (up), then yaw
                (to the subject's right).
            crop_size: Pixels.
        """
        super().__init__()
        self.network, self.crop_size = network.eval().requires_grad_(False), crop_size
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> FaceGazeNetwork:
        """Stay as it is: batch statistics would make the verdict on one frame depend on the others."""
        return super().train(False)

    def forward(self, images: Float[Tensor, "B 3 H W"], placement: FacePlacement) -> Float[Tensor, "B 2"]:
        """See ``GazeExpert``."""
        crops = face_crops(images, placement, self.crop_size)
        pitch, yaw = self.network((crops - self.mean) / self.deviation).unbind(1)
        return torch.stack([-yaw, pitch], 1)


def load_gaze_expert(name: str = "eth_xgaze") -> FaceGazeNetwork:
    """Load an expert by name; never asks the network.

    Args:
        name: Of ``EXPERT_NAMES``.

    Raises:
        UserError: An unknown name, or weights that are not there.
    """
    if name not in EXPERT_NAMES:
        raise UserError(f"Expected a gaze expert of {', '.join(EXPERT_NAMES)}, but got '{name}'.")
    path = find_asset(XGAZE_ASSET)
    if path is None:
        raise UserError(
            f"Expected ETH-XGaze's weights for the gaze loss, but they are not on this machine; run 'readavatar assets "
            f"get {XGAZE_ASSET}' or leave the loss out with --model.weights.gaze 0."
        )
    return load_eth_xgaze(path)


def load_eth_xgaze(path: str | Path) -> FaceGazeNetwork:
    """Read a ResNet-18 checkpoint with two outputs such as ``eth-xgaze_resnet18.pth``.

    Raises:
        UserError: The file is not such a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        network = ResNet18(num_outputs=2, width=len(state["conv1.weight"]))
        network.load_state_dict(state)
    except (EOFError, OSError, KeyError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"Expected ETH-XGaze's ResNet-18 at '{path}', but could not read it: {reason}.") from None
    return FaceGazeNetwork(network)
