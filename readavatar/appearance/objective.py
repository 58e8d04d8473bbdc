"""What the renderer is trained to: one weighted sum, and the discriminator that is part of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from readavatar.appearance.crops import Crops
from readavatar.appearance.discriminator import (
    PatchDiscriminator,
    adversarial_loss,
    discriminator_loss,
    gradient_penalty,
    matching_loss,
)
from readavatar.appearance.gaze_loss import GazeLoss
from readavatar.appearance.inference import soft_edge
from readavatar.appearance.losses import FeatureLoss, flicker, masked_mean, photometric_difference, weighted_sum
from readavatar.appearance.settings import LossWeights
from readavatar.data.appearance_clips import AppearanceBatch


@dataclass(frozen=True)
class Rendered:
    """What the renderer made of a batch, and what it is held against: crops of its frames, or the whole of them."""

    batch: AppearanceBatch
    """The crops."""
    image: Float[Tensor, "B 3 h w"]
    """As rendered."""
    alpha: Float[Tensor, "B 1 h w"]
    """How much of each pixel is rendered."""

    @property
    def composite(self) -> Float[Tensor, "B 3 h w"]:
        """The render in its footage."""
        return self.alpha * self.image + (1 - self.alpha) * self.batch.frames


def render_crops(renderer: nn.Module, whole: AppearanceBatch, crops: Crops) -> Rendered:
    """Render crops of frames; the edge is as soft as in whole frames."""
    batch = crops.cut(whole)
    return Rendered(batch, renderer(batch.inputs), crops.cut_images(soft_edge(whole.inputs.hole)))


class Objective(nn.Module):
    """The losses that have a weight, and what they need."""

    def __init__(self, weights: LossWeights, feature_loss: FeatureLoss, gaze_loss: GazeLoss | None) -> None:
        """
        Args:
            weights: Of the terms.
            feature_loss: For ``weights.features``.
            gaze_loss: For ``weights.gaze``; None where that is 0.
        """
        super().__init__()
        self.weights = asdict(weights)
        self.feature_loss, self.gaze_loss = feature_loss, gaze_loss
        is_adversarial = weights.adversarial > 0 or weights.matching > 0
        self.discriminator = PatchDiscriminator() if is_adversarial else None

    def forward(
        self, rendered: Rendered, whole: AppearanceBatch, crops: Crops, step: int
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The objective, and each term's value.

        Args:
            rendered: Crops, rendered.
            whole: The frames that they are of.
            crops: Where they lie in them.
            step: Of the training.
        """
        inputs, target = rendered.batch.inputs, rendered.batch.frames
        difference = photometric_difference(rendered.image, target)
        composite, is_filmed = rendered.composite, ~rendered.batch.is_rehearsed
        # What was never filmed has nothing to be compared with: the discriminator alone judges it.
        filmed = is_filmed[:, None, None, None].float()
        terms = {
            "photometric": lambda: masked_mean(difference, rendered.alpha * filmed),
            "mouth": lambda: masked_mean(difference, inputs.part("mouth") * filmed),
            "mouth_inside": lambda: masked_mean(difference, inputs.part("mouth_inside") * filmed),
            "eyes": lambda: masked_mean(difference, inputs.part("eyes") * filmed),
            "features": lambda: self.feature_loss(composite, target, rendered.alpha * filmed),
        }
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
            judged, real = self.discriminator(composite), self.discriminator(target)
            terms["adversarial"] = lambda: adversarial_loss(judged)
            terms["matching"] = lambda: matching_loss(judged, real, is_filmed)
        if self.gaze_loss is not None:
            terms["gaze"] = lambda: self._gaze(composite, whole, crops, step)
        if crops.consecutive == 2:
            both = filmed.unflatten(0, (-1, 2)).amin(1).repeat_interleave(2, 0)
            terms["temporal"] = lambda: flicker(rendered.image, target, rendered.alpha * both)
        return weighted_sum(terms, self.weights)

    def _gaze(self, composite: Tensor, whole: AppearanceBatch, crops: Crops, step: int) -> Float[Tensor, ""]:
        eyes = whole.inputs.part("eyes")
        # Frames whose crop leaves the eyes out have nothing to be blamed for.
        is_seen = crops.cut_images(eyes).sum((1, 2, 3)) > 0.5 * eyes.sum((1, 2, 3))
        seen = torch.nonzero(is_seen & ~whole.is_rehearsed)[:, 0]
        frames, face = whole.frames[seen], whole.inputs.part("face")[seen]
        rendered = crops.frames(seen.tolist()).paste(composite[seen], frames)
        return self.gaze_loss(rendered, frames, eyes[seen], face, step)

    def judge_step(self, rendered: Rendered, r1: float) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """What the discriminator pays: its hinge loss with ``r1`` times the gradient penalty, and without."""
        self.discriminator.requires_grad_(True)
        target, composite = rendered.batch.frames, rendered.composite.detach()
        loss = discriminator_loss(self.discriminator(target), self.discriminator(composite))
        if not r1:
            return loss, loss.detach()
        with torch.autocast(target.device.type, enabled=False):  # second derivatives need the precision
            return loss + r1 * gradient_penalty(self.discriminator, target), loss.detach()
