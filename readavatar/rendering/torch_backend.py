"""Rasterisation in plain PyTorch: for any device, and as the reference of the other backends.

Visibility tests every triangle at every pixel, which is slow. Barycentrics and attributes at pixels are computed here
on every device except the CPU, for all backends of visibility.

Symbols: pixel centre (x, y) in clip units, corners i = 0, 1, 2 with (xᵢ, yᵢ, zᵢ, wᵢ), uᵢ = xᵢ − x wᵢ, vᵢ = yᵢ − y wᵢ,
edges eᵢ = uⱼ vₖ − uₖ vⱼ (j = i + 1, k = i + 2), barycentrics bᵢ = eᵢ / Σ e.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

NUM_FACES_AT_ONCE = 64


def pixel_centres(
    row: Int[Tensor, "*n"], column: Int[Tensor, "*n"], resolution: tuple[int, int]
) -> Float[Tensor, "*n 2"]:
    """Pixels → the clip-space x / w and y / w of their centres, in double precision if the device has it."""
    height, width = resolution
    x = (_precise(column) + 0.5) * (2 / width) - 1
    y = 1 - (_precise(row) + 0.5) * (2 / height)
    return torch.stack([x, y], -1)


def edge_functions(corners: Float[Tensor, "*#n 3 4"], centres: Float[Tensor, "*#n 2"]) -> Float[Tensor, "*n 3"]:
    """e₀, e₁, e₂ of triangles in clip space (Olano & Greer 1997, eq. 5), taken relative to the pixel for precision."""
    (u0, v0), (u1, v1), (u2, v2) = (
        (corner[..., :2] - centres * corner[..., 3:]).unbind(-1) for corner in corners.unbind(-2)
    )
    return torch.stack([u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0], -1)


def visible_faces(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], resolution: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Index of the nearest triangle at each pixel's centre, −1 for none; of equally near ones the first."""
    row, column = torch.meshgrid(*(torch.arange(n, device=faces.device) for n in resolution), indexing="ij")
    centres = pixel_centres(row, column, resolution)
    nearest = vertices_clip.new_full((len(vertices_clip), *resolution), torch.inf)
    index = torch.full(nearest.shape, -1, device=faces.device)
    for first in range(0, len(faces), NUM_FACES_AT_ONCE):
        corners = _precise(vertices_clip[:, faces[first : first + NUM_FACES_AT_ONCE]])[:, :, None, None]
        edges = edge_functions(corners, centres)
        area = (edges * corners[..., 3]).sum(-1)
        weights = edges / area[..., None]  # positive on the inner side of each edge
        z = (weights * corners[..., 2]).sum(-1)
        seen = (weights >= 0).all(-1) & (area != 0) & (z >= -1) & (z <= 1)
        depth = torch.where(seen, z, torch.inf).to(nearest)
        best = depth.amin(1)
        number = torch.arange(first, first + corners.shape[1], device=faces.device)[:, None, None]
        which = torch.where(depth == best[:, None], number, len(faces)).amin(1)
        index = torch.where(best < nearest, which, index)
        nearest = torch.minimum(nearest, best)
    return index


def barycentrics_and_depth(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], face_index: Int[Tensor, "B H W"]
) -> tuple[Float[Tensor, "B H W 3"], Float[Tensor, "B H W"]]:
    """Perspective-correct barycentrics (0 on the background) and z / w (1 there), differentiable in the vertices."""
    batch, row, column = torch.nonzero(face_index >= 0, as_tuple=True)
    corners = _precise(vertices_clip[batch[:, None], faces[face_index[batch, row, column]]])
    edges = edge_functions(corners, pixel_centres(row, column, face_index.shape[1:]))
    weights = edges / edges.sum(-1, keepdim=True)
    z = (weights * corners[..., 2]).sum(-1) / (weights * corners[..., 3]).sum(-1)
    barycentrics = vertices_clip.new_zeros(*face_index.shape, 3)
    depth = vertices_clip.new_ones(face_index.shape)
    at = (batch, row, column)
    return barycentrics.index_put(at, weights.to(barycentrics)), depth.index_put(at, z.to(depth))


def interpolate_attributes(
    attributes: Float[Tensor, "#B U C"],
    faces: Int[Tensor, "F 3"],
    face_index: Int[Tensor, "B H W"],
    barycentrics: Float[Tensor, "B H W 3"],
) -> Float[Tensor, "B C H W"]:
    """Σ bᵢ · attributeᵢ at each pixel, 0 on the background."""
    batch, row, column = torch.nonzero(face_index >= 0, as_tuple=True)
    corners = faces[face_index[batch, row, column]]
    image = batch if len(attributes) > 1 else torch.zeros_like(batch)
    values = (attributes[image[:, None], corners] * barycentrics[batch, row, column][..., None]).sum(1)
    pixels = values.new_zeros(*face_index.shape, attributes.shape[-1]).index_put((batch, row, column), values)
    return pixels.permute(0, 3, 1, 2).contiguous()


def _precise(values: Shaped[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    return values.float() if values.device.type == "mps" else values.double()  # Apple's GPUs have single precision
