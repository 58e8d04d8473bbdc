"""Augmentation for the appearance network: square crops of frames, and perturbed inputs.

Crops are cheaper than whole frames, and can be centred more often on mouth and eyes. Perturbed inputs make the network
robust to tracking noise and driven expressions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.appearance.networks import WINDOW_MARGIN, WINDOW_MULTIPLE
from readavatar.data.datasets.appearance_batches import AppearanceBatch
from readavatar.data.raster.render_inputs import RenderInputs, Window
from readavatar.rendering.window_filters import grown


@dataclass(frozen=True)
class Crops:
    """The crop of each frame in a batch."""

    windows: tuple[Window, ...]
    """All of the same size."""
    consecutive: int = 1
    """Number of consecutive frames that share a window."""

    def frames(self, indices: list[int]) -> Crops:
        """The crops of some of the frames."""
        return Crops(tuple(self.windows[index] for index in indices), self.consecutive)

    def cut(self, batch: AppearanceBatch) -> AppearanceBatch:
        """Crop a batch."""
        inputs = [
            batch.inputs.frames(slice(index, index + 1)).crop(window) for index, window in enumerate(self.windows)
        ]
        joined = {key: torch.cat([vars(each)[key] for each in inputs]) for key in vars(batch.inputs)}
        return replace(batch, inputs=RenderInputs(**joined), frames=self.cut_images(batch.frames))

    def cut_images(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Crop images."""
        return torch.stack(
            [image[:, window.rows, window.columns] for image, window in zip(images, self.windows, strict=True)]
        )

    def paste(self, crops: Float[Tensor, "B 3 h w"], frames: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Paste crops into frames; differentiable in the crops."""
        whole = frames.clone()
        for index, (crop, window) in enumerate(zip(crops, self.windows, strict=True)):
            whole[index, :, window.rows, window.columns] = crop
        return whole


def choose_crops(inputs: RenderInputs, size: int | None, attention: Mapping[str, float], consecutive: int = 1) -> Crops:
    """Squares of ``size``, each around a random pixel of its frame's paint mask, or of one of its parts.

    Args:
        inputs: Of whole frames.
        size: Pixels; None, or more than the frames' size, takes the window around the paint masks of all frames.
        attention: By part, the share of the crops that are centred on it.
        consecutive: Number of consecutive frames that share a window.
    """
    batch, height, width = len(inputs.paint_mask), *inputs.paint_mask.shape[-2:]
    if size is None or size >= min(height, width):
        return Crops((inputs.window(WINDOW_MARGIN, WINDOW_MULTIPLE),) * batch, consecutive)
    parts = list(attention)
    shares = torch.tensor([*attention.values(), max(1.0 - sum(attention.values()), 0.0)])
    windows: list[Window] = []
    for first in range(0, batch, consecutive):
        one = inputs.frames(slice(first, first + 1))
        choice = int(torch.multinomial(shares, 1))
        row, column = _random_pixel(one.part(parts[choice]) if choice < len(parts) else one.paint_mask)
        top = min(max(row - size // 2, 0), height - size)
        left = min(max(column - size // 2, 0), width - size)
        windows += [Window(slice(top, top + size), slice(left, left + size))] * consecutive
    return Crops(tuple(windows), consecutive)


def _random_pixel(mask: Float[Tensor, "1 1 H W"]) -> tuple[int, int]:
    """(row, column) of one pixel of a mask, or the middle if the mask is empty."""
    places = torch.nonzero(mask[0, 0] > 0)
    if len(places) == 0:
        return mask.shape[-2] // 2, mask.shape[-1] // 2
    return tuple(places[int(torch.randint(len(places), ()))].tolist())


@dataclass(frozen=True)
class Augmentation:
    """Size of each perturbation; 0 turns it off."""

    uv: float = 0.0
    """Standard deviation of a shift of each frame's texture coordinates; 1 is the texture's side."""
    gaze: float = 0.01
    """Standard deviation, radians."""
    paint_mask: float = 0.03
    """Largest growth of the paint mask in any direction, relative to the frame's height."""


def augmented(inputs: RenderInputs, frames: Float[Tensor, "B 3 H W"], augmentation: Augmentation) -> RenderInputs:
    """Perturb inputs; ``frames`` are the footage, from which the (grown) paint mask is removed."""
    batch, height = len(frames), frames.shape[-2]
    covered = (inputs.regions > 0)[:, None]
    slide = torch.randn(batch, 2, 1, 1, device=frames.device) * augmentation.uv
    gaze = inputs.gaze + torch.randn_like(inputs.gaze) * augmentation.gaze
    radius = int(torch.randint(round(augmentation.paint_mask * height) + 1, (1,)))
    paint_mask = grown(inputs.paint_mask, radius)
    return replace(
        inputs,
        uvs=(inputs.uvs + slide).clamp(0, 1) * covered,
        gaze=gaze,
        paint_mask=paint_mask,
        context=frames * (1 - paint_mask),
    )
