"""Analytic antialiasing of silhouettes (Laine et al. 2020, *Modular primitives*, section 3.5), in plain PyTorch.

Between two neighbouring pixels with different triangles, the nearer surface is followed from its pixel's centre towards
the other's, from triangle to triangle, until it ends at a silhouette: a boundary, or an edge where it folds behind
itself. (The paper looks at the first triangle only, which on a mesh as fine as the pixels misses most of the outline.)
Where the edge crosses at a fraction t of the way, the pixel that is partly covered is blended: the nearer by 1/2 − t,
or the other by t − 1/2.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from readavatar.rendering.barycentric import edge_functions, pixel_centres
from readavatar.rendering.topology import Neighbours, find_neighbours

MAX_TRIANGLES = 4
"""How many triangles may lie between two pixels' centres; beyond, the pair is left unblended."""


def blend_silhouettes(
    image: Float[Tensor, "B C H W"],
    face_index: Int[Tensor, "B H W"],
    depth: Float[Tensor, "B H W"],
    vertices_clip: Float[Tensor, "B V 4"],
    faces: Int[Tensor, "F 3"],
) -> Float[Tensor, "B C H W"]:
    """See ``rasterize.antialias``."""
    if len(faces) == 0 or image.numel() == 0:
        return image
    resolution = face_index.shape[1:]
    with torch.no_grad():
        neighbours = find_neighbours(faces)
        silhouettes = silhouette_edges(vertices_clip, faces, neighbours)
        near, far = _pixel_pairs(face_index, depth, _faces_near(silhouettes, vertices_clip.shape[1], faces))
        found, face, edge = _follow(near, far, face_index, vertices_clip, faces, neighbours, silhouettes)
        near, far = near[found], far[found]
    corners = vertices_clip[near[:, 0, None], faces[face]].double()
    edges = edge_functions(corners, _centres(torch.stack([near, far]), resolution))
    at_near, at_far = edges.gather(-1, edge.expand(2, -1)[..., None])[..., 0]
    weight = 0.5 - at_near / (at_near - at_far)
    return _blend(image, near, far, weight.to(image.dtype))


def silhouette_edges(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], neighbours: Neighbours
) -> Bool[Tensor, "B F 3"]:
    """Edges with nothing across them, or with a triangle that faces the other way."""
    # The homogeneous determinant of a triangle is w₀ w₁ w₂ times its area on the screen.
    w = vertices_clip[..., 3:]
    on_screen = torch.cat([vertices_clip[..., :2] / torch.where(w == 0, 1e-12, w), w.sign()], -1)
    first, second, third = on_screen.index_select(1, faces.flatten()).unflatten(1, (-1, 3)).unbind(2)
    (x1, y1, _), (x2, y2, _) = (second - first).unbind(-1), (third - first).unbind(-1)
    side = (x1 * y2 - x2 * y1).sign() * first[..., 2] * second[..., 2] * third[..., 2]
    across = side.index_select(1, neighbours.face.clamp(min=0).flatten()).unflatten(1, (-1, 3)) * neighbours.winding
    return (neighbours.face < 0) | (across != side[..., None])


def _faces_near(
    silhouettes: Bool[Tensor, "B F 3"], num_vertices: int, faces: Int[Tensor, "F 3"]
) -> Bool[Tensor, "B F"]:
    """Triangles from which a silhouette can be reached within ``MAX_TRIANGLES``."""
    at_edge = silhouettes.any(-1)
    for _ in range(MAX_TRIANGLES - 1):
        touched = torch.zeros(len(silhouettes), num_vertices, dtype=torch.bool, device=faces.device)
        batch, face = torch.nonzero(at_edge, as_tuple=True)
        touched[batch[:, None], faces[face]] = True
        at_edge = touched.index_select(1, faces.flatten()).unflatten(1, (-1, 3)).any(-1)
    return at_edge


def _pixel_pairs(
    face_index: Int[Tensor, "B H W"], depth: Float[Tensor, "B H W"], relevant: Bool[Tensor, "B F"]
) -> tuple[Int[Tensor, "n 3"], Int[Tensor, "n 3"]]:
    """(image, row, column) of neighbouring pixels with different triangles: the nearer one's and the other's."""
    seen = face_index >= 0
    relevant = relevant.flatten(1).gather(1, face_index.clamp(min=0).flatten(1)).reshape(face_index.shape) & seen
    nearer, farther = [], []
    for axis in (1, 2):
        length = face_index.shape[axis] - 1
        one, other = slice(0, length), slice(1, length + 1)
        index = [slice(None)] * 3
        pairs = []
        for part in (one, other):
            index[axis] = part
            pairs.append(tuple(index))
        first, second = pairs
        differs = face_index[first] != face_index[second]
        first_nearer = depth[first] <= depth[second]
        step = torch.tensor([0, axis == 1, axis == 2], device=face_index.device).long()
        at = torch.nonzero(differs & first_nearer & relevant[first])
        nearer.append(at)
        farther.append(at + step)
        at = torch.nonzero(differs & ~first_nearer & relevant[second])
        nearer.append(at + step)
        farther.append(at)
    return torch.cat(nearer), torch.cat(farther)


def _follow(
    near: Int[Tensor, "n 3"],
    far: Int[Tensor, "n 3"],
    face_index: Int[Tensor, "B H W"],
    vertices_clip: Float[Tensor, "B V 4"],
    faces: Int[Tensor, "F 3"],
    neighbours: Neighbours,
    silhouettes: Bool[Tensor, "B F 3"],
) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Which pairs have a silhouette between them, and the triangle and the edge where the nearer surface ends."""
    resolution = face_index.shape[1:]
    pair, centres = torch.arange(len(near), device=near.device), _centres(torch.stack([near, far]), resolution)
    face = face_index[tuple(near.unbind(-1))]
    results = []
    for _ in range(MAX_TRIANGLES):
        batch = near[pair, 0]
        corners = vertices_clip[batch[:, None], faces[face]].double()
        at_near, at_far = edge_functions(corners, centres[:, pair])
        side = (at_near * corners[..., 3]).sum(-1, keepdim=True).sign()
        leaves = (at_near * side >= 0) & (at_far * side < 0)
        fraction = torch.where(leaves, at_near / torch.where(leaves, at_near - at_far, 1.0), torch.inf)
        edge = fraction.argmin(-1)
        leaves = leaves.any(-1)
        ends = leaves & silhouettes[batch, face, edge]
        results.append((pair[ends], face[ends], edge[ends]))
        goes_on = leaves & ~ends
        pair, face = pair[goes_on], neighbours.face[face[goes_on], edge[goes_on]]
    return tuple(torch.cat(part) for part in zip(*results, strict=True))


def _centres(pixels: Int[Tensor, "2 n 3"], resolution: tuple[int, int]) -> Float[Tensor, "2 n 2"]:
    return pixel_centres(pixels[..., 1], pixels[..., 2], resolution)


def _blend(
    image: Float[Tensor, "B C H W"], near: Int[Tensor, "n 3"], far: Int[Tensor, "n 3"], weight: Float[Tensor, " n"]
) -> Float[Tensor, "B C H W"]:
    _, _, height, width = image.shape
    size = torch.tensor([height * width, width, 1], device=image.device)
    inside = (weight > 0)[:, None]  # the edge passes inside the nearer pixel, which loses; else the other one gains
    changed, other = torch.where(inside, near, far), torch.where(inside, far, near)
    pixels = image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])
    changed, other = (changed * size).sum(-1), (other * size).sum(-1)
    # A sum, not a replacement: a pixel can have an edge on each of its four sides.
    blended = pixels.index_add(0, changed, weight.abs()[:, None] * (pixels[other] - pixels[changed]))
    return blended.reshape(image.shape[0], height, width, -1).permute(0, 3, 1, 2).contiguous()
