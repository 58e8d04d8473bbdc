"""Losses of the appearance network, and their weighted sum with a discriminator.

All images are gamma-encoded, like the footage, so that equal differences are about equally visible, also in the dark of
the mouth. The gaze loss compares the gaze of rendered and real eyes, as estimated by a frozen network, since the eyes
are too few pixels for losses on images to determine it (Wilson, Shic & Jain, "Introducing Explicit Gaze Constraints to
Face Swapping", ETRA 2023, arXiv 2305.16138).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.appearance.augmentation import Crops
from readavatar.appearance.inference import soft_edge
from readavatar.appearance.networks import PatchDiscriminator
from readavatar.appearance.settings import LossWeights
from readavatar.data.datasets.appearance_batches import AppearanceBatch
from readavatar.gaze import GazeExpert, place_faces
from readavatar.gaze.expert import FacePlacement
from readavatar.optimization.losses import (
    discriminator_hinge_loss,
    feature_matching_loss,
    generator_hinge_loss,
    r1_penalty,
    weighted_sum,
)


def photometric_difference(
    predicted: Float[Tensor, "B 3 H W"], target: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, "B 1 H W"]:
    """Absolute difference, mean over the colours."""
    return (predicted - target).abs().mean(1, keepdim=True)


def masked_mean(values: Float[Tensor, "B c H W"], mask: Float[Tensor, "B 1 H W"]) -> Float[Tensor, ""]:
    """Mean over a mask, so that small parts have the same weight as large ones; 0 if the mask is empty."""
    return (values * mask).sum() / (mask.sum() * values.shape[1]).clamp(min=1.0)


def flicker(
    predicted: Float[Tensor, "B 3 H W"], target: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, ""]:
    """Difference between the change of two consecutive frames in the render and in the footage.

    Frames 2i and 2i + 1 of the batch are consecutive. Motion of the footage is not penalised.
    """
    change = (predicted[1::2] - predicted[::2]) - (target[1::2] - target[::2])
    return masked_mean(change.abs(), torch.maximum(mask[1::2], mask[::2]))


@runtime_checkable
class FeatureLoss(Protocol):
    """A perceptual distance between images, averaged over a mask."""

    def __call__(
        self, predicted: Float[Tensor, "B 3 H W"], target: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
    ) -> Float[Tensor, ""]: ...


class BandFeatures(nn.Module):
    """Differences of local frequency content at several scales, without trained weights.

    Each level of a pyramid is filtered by the 15 oscillating functions of a 4 × 4 cosine transform. Their values are
    compared (positions of edges), and their energy in a neighbourhood of 5 samples (kind of texture, as in Portilla &
    Simoncelli 2000). The energy does not depend on shifts of a pixel or two, as by tracking noise, but does on blur,
    which L1 hardly penalises.
    """

    def __init__(self, levels: int = 4) -> None:
        """
        Args:
            levels: Of the pyramid, starting at full resolution.
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
        # Not in bfloat16, which would round the images to 8 bits before taking differences.
        with torch.autocast(predicted.device.type, enabled=False):
            return self._distance(torch.cat([_opponent(predicted), _opponent(target)]).float(), mask)

    def _distance(self, images: Float[Tensor, "images 3 H W"], mask: Float[Tensor, "B 1 H W"]) -> Float[Tensor, ""]:
        total = images.new_zeros(())
        for _ in range(self.levels):
            if min(images.shape[-2:]) < 12:
                break
            bands = F.conv2d(images.flatten(0, 1)[:, None], self.bank, stride=2).unflatten(0, (-1, 3))
            # √(x² + ε), since the gradient of the root is infinite at 0, the value in flat areas.
            energy = (F.avg_pool2d(bands.flatten(0, 1).square(), 5, stride=4) + 1e-5).sqrt().unflatten(0, (-1, 3))
            for features in (bands, energy):
                ours, theirs = features.chunk(2)
                weight = F.adaptive_avg_pool2d(mask, features.shape[-2:])
                total = total + masked_mean((ours - theirs).abs().flatten(1, 2), weight)
            images, mask = F.avg_pool2d(images, 2), F.avg_pool2d(mask, 2)
        return total / self.levels


def _opponent(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Luminance, red − green and blue − yellow, with equal scales."""
    red, green, blue = image.unbind(1)
    return torch.stack([(red + green + blue) / 3, (red - green) / 4, ((red + green) / 2 - blue) / 4], 1)


RIM = 0.02
"""Margin around the eyes' mask for the loss, relative to the side of the face square (3 mm): lashes and lid folds."""


class GazeLoss(nn.Module):
    """Difference of an expert's angles on rendered and real eyes, radians.

    The expert's input is the footage with only the eyes replaced by the rendered ones: effects of the rest of the face
    cancel, and the skin gets no gradient. The expert is not in ``parameters()`` or ``state_dict()``, so that it is not
    trained or saved in checkpoints, but it follows the module's device.
    """

    def __init__(self, expert: GazeExpert, frames: int | None = None) -> None:
        """
        Args:
            expert: Frozen; not the judge that is used in tests.
            frames: Number of frames of a batch that are used, chosen in turn; None uses all.
        """
        super().__init__()
        if frames is not None and frames < 1:
            raise ValueError(f"Expected `frames` of 1 or more, or None, but got {frames}.")
        self.frames = frames
        self._expert = [expert.requires_grad_(False).eval() if isinstance(expert, nn.Module) else expert]

    @property
    def expert(self) -> GazeExpert:
        """The gaze expert."""
        return self._expert[0]

    def _apply(self, *arguments, **options) -> GazeLoss:
        if isinstance(self.expert, nn.Module):
            self.expert._apply(*arguments, **options)
        return super()._apply(*arguments, **options)

    def forward(
        self,
        predicted: Float[Tensor, "B 3 H W"],
        target: Float[Tensor, "B 3 H W"],
        eyes: Float[Tensor, "B 1 H W"],
        face: Float[Tensor, "B 1 H W"],
        step: int = 0,
    ) -> Float[Tensor, ""]:
        """The sum of the differences of yaw and pitch, mean over frames that show the eyes and the face's whole width.

        Args:
            predicted: In [0, 1].
            target: The footage at the same moment.
            eyes: 1 on lids and eyeballs: ``RenderInputs.part("eyes")``.
            face: 1 on all of the face: ``RenderInputs.part("face")``.
            step: Of the training, to choose the frames.
        """
        placement = place_faces(eyes, face)
        chosen = placement.visible.nonzero()[:, 0]
        if len(chosen) == 0:
            return predicted.new_zeros(())
        if self.frames is not None:
            turn = step * self.frames + torch.arange(min(self.frames, len(chosen)))
            chosen = chosen[turn.to(chosen.device) % len(chosen)]
        placement = FacePlacement(**{name: value[chosen] for name, value in vars(placement).items()})
        # In full precision: bfloat16 would round the images to 8 bits.
        with torch.autocast(predicted.device.type, enabled=False):
            target, shown = target[chosen].float(), _softened(eyes[chosen], placement)
            mixed = target + shown * (predicted[chosen].float() - target)
            with torch.no_grad():
                wanted = self.expert(target, placement)
            return (self.expert(mixed, placement) - wanted).abs().sum(1).mean()


def _softened(eyes: Float[Tensor, "B 1 H W"], placement: FacePlacement) -> Float[Tensor, "B 1 H W"]:
    """The eyes' mask grown by ``RIM``, with a soft edge, so that there is no visible seam."""
    # At a resolution of half the margin, since pooling over many pixels would take as long as the expert.
    coarse = max(round(RIM * float(placement.side.mean()) / 2), 1)
    mask = F.max_pool2d(eyes.float(), coarse, ceil_mode=True)
    mask = F.avg_pool2d(F.max_pool2d(mask, 7, stride=1, padding=3), 5, stride=1, padding=2, count_include_pad=False)
    grown = F.interpolate(mask, scale_factor=coarse, mode="bilinear")
    return grown[..., : eyes.shape[-2], : eyes.shape[-1]]


@dataclass(frozen=True)
class Rendered:
    """A rendered batch and its target: crops of frames, or whole frames."""

    batch: AppearanceBatch
    """The crops."""
    image: Float[Tensor, "B 3 h w"]
    """As rendered."""
    alpha: Float[Tensor, "B 1 h w"]
    """The rendered share of each pixel."""

    @property
    def composite(self) -> Float[Tensor, "B 3 h w"]:
        """The render composited over its footage."""
        return self.alpha * self.image + (1 - self.alpha) * self.batch.frames


def render_crops(renderer: nn.Module, whole: AppearanceBatch, crops: Crops) -> Rendered:
    """Render crops of frames, with the same soft edge as in whole frames."""
    batch = crops.cut(whole)
    return Rendered(batch, renderer(batch.inputs), crops.cut_images(soft_edge(whole.inputs.paint_mask)))


class AppearanceObjective(nn.Module):
    """The weighted sum of the losses, and the discriminator."""

    def __init__(self, weights: LossWeights, feature_loss: FeatureLoss, gaze_loss: GazeLoss | None) -> None:
        """
        Args:
            weights: Of the terms.
            feature_loss: For ``weights.features``.
            gaze_loss: For ``weights.gaze``; None if that is 0.
        """
        super().__init__()
        self.weights = asdict(weights)
        self.feature_loss, self.gaze_loss = feature_loss, gaze_loss
        is_adversarial = weights.adversarial > 0 or weights.matching > 0
        self.discriminator = PatchDiscriminator() if is_adversarial else None

    def forward(
        self, rendered: Rendered, whole: AppearanceBatch, crops: Crops, step: int
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The weighted sum, and each term's value.

        Args:
            rendered: Rendered crops.
            whole: The whole frames.
            crops: The crops' windows.
            step: Of the training.
        """
        inputs, target = rendered.batch.inputs, rendered.batch.frames
        difference = photometric_difference(rendered.image, target)
        composite, is_filmed = rendered.composite, ~rendered.batch.is_driven
        # Driven frames have no target: only the discriminator's loss applies to them.
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
            fake, real = self.discriminator(composite), self.discriminator(target)
            terms["adversarial"] = lambda: generator_hinge_loss(fake)
            terms["matching"] = lambda: feature_matching_loss(fake, real, is_filmed)
        if self.gaze_loss is not None:
            terms["gaze"] = lambda: self._gaze(composite, whole, crops, step)
        if crops.consecutive == 2:
            both = filmed.unflatten(0, (-1, 2)).amin(1).repeat_interleave(2, 0)
            terms["temporal"] = lambda: flicker(rendered.image, target, rendered.alpha * both)
        return weighted_sum(terms, self.weights, step)

    def _gaze(self, composite: Tensor, whole: AppearanceBatch, crops: Crops, step: int) -> Float[Tensor, ""]:
        eyes = whole.inputs.part("eyes")
        # Frames whose crop does not contain the eyes have no gaze loss.
        is_seen = crops.cut_images(eyes).sum((1, 2, 3)) > 0.5 * eyes.sum((1, 2, 3))
        seen = torch.nonzero(is_seen & ~whole.is_driven)[:, 0]
        frames, face = whole.frames[seen], whole.inputs.part("face")[seen]
        rendered = crops.frames(seen.tolist()).paste(composite[seen], frames)
        return self.gaze_loss(rendered, frames, eyes[seen], face, step)

    def discriminator_step(self, rendered: Rendered, r1: float) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The discriminator's hinge loss with ``r1`` times the gradient penalty, and without it."""
        self.discriminator.requires_grad_(True)
        target, composite = rendered.batch.frames, rendered.composite.detach()
        loss = discriminator_hinge_loss(self.discriminator(target), [(1.0, self.discriminator(composite))])
        if not r1:
            return loss, loss.detach()
        with torch.autocast(target.device.type, enabled=False):  # second derivatives need full precision
            real = target.detach().requires_grad_(True)
            return loss + r1 * r1_penalty(self.discriminator(real), real), loss.detach()
