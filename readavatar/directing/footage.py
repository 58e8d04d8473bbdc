"""The footage behind a new clip: the order of its frames, and compositing of the rendered crop."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.data.store import Crop


def footage_order(num_frames: int, num_footage_frames: int, start: int = 0) -> Int[Tensor, " T"]:
    """Play the footage from ``start`` forwards, then backwards, and so on, without jumps.

    Args:
        num_frames: T, of the new clip.
        num_footage_frames: Of the footage.
        start: First footage frame.

    Returns:
        Footage frame of each new frame; neighbours differ by one at most.

    Raises:
        ValueError: ``start`` is not a frame of the footage.

    Example:
        >>> from readavatar.directing.footage import footage_order
        >>> footage_order(num_frames=8, num_footage_frames=4, start=1)
        tensor([1, 2, 3, 2, 1, 0, 1, 2])
    """
    if not 0 <= start < num_footage_frames:
        raise ValueError(f"Expected `start` in [0, {num_footage_frames}), but got {start}.")
    if num_footage_frames == 1:
        return torch.zeros(num_frames, dtype=torch.long)
    period = 2 * (num_footage_frames - 1)
    position = (start + torch.arange(num_frames)) % period
    return torch.minimum(position, period - position)


def monotone_runs(order: Int[Tensor, " T"], longest: int) -> list[Int[Tensor, " n"]]:
    """Split ``order`` into runs of one direction with at most ``longest`` frames each.

    Video is decoded forwards; a backward run is decoded and then reversed, so that ``longest`` bounds the memory.

    Args:
        order: Footage frame of each new frame, from ``footage_order``.
        longest: Frames, 1 or more.

    Returns:
        The runs, whose concatenation is ``order``.

    Example:
        >>> from readavatar.directing.footage import footage_order, monotone_runs
        >>> [run.tolist() for run in monotone_runs(footage_order(8, 4, start=1), longest=16)]
        [[1, 2, 3], [2, 1, 0], [1, 2]]
    """
    runs: list[list[int]] = []
    for index in order.tolist():
        run = runs[-1] if runs else []
        continues = (
            0 < len(run) < longest
            and abs(index - run[-1]) == 1
            and (len(run) < 2 or index - run[-1] == run[-1] - run[-2])
        )
        if continues:
            run.append(index)
        else:
            runs.append([index])
    return [torch.tensor(run) for run in runs]


def composite(
    source: Float[Tensor, "3 source_height source_width"],
    rendered: Float[Tensor, "3 size size"],
    alpha: Float[Tensor, "1 size size"],
    crop: Crop,
) -> Float[Tensor, "3 source_height source_width"]:
    """Composite a rendered crop over its frame of the footage.

    Args:
        source: Frame of the footage, [0, 1].
        rendered: The rendered crop, [0, 1].
        alpha: The rendered share of each pixel, [0, 1]; soft at the mask's edge.
        crop: Place of the crop in the source.

    Returns:
        The frame; bit-identical to the source where ``alpha`` is zero.

    Example:
        >>> import torch
        >>> from readavatar.data.store import Crop
        >>> from readavatar.directing.footage import composite
        >>> source, rendered = torch.zeros(3, 4, 4), torch.ones(3, 2, 2)
        >>> alpha = torch.ones(1, 2, 2)
        >>> composite(source, rendered, alpha, Crop(left=1.0, top=1.0, size=2.0))[0].round(decimals=3)
        tensor([[0., 0., 0., 0.],
                [0., 1., 1., 0.],
                [0., 1., 1., 0.],
                [0., 0., 0., 0.]])
    """
    _, height, width = source.shape
    size = rendered.shape[-1]
    left, top = max(0, math.floor(crop.left)), max(0, math.floor(crop.top))
    right = min(width, math.ceil(crop.left + crop.size))
    bottom = min(height, math.ceil(crop.top + crop.size))
    rows = torch.arange(top, bottom, device=rendered.device) + 0.5
    columns = torch.arange(left, right, device=rendered.device) + 0.5
    centres = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    grid = crop.source_to_clip(centres, size) * (2 / size) - 1
    layers = torch.cat([rendered, alpha])[None]
    # Bicubic is sharp if the source is larger; a smaller source needs the mean over the area.
    if crop.size < size:
        layers = F.interpolate(layers, size=(round(crop.size),) * 2, mode="area")
    sampled = F.grid_sample(layers, grid[None].to(layers), mode="bicubic", padding_mode="border", align_corners=False)
    image, coverage = sampled[0, :3].clamp(0, 1), sampled[0, 3:].clamp(0, 1)
    blended = source.clone()
    below = source[:, top:bottom, left:right]
    blended[:, top:bottom, left:right] = torch.where(coverage > 1e-4, below + coverage * (image - below), below)
    return blended
