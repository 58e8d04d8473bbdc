"""Analytic antialiasing of outlines (Laine et al. 2020, *Modular primitives*, section 3.5).

Where an outline passes between two pixels' centres, at a fraction t of the way from the nearer surface's pixel to the
other, the one that it partly covers is blended: the nearer by 1/2 − t, or the other by t − 1/2. A mostly vertical edge
is seen by pixels side by side and a mostly horizontal one by pixels above each other, so that each piece of outline
counts once and the sum of a blended mask grows by just the area that a moving outline sweeps.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.rendering.barycentric import edge_functions, pixel_centres
from readavatar.rendering.outlines import find_crossings
from readavatar.rendering.topology import find_neighbours


def blend_outlines(
    image: Float[Tensor, "B C H W"],
    face_index: Int[Tensor, "B H W"],
    depth: Float[Tensor, "B H W"],
    vertices_clip: Float[Tensor, "B V 4"],
    faces: Int[Tensor, "F 3"],
) -> Float[Tensor, "B C H W"]:
    """See ``rasterize.antialias``."""
    if len(faces) == 0 or image.numel() == 0:
        return image
    search = find_crossings
    if vertices_clip.is_cpu:
        from readavatar.rendering.cpu_outlines import find_crossings as search
    near, far, face, edge = search(face_index, depth.detach(), vertices_clip.detach(), faces, find_neighbours(faces))
    corners = vertices_clip[near[:, 0, None], faces[face]].double()
    pixels = torch.stack([near, far])
    edges = edge_functions(corners, pixel_centres(pixels[..., 1], pixels[..., 2], face_index.shape[1:]))
    at_near, at_far = edges.gather(-1, edge.expand(2, -1)[..., None])[..., 0]
    weight = 0.5 - at_near / (at_near - at_far)
    return _blend(image, near, far, weight.to(image.dtype))


def _blend(
    image: Float[Tensor, "B C H W"], near: Int[Tensor, "n 3"], far: Int[Tensor, "n 3"], weight: Float[Tensor, " n"]
) -> Float[Tensor, "B C H W"]:
    _, _, height, width = image.shape
    strides = torch.tensor([height * width, width, 1], device=image.device)
    near, far = (near * strides).sum(-1), (far * strides).sum(-1)
    inside = weight > 0  # the outline passes inside the nearer pixel, which loses; else the other one gains
    changed, other = torch.where(inside, near, far), torch.where(inside, far, near)
    pixels = image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])
    # A sum, not a replacement: a pixel can have an outline on each of its four sides.
    blended = pixels.index_add(0, changed, weight.abs()[:, None] * (pixels[other] - pixels[changed]))
    return blended.reshape(image.shape[0], height, width, -1).permute(0, 3, 1, 2).contiguous()
