"""The gaze loss: rendered eyes shall look where the real ones do, as a gaze expert sees it.

Wilson, Shic & Jain, "Introducing Explicit Gaze Constraints to Face Swapping" (ETRA 2023, arXiv 2305.16138): the eyes
are too few pixels for a loss on images to care where they look, so that a frozen, pretrained estimator's angles on the
render and on the footage are compared as well.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.gaze import GazeExpert, place_faces
from readavatar.gaze.placement import FacePlacement

RIM = 0.02
"""How far beyond the eyes' mask the render is judged, as a part of the face square's side (3 mm): lashes, lid folds."""


class GazeLoss(nn.Module):
    """Difference of an expert's angles on rendered and real eyes, radians.

    The expert sees the footage with nothing but the eyes replaced by the rendered ones: what it takes from the rest of
    the face cancels, and no gradient teaches skin to deceive it. It belongs to nobody's ``parameters()`` or
    ``state_dict()``, so that neither optimizers nor checkpoints hold it, yet it follows the module's device.
    """

    def __init__(self, expert: GazeExpert, frames: int | None = None) -> None:
        """
        Args:
            expert: Frozen; never the one that judges a test.
            frames: Of a batch that are judged, another choice each step; None judges all.
        """
        super().__init__()
        if frames is not None and frames < 1:
            raise ValueError(f"Expected `frames` of 1 or more, or None, but got {frames}.")
        self.frames = frames
        self._expert = [expert.requires_grad_(False).eval() if isinstance(expert, nn.Module) else expert]

    @property
    def expert(self) -> GazeExpert:
        """Whose judgement it is."""
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
        """The sum of the differences of yaw and pitch, mean over frames that show eyes and the face's whole width.

        Args:
            predicted: In [0, 1].
            target: The footage of the same moment.
            eyes: 1 on lids and eyeballs: ``RenderInputs.part("eyes")``.
            face: 1 on all of the face: ``RenderInputs.part("face")``.
            step: Of training: whose turn it is.
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
    """The eyes' mask grown by ``RIM``, with an edge as soft, lest the expert sees a seam."""
    # In pixels of half the rim: pooling over many pixels of a large frame would cost as much as the expert.
    coarse = max(round(RIM * float(placement.side.mean()) / 2), 1)
    mask = F.max_pool2d(eyes.float(), coarse, ceil_mode=True)
    mask = F.avg_pool2d(F.max_pool2d(mask, 7, stride=1, padding=3), 5, stride=1, padding=2, count_include_pad=False)
    grown = F.interpolate(mask, scale_factor=coarse, mode="bilinear")
    return grown[..., : eyes.shape[-2], : eyes.shape[-1]]
