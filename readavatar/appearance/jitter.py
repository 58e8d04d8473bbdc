"""Disturbing what the network sees in training, so that tracking noise and driven faces do not surprise it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.data.render_inputs import RenderInputs
from readavatar.rendering.sliding import grown


@dataclass(frozen=True)
class Jitter:
    """How much of each; all zeros disturb nothing."""

    uv: float = 0.0
    """Standard deviation by which the surface slides under its texture, a frame as a whole; 1 is the texture's side."""
    gaze: float = 0.01
    """Standard deviation, radians."""
    hole: float = 0.03
    """The most that the hole grows in any direction, as a part of the frame's height."""


def jittered(inputs: RenderInputs, frames: Float[Tensor, "B 3 H W"], jitter: Jitter) -> RenderInputs:
    """Disturb inputs; ``frames`` are the footage that the (grown) hole is cut from."""
    batch, height = len(frames), frames.shape[-2]
    covered = (inputs.regions > 0)[:, None]
    slide = torch.randn(batch, 2, 1, 1, device=frames.device) * jitter.uv
    gaze = inputs.gaze + torch.randn_like(inputs.gaze) * jitter.gaze
    radius = int(torch.randint(round(jitter.hole * height) + 1, (1,)))
    hole = grown(inputs.hole, radius)
    return replace(
        inputs, uvs=(inputs.uvs + slide).clamp(0, 1) * covered, gaze=gaze, hole=hole, context=frames * (1 - hole)
    )
