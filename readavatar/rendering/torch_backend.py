"""Visibility by trying every triangle at every pixel: slow, short, on any device; the other backends' oracle."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from readavatar.rendering.barycentric import edge_functions, pixel_centres

NUM_FACES_AT_ONCE = 64


def visible_faces(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], resolution: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Index of the nearest triangle at each pixel's centre, −1 for none; of equally near ones the first."""
    row, column = torch.meshgrid(*(torch.arange(n, device=faces.device) for n in resolution), indexing="ij")
    centres = pixel_centres(row, column, resolution)
    nearest = vertices_clip.new_full((len(vertices_clip), *resolution), torch.inf)
    index = torch.full(nearest.shape, -1, device=faces.device)
    for first in range(0, len(faces), NUM_FACES_AT_ONCE):
        corners = vertices_clip[:, faces[first : first + NUM_FACES_AT_ONCE]].double()[:, :, None, None]
        edges = edge_functions(corners, centres)
        area = (edges * corners[..., 3]).sum(-1)
        weights = edges / area[..., None]  # their sign is the edges' relative to the triangle's own orientation
        z = (weights * corners[..., 2]).sum(-1)
        seen = (weights >= 0).all(-1) & (area != 0) & (z >= -1) & (z <= 1)
        depth = torch.where(seen, z, torch.inf).to(nearest)
        best = depth.amin(1)
        number = torch.arange(first, first + corners.shape[1], device=faces.device)[:, None, None]
        which = torch.where(depth == best[:, None], number, len(faces)).amin(1)
        index = torch.where(best < nearest, which, index)
        nearest = torch.minimum(nearest, best)
    return index
