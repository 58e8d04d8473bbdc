"""Settings of a training of the appearance network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from readavatar.data.raster.render_inputs import PART_BITS
from readavatar.errors import UserError

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes of the appearance network, and its variants for ablations."""

    texture: Literal["layered", "siren", "image"] = "layered"
    """``siren``: READ Avatars' own; ``image``: learned, the same for any speech; ``layered``: image + gate · SIREN."""
    conditioning: Literal["film", "concatenation", "none"] = "film"
    """How the audio latent enters the SIREN."""
    texture_channels: int = 16
    """C of the neural texture; the first three are an estimate of the image's logits."""
    texture_width: int = 64
    """Features of a SIREN layer."""
    texture_depth: int = 3
    """SIREN layers."""
    num_octaves: int = 6
    """Of the positional encoding of uv."""
    first_frequency: float = 30.0
    """ω of the SIREN's first layer."""
    hidden_frequency: float = 30.0
    """ω of its other layers."""
    texture_resolution: int = 512
    """Texels along a side of the texture image."""
    latent_size: int = 32
    """L of the audio latent."""
    unet_width: int = 16
    """The U-Net's channels at full resolution."""
    unet_levels: int = 5
    """Its resolutions."""
    unet_max_width: int = 128
    """The U-Net's largest number of channels."""
    region_features: int = 4
    """Size of the learned code of a pixel's region, an input of the U-Net."""
    lit: bool = True
    """Whether a white face in the fitted light is an input of the U-Net."""


@dataclass(frozen=True)
class LossWeights:
    """Each term's weight; a term of weight 0 is not computed."""

    photometric: float = 1.0
    """L1 where the render is visible."""
    mouth: float = 0.5
    """L1 over lips and mouth interior, normalised by their area, since they are only 3 % of the pixels."""
    mouth_inside: float = 0.0
    """L1 over teeth and tongue only, normalised by their area."""
    eyes: float = 0.25
    """L1 over lids and eyeballs, normalised by their area."""
    features: float = 1.0
    """``feature_loss``, against blur."""
    adversarial: float = 0.01
    """The patch discriminator's logits."""
    matching: float = 0.5
    """L1 between the discriminator's features."""
    gaze: float = 0.0
    """Gaze of rendered against real eyes, by a gaze expert. With 0.01 the gaze on footage does not improve; with 0.1
    its gradient is 4 to 20 times that of the other terms, and the picture gets worse."""
    temporal: float = 0.0
    """Flicker; needs ``data.consecutive: 2``."""


@dataclass(frozen=True)
class OptimizationSettings:
    """Settings of the optimization."""

    learning_rate: float = 2e-3
    """Of the U-Net, the audio latent and the region features; all fall along half a cosine to a twentieth."""
    texture_learning_rate: float = 1e-3
    """Of the SIREN, whose frequencies amplify its steps."""
    texel_learning_rate: float = 1e-2
    """Of the texture image; high, since few pixels train each texel."""
    discriminator_learning_rate: float = 2e-4
    r1: float = 1.0
    """Weight of the discriminator's gradient penalty."""
    r1_every: int = 16
    """Batches between two gradient penalties, whose weight is multiplied by it."""
    clip_gradients: float = 1.0
    """Largest norm of the renderer's gradient."""
    ema_decay: float = 0.998
    """Decay of the averaged weights, which are tested and exported."""
    crop: int | None = 128
    """Train on squares of this side around the face instead of whole frames, pixels."""
    attention: dict[str, float] = field(default_factory=lambda: {"mouth": 0.25, "eyes": 0.25})
    """Share of the squares that are centred on each part of ``PART_BITS``; the others are anywhere on the face."""
    feature_crop: int | None = 64
    """Side of the square of each crop for a trained feature loss, pixels; null takes the whole crop."""
    gaze_frames: int = 1
    """Frames of a batch for the gaze expert, which takes as long as the renderer."""
    precision: Precision = "auto"
    """Of the forward passes; ``auto`` times both on this machine and takes the faster one."""

    def __post_init__(self) -> None:
        shares = self.attention.values()
        if set(self.attention) - set(PART_BITS) or min(shares, default=0) < 0 or sum(shares) > 1 + 1e-6:
            raise UserError(
                f"Expected shares of {', '.join(PART_BITS)} whose sum is at most 1, but got {self.attention}."
            )
