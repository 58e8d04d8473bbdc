"""Gaze experts: frozen networks that estimate the gaze of a face in a picture, for a differentiable loss.

The expert's frame is that of its normalised camera, which looks straight at the face with the eyes level: (yaw, pitch)
in radians, yaw to the subject's left, pitch up, both 0 if the face looks into the camera. It is not the head frame of
``FaceCoefficients.gaze``: rotating the head with fixed eyes also changes this gaze. Two pictures of one frame have the
same head pose, so that only the eyes make a difference.

ETH-XGaze (Zhang et al. 2020, after Zhang, Sugano & Bulling 2018) uses a virtual camera with a focal length of 960
pixels, 0.6 m in front of the middle of eye corners and nostrils, with the eyes level, and 224² pixels: a square with a
side of 14 cm at the face. At a portrait's distance, this is a similarity of the image, whose parameters can be computed
from a mesh's masks, without landmarks or pose. Over six people in the tests' footage, the side varies by 0.6 % in a
clip and by 6 % between people, and the roll by half a degree. The network is a ResNet-18 (He et al. 2016) with the
parameter names of published checkpoints.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from readavatar.assets import find_asset
from readavatar.errors import UserError
from readavatar.types import Tensors

SIDE = 4.27
"""Side of the square, in standard deviations of the face mask along the eyes' line (its width does not change with the
jaw). Fitted to the tracked heads of six people, for whom 14 cm are 4.19–4.52 of them."""
DROP = 0.105
"""Distance of the square's centre below the middle of the eyes, in sides; fitted in the same way."""
_ENOUGH = 4.0
"""Least number of pixels of the eyes."""


@dataclass(frozen=True)
class FacePlacement(Tensors):
    """The square around the face in every frame, as in the expert's training."""

    centre: Float[Tensor, "B 2"]
    """(x, y), pixels."""
    side: Float[Tensor, " B"]
    """Pixels."""
    roll: Float[Tensor, " B"]
    """The angle of the eyes' line from the image's x axis towards its y axis (down), radians."""
    visible: Bool[Tensor, " B"]
    """Whether the frame shows both eyes and the whole width of the face (the chin may be outside). If not, the other
    fields are finite but not valid."""


@torch.no_grad()
def place_faces(eyes: Float[Tensor, "B 1 H W"], face: Float[Tensor, "B 1 H W"]) -> FacePlacement:
    """Compute the square from masks.

    Args:
        eyes: 1 on lids and eyeballs of both eyes, else 0.
        face: 1 on the skin from brow to chin and ear to ear, on eyes and mouth, else 0.
    """
    eyes, face = eyes[:, 0].float(), face[:, 0].float()
    middle, eye_spread, eye_area = _moments(eyes)
    _, spread, _ = _moments(face)
    # The principal axis of both eyes together is their line, since they are much further apart than high.
    roll = 0.5 * torch.atan2(2 * eye_spread[:, 0, 1], eye_spread[:, 0, 0] - eye_spread[:, 1, 1])
    along, down = torch.stack([roll.cos(), roll.sin()], 1), torch.stack([-roll.sin(), roll.cos()], 1)
    side = SIDE * torch.einsum("bi,bij,bj->b", along, spread, along).clamp(min=0).sqrt()
    cut = torch.cat([eyes[:, 0], eyes[:, -1], face[:, :, 0], face[:, :, -1]], 1).amax(1) > 0
    visible = (eye_area > _ENOUGH) & ~cut
    return FacePlacement(middle + DROP * side[:, None] * down, side.clamp(min=1.0), roll, visible)


def face_crops(
    images: Float[Tensor, "B 3 H W"], placement: FacePlacement, size: int
) -> Float[Tensor, "B 3 {size} {size}"]:
    """Crop the squares, upright; outside an image its edge is repeated. Differentiable in the images."""
    # Bilinear sampling skips pixels when it shrinks by two or more, so the image is averaged first.
    factor = max(int(placement.side.median() / size), 1)
    if factor > 1:
        images = F.avg_pool2d(images, factor, ceil_mode=True, count_include_pad=False)
    height, width = images.shape[-2:]
    scale, (cosine, sine) = placement.side / factor, (placement.roll.cos(), placement.roll.sin())
    centre = placement.centre / factor
    # From the crop's coordinates to the image's; both run from −1 to 1 between the outer edges of the pixels.
    across = torch.stack([cosine * scale / width, -sine * scale / width, 2 * centre[:, 0] / width - 1], 1)
    upright = torch.stack([sine * scale / height, cosine * scale / height, 2 * centre[:, 1] / height - 1], 1)
    grid = F.affine_grid(torch.stack([across, upright], 1), [len(images), 3, size, size], align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)


def _moments(
    mask: Float[Tensor, "B H W"],
) -> tuple[Float[Tensor, "B 2"], Float[Tensor, "B 2 2"], Float[Tensor, " B"]]:
    """Mean and covariance of a mask's pixels as (x, y), and its area; zeros if it is empty."""
    height, width = mask.shape[-2:]
    area = mask.sum((1, 2))
    columns, rows = mask.sum(1), mask.sum(2)
    x, y = (torch.arange(length, device=mask.device) + 0.5 for length in (width, height))
    total = area.clamp(min=1.0)
    mean_x, mean_y = (columns * x).sum(1) / total, (rows * y).sum(1) / total
    away_x, away_y = x - mean_x[:, None], y - mean_y[:, None]
    xx, yy = (columns * away_x.square()).sum(1) / total, (rows * away_y.square()).sum(1) / total
    xy = torch.einsum("bhw,bh,bw->b", mask, away_y, away_x) / total
    spread = torch.stack([xx, xy, xy, yy], 1).unflatten(1, (2, 2))
    return torch.stack([mean_x, mean_y], 1), spread, area


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
            num_outputs: Outputs of the last layer.
            width: Channels of the first stage; each further stage has twice as many.
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
        """``images`` have to be standardised as in training."""
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
    """Pictures of faces → their gaze; differentiable in the pictures, and not trained here."""

    def __call__(self, images: Float[Tensor, "B 3 H W"], placement: FacePlacement) -> Float[Tensor, "B 2"]:
        """(yaw, pitch), radians, in the frame described in this module's docstring.

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
        """Stay in evaluation mode: with batch statistics, the result of one frame would depend on the others."""
        return super().train(False)

    def forward(self, images: Float[Tensor, "B 3 H W"], placement: FacePlacement) -> Float[Tensor, "B 2"]:
        """See ``GazeExpert``."""
        crops = face_crops(images, placement, self.crop_size)
        pitch, yaw = self.network((crops - self.mean) / self.deviation).unbind(1)
        return torch.stack([-yaw, pitch], 1)


def load_gaze_expert(name: str = "eth_xgaze") -> FaceGazeNetwork:
    """Load an expert by name, without network access.

    Args:
        name: One of ``EXPERT_NAMES``.

    Raises:
        UserError: The name is unknown, or the weights are missing.
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
