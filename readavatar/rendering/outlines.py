"""Where outlines pass between neighbouring pixels, in plain PyTorch: any device, and the compiled twin's oracle.

From two neighbouring pixels with different triangles, the nearer surface is followed from its pixel's centre towards
the other's, from triangle to triangle, until it ends at a silhouette: a boundary, or an edge where it folds behind
itself. (Laine et al. 2020 look at the first triangle only; on a mesh as fine as the pixels that finds a tenth of the
outline.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from readavatar.rendering.barycentric import edge_functions, pixel_centres
from readavatar.rendering.topology import Neighbours

MAX_TRIANGLES = 16
"""How many triangles may lie between two pixels' centres: near an outline a surface is seen almost edge-on."""


class Crossings(NamedTuple):
    """Pairs of pixels with an outline between them."""

    near: Int[Tensor, "n 3"]
    """(image, row, column) of the pixel that sees the surface with the outline."""
    far: Int[Tensor, "n 3"]
    """Of the other."""
    face: Int[Tensor, " n"]
    """The triangle where the surface ends."""
    edge: Int[Tensor, " n"]
    """Its edge, numbered by the corner opposite."""


def find_crossings(
    face_index: Int[Tensor, "B H W"],
    depth: Float[Tensor, "B H W"],
    vertices_clip: Float[Tensor, "B V 4"],
    faces: Int[Tensor, "F 3"],
    neighbours: Neighbours,
) -> Crossings:
    """All crossings of the outlines of a mesh that was rasterised."""
    silhouettes = silhouette_edges(vertices_clip, faces, neighbours)
    near, far = _pixel_pairs(face_index, depth, _faces_near(silhouettes, vertices_clip.shape[1], faces))
    resolution = face_index.shape[1:]
    pixels = torch.stack([near, far])
    centres = pixel_centres(pixels[..., 1], pixels[..., 2], resolution)
    pair, face = torch.arange(len(near), device=near.device), face_index[tuple(near.unbind(-1))]
    found = []
    for _ in range(MAX_TRIANGLES):
        batch = near[pair, 0]
        corners = vertices_clip[batch[:, None], faces[face]].double()
        at_near, at_far = edge_functions(corners, centres[:, pair])
        side = (at_near * corners[..., 3]).sum(-1, keepdim=True).sign()
        leaves = (at_near * side >= 0) & (at_far * side < 0)
        fraction = torch.where(leaves, at_near / torch.where(leaves, at_near - at_far, 1.0), torch.inf)
        edge, leaves = fraction.argmin(-1), leaves.any(-1)
        ends = leaves & silhouettes[batch, face, edge]
        found.append((pair[ends], face[ends], edge[ends]))
        goes_on = leaves & ~ends
        pair, face = pair[goes_on], neighbours.face[face[goes_on], edge[goes_on]]
    pair, face, edge = (torch.cat(part) for part in zip(*found, strict=True))
    near, far = near[pair], far[pair]
    across = _faces_the_pair(near, far, vertices_clip, faces[face], edge, resolution)
    return Crossings(near[across], far[across], face[across], edge[across])


def silhouette_edges(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], neighbours: Neighbours
) -> Bool[Tensor, "B F 3"]:
    """Edges with nothing across them, or with a triangle that faces the other way."""
    # The homogeneous determinant of a triangle is w₀ w₁ w₂ times its area on the screen.
    w = vertices_clip[..., 3:].double()
    on_screen = torch.cat([vertices_clip[..., :2] / torch.where(w == 0, 1e-12, w), w.sign()], -1)
    first, second, third = on_screen.index_select(1, faces.flatten()).unflatten(1, (-1, 3)).unbind(2)
    (x1, y1, _), (x2, y2, _) = (second - first).unbind(-1), (third - first).unbind(-1)
    side = (x1 * y2 - x2 * y1).sign() * first[..., 2] * second[..., 2] * third[..., 2]
    across = side.index_select(1, neighbours.face.clamp(min=0).flatten()).unflatten(1, (-1, 3)) * neighbours.winding
    return (neighbours.face < 0) | (across != side[..., None])


def _faces_near(
    silhouettes: Bool[Tensor, "B F 3"], num_vertices: int, faces: Int[Tensor, "F 3"]
) -> Bool[Tensor, "B F"]:
    """Triangles from which a silhouette may be reached within ``MAX_TRIANGLES``."""
    at_edge = silhouettes.any(-1)
    # On any path through edges, a triangle shares a corner with the next but one.
    for _ in range(MAX_TRIANGLES // 2):
        touched = torch.zeros(len(silhouettes), num_vertices, dtype=torch.bool, device=faces.device)
        batch, face = torch.nonzero(at_edge, as_tuple=True)
        touched[batch[:, None], faces[face]] = True
        at_edge = touched.index_select(1, faces.flatten()).unflatten(1, (-1, 3)).any(-1)
    return at_edge


def _pixel_pairs(
    face_index: Int[Tensor, "B H W"], depth: Float[Tensor, "B H W"], relevant: Bool[Tensor, "B F"]
) -> tuple[Int[Tensor, "n 3"], Int[Tensor, "n 3"]]:
    """(image, row, column) of neighbouring pixels with different triangles: the nearer one's and the other's."""
    seen = relevant.gather(1, face_index.clamp(min=0).flatten(1)).reshape(face_index.shape) & (face_index >= 0)
    nearer, farther = [], []
    for axis in (1, 2):
        length = face_index.shape[axis] - 1
        index, later_index = face_index.narrow(axis, 0, length), face_index.narrow(axis, 1, length)
        first_nearer = depth.narrow(axis, 0, length) <= depth.narrow(axis, 1, length)
        step = torch.tensor([0, axis == 1, axis == 2], device=face_index.device).long()
        first = torch.nonzero((index != later_index) & first_nearer & seen.narrow(axis, 0, length))
        second = torch.nonzero((index != later_index) & ~first_nearer & seen.narrow(axis, 1, length))
        nearer += [first, second + step]
        farther += [first + step, second]
    return torch.cat(nearer), torch.cat(farther)


def _faces_the_pair(
    near: Int[Tensor, "n 3"],
    far: Int[Tensor, "n 3"],
    vertices_clip: Float[Tensor, "B V 4"],
    corners: Int[Tensor, "n 3"],
    edge: Int[Tensor, " n"],
    resolution: tuple[int, int],
) -> Bool[Tensor, " n"]:
    """Whether an edge is mostly vertical, for pixels side by side, or mostly horizontal, for those above each other."""
    ends = corners.gather(1, torch.stack([edge + 1, edge + 2], 1) % 3)
    start, end = vertices_clip[near[:, :1], ends].double().unbind(1)
    (x1, y1, _, w1), (x2, y2, _, w2) = start.unbind(-1), end.unbind(-1)
    height, width = resolution
    horizontally, vertically = ((y1 * w2 - y2 * w1) / width).abs(), ((x1 * w2 - x2 * w1) / height).abs()
    return torch.where(near[:, 1] == far[:, 1], horizontally >= vertically, horizontally < vertically)
