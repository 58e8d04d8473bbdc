"""One call for every rasteriser: which triangle does a pixel's centre see, and where on it.

A backend decides visibility alone; the barycentrics are recomputed here from the clip-space vertices, so that their
gradients are the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.rendering.cpu import visible_faces


@dataclass(frozen=True)
class Fragments:
    """What each pixel sees."""

    face_index: Int[Tensor, "B H W"]
    """−1 where there is no surface."""
    barycentrics: Float[Tensor, "B H W 3"]
    """Perspective-correct; zeros on the background."""
    depth: Float[Tensor, "B H W"]
    """z / w in [−1, 1]; 1 on the background."""


def rasterize(
    vertices_clip: Float[Tensor, "B V 4"],
    faces: Int[Tensor, "F 3"],
    resolution: tuple[int, int],
    backend: str = "auto",
) -> Fragments:
    """Rasterise triangles (both sides are seen)."""
    face_index = visible_faces(vertices_clip.detach(), faces, resolution)
    height, width = resolution
    covered = face_index >= 0
    batch, row, column = torch.nonzero(covered, as_tuple=True)
    corners = vertices_clip[batch[:, None], faces[face_index[covered]]]
    x = (column + 0.5) * (2 / width) - 1
    y = 1 - (row + 0.5) * (2 / height)
    w = corners[..., 3]
    # Relative to the pixel, the corners' clip positions span homogeneous 2D edges (Olano & Greer 1997, eq. 5).
    u, v = corners[..., 0] - x[:, None] * w, corners[..., 1] - y[:, None] * w
    edges = u.roll(-1, 1) * v.roll(-2, 1) - u.roll(-2, 1) * v.roll(-1, 1)
    total = edges.sum(1, keepdim=True)
    total = torch.where(total.abs() < 1e-20, torch.full_like(total, 1e-20), total)
    weights = edges / total
    z = (weights * corners[..., 2]).sum(1) / (weights * w).sum(1)
    barycentrics = torch.zeros(*face_index.shape, 3, dtype=weights.dtype).index_put((batch, row, column), weights)
    depth = torch.ones(face_index.shape, dtype=weights.dtype).index_put((batch, row, column), z)
    return Fragments(face_index, barycentrics, depth)


def interpolate(
    attributes: Float[Tensor, "#B U C"], faces: Int[Tensor, "F 3"], fragments: Fragments
) -> Float[Tensor, "B C H W"]:
    """Attributes of the vertices at every pixel, zeros on the background."""
    covered = fragments.face_index >= 0
    batch, row, column = torch.nonzero(covered, as_tuple=True)
    corners = faces[fragments.face_index[covered]]
    at = batch if attributes.shape[0] > 1 else torch.zeros_like(batch)
    values = (attributes[at[:, None], corners] * fragments.barycentrics[covered][..., None]).sum(1)
    image = torch.zeros(*covered.shape, attributes.shape[-1], dtype=values.dtype)
    return image.index_put((batch, row, column), values).permute(0, 3, 1, 2)


def silhouette(fragments: Fragments) -> Float[Tensor, "B 1 H W"]:
    """1 where there is a surface, else 0."""
    return (fragments.face_index >= 0)[:, None].to(fragments.barycentrics.dtype)
