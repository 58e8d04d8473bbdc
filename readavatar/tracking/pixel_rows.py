"""Filmed pixels beside rendered ones: what they say of light, albedo and, as rows of normal equations, of geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from readavatar.data.tracking_data import TrackingBatch
from readavatar.rendering.shading import spherical_harmonics, srgb_to_linear
from readavatar.rendering.texture import sample_texture
from readavatar.tracking.albedo import AlbedoPrior
from readavatar.tracking.alignment import select_pixels
from readavatar.tracking.landmark_rows import differentiate_by_gaze
from readavatar.tracking.lighting import solve_lighting, trusted
from readavatar.tracking.objective import Objective, SurfaceMaps, cropped, lit
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.projection import View, image_jacobian, shared_jacobian
from readavatar.tracking.terms import Rows

LIGHT_STRIDE = 2
"""Every so many pixels across and down are enough for 27 numbers."""
RIM = 3
"""Pixels around the mask, for filters."""
ALBEDO_TRUST = 0.2
"""Weight of a pixel that is nothing like what was expected: of another colour, perhaps, and not a hand."""
ALBEDO_TYPICALITY, ALBEDO_SYMMETRY = 0.001, 0.02
"""Weights beside the pixels of a well seen texel."""


@dataclass(frozen=True)
class FilmedFace:
    """The part of B frames in which the face is: rendered maps, filmed pixels, and where both can be compared."""

    maps: SurfaceMaps
    frames: Float[Tensor, "B 3 h w"]
    """In [0, 1], gamma-encoded."""
    mask: Float[Tensor, "B 1 h w"]
    """Of the face where it is rendered and filmed, times the detector's confidence."""


def filmed_face(objective: Objective, parameters: FaceParameters, batch: TrackingBatch) -> FilmedFace:
    """Render the maps of a batch's frames and cut them down to the face."""
    maps = objective.surface_maps(parameters, batch.indices, batch.frames.shape[-1])
    confidence = objective.observations.confidence[batch.indices]
    mask = maps.covered * (batch.masks > 0.5) * confidence[:, None, None, None]
    rows, columns = bounds(mask)
    return FilmedFace(cropped(maps, rows, columns), batch.frames[:, :, rows, columns], mask[:, :, rows, columns])


def bounds(mask: Float[Tensor, "B 1 H W"]) -> tuple[slice, slice]:
    """The rows and columns in which any frame's mask has anything, and a rim."""
    found = []
    for other in (3, 2):
        line = torch.nonzero(mask.amax((0, 1, other)) > 0)[:, 0]
        found.append(slice(max(0, int(line[0]) - RIM), int(line[-1]) + 1 + RIM) if len(line) else slice(0, 2 * RIM))
    return found[0], found[1]


def fitted_lighting(face: FilmedFace, current: Float[Tensor, "B 9 3"]) -> Float[Tensor, "B 9 3"]:
    """The light that explains the frames best, from every ``LIGHT_STRIDE``-th pixel."""
    images = (face.maps.albedo, face.maps.normals, face.frames, face.mask)
    return solve_lighting(*(image[:, :, ::LIGHT_STRIDE, ::LIGHT_STRIDE] for image in images), current)


def improved_albedo(
    face: FilmedFace, lighting: Float[Tensor, "B 9 3"], albedo: Float[Tensor, "3 R R"], prior: AlbedoPrior
) -> Float[Tensor, "3 R R"]:
    """One step towards the albedo that explains the frames best."""
    shading = torch.einsum("bkhw,bkc->bchw", spherical_harmonics(face.maps.normals), lighting).clamp(min=0)
    # By trust alone: the gamma curve's slope would let a mouth's shadows outweigh the teeth that they hide.
    weight = face.mask * trusted(face.maps.albedo * shading, face.frames, least=ALBEDO_TRUST)
    radiance = srgb_to_linear(face.frames)
    return prior.improve(albedo, face.maps.uvs, radiance, shading, weight, ALBEDO_TYPICALITY, ALBEDO_SYMMETRY)


def with_albedo(face: FilmedFace, albedo: Float[Tensor, "3 R R"]) -> FilmedFace:
    """The same face in another albedo."""
    return replace(face, maps=replace(face.maps, albedo=sample_texture(albedo[None], face.maps.uvs)))


def mean_squared_error(face: FilmedFace, lighting: Float[Tensor, "B 9 3"]) -> Float[Tensor, ""]:
    """Of the gamma-encoded colours where rendered and filmed pixels can be compared."""
    squared = (lit(face.maps, lighting) - face.frames).square().mean(1, keepdim=True)
    return (squared * face.mask).sum() / face.mask.sum().clamp(min=1)


def pixel_rows(
    objective: Objective,
    parameters: FaceParameters,
    indices: Int[Tensor, " B"],
    view: View,
    face: FilmedFace,
    count: int,
    shares: bool,
) -> Rows:
    """The pixels that say most of geometry, in three colours each, linearised.

    Args:
        objective: Whose surface.
        parameters: Where.
        indices: Frames.
        view: Of these frames.
        face: In these frames.
        count: Pixels of a frame.
        shares: Whether the shared unknowns are free too.

    Returns:
        Rows whose confidence, robust and importance weights are in their residuals and derivatives already.
    """
    surface, maps = objective.surface, face.maps
    importance = surface.importance[maps.fragments.face_index.clamp(min=0)][:, None]
    pixels = select_pixels(maps, parameters.lighting[indices], face.frames, face.mask, importance, count)
    gaze, expression = parameters.gaze[indices], parameters.expression[indices]
    by_gaze = differentiate_by_gaze(lambda g: surface(parameters.shape[None], expression, g), maps.head, gaze)
    corners = surface.faces[pixels.face_index]
    head = at_points(maps.head, corners, pixels.barycentrics)
    by_gaze = at_points(by_gaze.flatten(2), corners, pixels.barycentrics).unflatten(-1, (3, 2))
    by_head_normal = pixels.by_normal @ view.rotation[:, None]
    moves, turns = basis_at_points(surface.by_expression, corners, pixels.barycentrics).split(3, 2)
    own = pixels.by_motion @ image_jacobian(view, head, moves, by_gaze)
    num_expressions = turns.shape[-1]
    own[..., :num_expressions] += by_head_normal @ turns
    # A turn ω of the head turns a normal n by ω × n, so that g · (ω × n) = ω · (n × g).
    normals = maps.normals.flatten(2).mT.gather(1, pixels.index[..., None].expand(-1, -1, 3))
    by_turn = torch.linalg.cross(normals[:, :, None].expand_as(pixels.by_normal), pixels.by_normal)
    own[..., num_expressions : num_expressions + 3] += by_turn
    shared = None
    if shares:
        moves, turns = basis_at_points(surface.by_shape, corners, pixels.barycentrics).split(3, 2)
        shared = pixels.by_motion @ shared_jacobian(view, head, moves)
        shared[..., : turns.shape[-1]] += by_head_normal @ turns
        shared = F.pad(shared, (0, parameters.offsets.numel())).flatten(1, 2)
    residuals = pixels.residuals.flatten(1)
    return Rows(residuals, own.flatten(1, 2), torch.ones_like(residuals), shared)


def at_points(
    values: Float[Tensor, "B n c"], corners: Int[Tensor, "B K 3"], barycentrics: Float[Tensor, "B K 3"]
) -> Float[Tensor, "B K c"]:
    """Values of the vertices at points of triangles."""
    index = corners.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
    at_corners = values.gather(1, index).unflatten(1, corners.shape[1:])
    return (at_corners * barycentrics[..., None]).sum(2)


def basis_at_points(
    basis: Float[Tensor, "n k c"], corners: Int[Tensor, "B K 3"], barycentrics: Float[Tensor, "B K 3"]
) -> Float[Tensor, "B K k c"]:
    """A basis of the vertices, the same in all frames, at points of triangles."""
    flat, weights = corners.reshape(-1, 3), barycentrics.reshape(-1, 3)
    mixed = F.embedding_bag(flat, basis.flatten(1), per_sample_weights=weights, mode="sum")
    return mixed.view(*corners.shape[:2], *basis.shape[1:])
