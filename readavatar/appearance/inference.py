"""Rendering with a trained network, and the choice of the faster precision."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.appearance.networks import AppearanceRenderer
from readavatar.appearance.settings import Precision
from readavatar.data.raster.render_inputs import RenderInputs
from readavatar.rendering.window_filters import grown, local_mean

_TRIALS = 2


def uses_bfloat16(precision: Precision, work: Callable[[bool], object], device: torch.device) -> bool:
    """Whether to compute under bfloat16 autocast. CPUs without bfloat16 emulate it, which takes three times as long.

    Args:
        precision: ``auto`` times both.
        work: Typical work to time, in bfloat16 or not; a few seconds at most.
        device: Of the computation.
    """
    return _faster_in_bfloat16(work, device) if precision == "auto" else precision == "bf16"


def _faster_in_bfloat16(work: Callable[[bool], object], device: torch.device) -> bool:
    seconds = {False: [], True: []}
    for trial in range(1 + _TRIALS):
        for bfloat16, taken in seconds.items():
            start = time.perf_counter()
            work(bfloat16)
            if device.type != "cpu":
                torch.accelerator.synchronize()
            if trial:  # the first run includes the set-up
                taken.append(time.perf_counter() - start)
    return min(seconds[True]) < min(seconds[False])


EDGE_FRACTION = 0.02
"""Half the width of the soft edge, relative to the frame's height."""


def soft_edge(paint_mask: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 1 H W"]:
    """Alpha of the render: 1 inside the paint mask, falling to 0 outside.

    The transition is outside the paint mask, so that the footage's own face is not visible.
    """
    radius = max(1, round(EDGE_FRACTION * paint_mask.shape[-2]))
    return local_mean(grown(paint_mask, radius), radius)


@torch.inference_mode()
def render_face(
    renderer: AppearanceRenderer, inputs: RenderInputs, batch_size: int = 8, bfloat16: bool = False
) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B 1 H W"]]:
    """Render frames; the finished frame is ``alpha · image + (1 − alpha) · footage``.

    Args:
        renderer: A trained network.
        inputs: From ``build_render_inputs``; any number of frames.
        batch_size: Frames in a batch.
        bfloat16: Compute in bfloat16 where the quality is not visibly worse; it takes half the time on CPUs that have
            it.

    Returns:
        The image in [0, 1], gamma-encoded, and alpha in [0, 1].
    """
    with torch.autocast(inputs.paint_mask.device.type, torch.bfloat16, enabled=bfloat16):
        images = [
            renderer(inputs.frames(slice(start, start + batch_size)))
            for start in range(0, len(inputs.paint_mask), batch_size)
        ]
    return torch.cat(images), soft_edge(inputs.paint_mask)
