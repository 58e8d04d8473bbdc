"""Rendering with a trained network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.appearance.networks import AppearanceRenderer
from readavatar.data.render_inputs import RenderInputs
from readavatar.rendering.sliding import grown, local_mean

EDGE_FRACTION = 0.02
"""Half the width of the soft edge, as a part of the frame's height."""


def soft_edge(hole: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 1 H W"]:
    """How much of each pixel is rendered: 1 all over the hole, falling to 0 outside, where the footage is seen.

    The fall lies outside the hole, so that nothing of the footage's own face shines through.
    """
    radius = max(1, round(EDGE_FRACTION * hole.shape[-2]))
    return local_mean(grown(hole, radius), radius)


@torch.inference_mode()
def render_face(
    renderer: AppearanceRenderer, inputs: RenderInputs, batch_size: int = 8, bfloat16: bool = False
) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B 1 H W"]]:
    """Render frames; the finished frame is ``alpha · image + (1 − alpha) · footage``.

    Args:
        renderer: A trained network.
        inputs: See ``build_render_inputs``; any number of frames.
        batch_size: Frames at once.
        bfloat16: Compute in bfloat16 where it costs no visible quality: about half the time on CPUs that have it.

    Returns:
        The image in [0, 1], gamma-encoded, and alpha in [0, 1].
    """
    with torch.autocast(inputs.hole.device.type, torch.bfloat16, enabled=bfloat16):
        images = [
            renderer(inputs.frames(slice(start, start + batch_size)))
            for start in range(0, len(inputs.hole), batch_size)
        ]
    return torch.cat(images), soft_edge(inputs.hole)
