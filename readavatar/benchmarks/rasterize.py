"""The rasteriser against the clock, on the built-in head that fills most of the frame."""

from __future__ import annotations

import torch

from readavatar.benchmarks.figures import Figure, measure
from readavatar.morphable import load_morphable_model
from readavatar.rendering.camera import head_to_world, world_to_clip
from readavatar.rendering.rasterize import interpolate, rasterize
from readavatar.rendering.texture import sample_texture
from readavatar.types import default_camera

DISTANCE = 0.6
"""Metres; the head then covers about half of the frame."""
NUM_CHANNELS = 16
"""Of the neural texture."""


def bench_rasterize(morphable_model: str = "builtin") -> dict[str, Figure]:
    """Visibility, and a 16-channel texture forwards and backwards, one image and a batch of 16, at 256² and 512²."""
    model = load_morphable_model(morphable_model)
    figures = {}
    for size in (256, 512):
        for batch in (1, 16):
            head = model(torch.zeros(1, model.num_shape), torch.zeros(1, model.num_expressions)).expand(batch, -1, -1)
            turn = torch.stack([torch.zeros(batch), torch.linspace(-0.3, 0.3, batch), torch.zeros(batch)], 1)
            place = torch.tensor([0.0, 0.0, -DISTANCE]).expand(batch, 3)
            clip = world_to_clip(head_to_world(head, turn, place), default_camera(size, size))

            def visibility(clip=clip, size=size) -> None:
                rasterize(clip, model.faces, (size, size))

            def textured(clip=clip, size=size) -> None:
                vertices = clip.detach().requires_grad_()
                texture = torch.ones(1, NUM_CHANNELS, 512, 512, requires_grad=True)
                fragments = rasterize(vertices, model.faces, (size, size))
                sample_texture(
                    texture, interpolate(model.uvs[None], model.uv_faces, fragments)
                ).square().mean().backward()

            label = f"{len(model.faces)} triangles, {size}², batch {batch}"
            figures[f"{label}: visibility"] = measure(visibility, per=batch)
            figures[f"{label}: texture, forward + backward"] = measure(textured, per=batch)
    return figures
