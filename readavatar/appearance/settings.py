"""What a training of the appearance network can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from readavatar.appearance.inference import Precision
from readavatar.data.raster.render_inputs import PART_BITS
from readavatar.errors import UserError


@dataclass(frozen=True)
class LossWeights:
    """Each term's weight; a term of weight 0 is not computed."""

    photometric: float = 1.0
    """L1 wherever the render shows."""
    mouth: float = 0.5
    """L1 over lips and mouth interior, by their own area: they are 3 % of the pixels and carry the speech."""
    mouth_inside: float = 0.0
    """L1 over teeth and tongue alone, likewise: smaller and more varied than the lips, they take longest to learn."""
    eyes: float = 0.25
    """L1 over lids and eyeballs, likewise."""
    features: float = 1.0
    """``feature_loss``, so that detail is not averaged away."""
    adversarial: float = 0.01
    """The patch discriminator's verdict."""
    matching: float = 0.5
    """L1 between the discriminator's features."""
    gaze: float = 0.0
    """Where rendered eyes look, against real ones, as an expert of gaze sees it. At 0.01 eyes that are learned from
    footage look no truer; at 0.1 its gradient is 4 to 20 times that of the others, and the picture is worse for it."""
    temporal: float = 0.0
    """Flicker; needs ``data.consecutive: 2``."""


@dataclass(frozen=True)
class OptimizationSettings:
    """How the weights are found."""

    learning_rate: float = 2e-3
    """Of the U-Net, the audio latent and the region features; all fall along half a cosine to a twentieth."""
    texture_learning_rate: float = 1e-3
    """Of the SIREN, whose frequencies make its steps larger than they look."""
    texel_learning_rate: float = 1e-2
    """Of the texture image: few pixels move a texel, so that it has to go far at a time."""
    discriminator_learning_rate: float = 2e-4
    r1: float = 1.0
    """Weight of the discriminator's gradient penalty."""
    r1_every: int = 16
    """Batches between two gradient penalties, whose weight grows as much."""
    clip_gradients: float = 1.0
    """Largest norm of the renderer's gradient."""
    ema_decay: float = 0.998
    """Of the averaged weights, which are those that are tested and exported."""
    crop: int | None = 128
    """Train on squares of this side around the face instead of whole frames, pixels."""
    attention: dict[str, float] = field(default_factory=lambda: {"mouth": 0.25, "eyes": 0.25})
    """Share of the squares that are centred on each part of ``PART_BITS``; the others lie anywhere on the face."""
    feature_crop: int | None = 64
    """Side of the square of each crop that a trained feature loss looks at, pixels; null takes all of it."""
    gaze_frames: int = 1
    """Of a batch that the gaze expert looks at: it costs as much as the renderer."""
    precision: Precision = "auto"
    """Of the forward passes; ``auto`` takes the faster one after a trial on the machine at hand."""

    def __post_init__(self) -> None:
        shares = self.attention.values()
        if set(self.attention) - set(PART_BITS) or min(shares, default=0) < 0 or sum(shares) > 1 + 1e-6:
            raise UserError(
                f"Expected shares of {', '.join(PART_BITS)} whose sum is at most 1, but got {self.attention}."
            )
