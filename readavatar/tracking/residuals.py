"""The data terms of a fit: landmarks, lip and lid gaps, irises and pixels as rows of normal equations.

Light and albedo are updated in closed form from the same pixels. A residual of 1 is one typical error, and a term's
weight is relative to such errors. Lengths in the image are frame sides; ``unit`` (B,) is the head's size: the distance
of the outer eye corners of the mean face in a frontal view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from readavatar.data.datasets.tracking import TrackingBatch
from readavatar.rendering.shading import sample_texture, spherical_harmonics, srgb_to_linear
from readavatar.tracking.albedo import AlbedoPrior
from readavatar.tracking.alignment import select_pixels, solve_lighting, trusted
from readavatar.tracking.objective import FitObjective, SurfaceMaps, cropped, lit
from readavatar.tracking.parameters import FaceParameters, View, image_jacobian, point_jacobian, shared_jacobian

LANDMARK_ERROR = 0.01
"""Relative to ``unit``: the error of a fit of landmarks alone (0.95 % on MEAD)."""
OUTLIER = 0.06
"""Relative to ``unit``: a landmark with a larger error is an outlier."""
JAW_WEIGHT = 0.05
"""Low, since the jaw line's landmarks move along the contour with the head's rotation (as in Deng et al. 2019)."""
LIP_GAPS = ((61, 67), (62, 66), (63, 65))
EYE_GAPS = ((37, 41), (38, 40), (43, 47), (44, 46))


@dataclass(frozen=True)
class Rows:
    """R residuals of each of B frames, their derivatives by its D own and the G shared unknowns; not yet weighted."""

    residuals: Float[Tensor, "B R"]
    jacobian: Float[Tensor, "B R D"]
    weights: Float[Tensor, "B R"]
    """Of the squares: confidence times the robust weight."""
    shared: Float[Tensor, "B R G"] | None = None
    """None if the shared unknowns are not free."""


def robust_weight(squared: Float[Tensor, "*shape"], outlier: float) -> Float[Tensor, "*shape"]:
    """The weight ρ'(s) of a squared residual under Geman & McClure's ρ(s) = s / (1 + s / outlier²)."""
    return 1 / (1 + squared / outlier**2) ** 2


def point_rows(
    predicted: Float[Tensor, "B n 2"],
    target: Float[Tensor, "B n 2"],
    jacobian: Float[Tensor, "B n 2 D"],
    unit: Float[Tensor, " B"],
    weights: Float[Tensor, "#B #n"],
    by_shared: Float[Tensor, "B n 2 G"] | None = None,
) -> Rows:
    """Reprojection of points (landmarks, pupils), or of differences of points (gaps).

    Args:
        predicted: Frame sides.
        target: The detected points.
        jacobian: Derivatives of ``predicted`` by the frames' own unknowns.
        unit: The heads' sizes, frame sides.
        weights: Of the points.
        by_shared: Derivatives by the shared unknowns.
    """
    difference = (predicted - target) / unit[:, None, None]
    weights = weights * robust_weight(difference.square().sum(-1), OUTLIER)
    error = LANDMARK_ERROR * unit[:, None, None, None]
    return Rows(
        difference.flatten(1) / LANDMARK_ERROR,
        (jacobian / error).flatten(1, 2),
        weights[..., None].expand(-1, -1, 2).flatten(1),
        None if by_shared is None else (by_shared / error).flatten(1, 2),
    )


def gaps(points: Float[Tensor, "B 68 *c"]) -> Float[Tensor, "B 7 *c"]:
    """Vectors between upper and lower lips and lids."""
    upper, lower = zip(*(LIP_GAPS + EYE_GAPS), strict=True)
    return points[:, list(upper)] - points[:, list(lower)]


def landmark_weights(like: Tensor) -> Float[Tensor, " 68"]:
    """1 for the inner landmarks, less for the jaw line."""
    weights = torch.ones(68, device=like.device)
    weights[:17] = JAW_WEIGHT
    return weights


def eye_openness(landmarks_2d: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B 2"]:
    """Of the left and the right eye: 0 closed, 1 open as at rest (a lid gap of a quarter of the eye's width)."""
    opening = []
    for pairs, (inner, outer) in ((EYE_GAPS[2:], (42, 45)), (EYE_GAPS[:2], (36, 39))):
        gap = sum((landmarks_2d[:, a] - landmarks_2d[:, b]).norm(dim=-1) for a, b in pairs) / 2
        width = (landmarks_2d[:, inner] - landmarks_2d[:, outer]).norm(dim=-1).clamp(min=1e-6)
        opening.append((gap / width - 0.1) / 0.15)
    return torch.stack(opening, 1).clamp(0, 1)


def second_differences(clip_index: Int[Tensor, " T"]) -> Float[Tensor, "t T"]:
    """The matrix of second differences of T consecutive frames, within clips."""
    rows = torch.arange(len(clip_index) - 2)
    matrix = torch.zeros(len(rows), len(clip_index), device=clip_index.device)
    for offset, factor in ((0, 1.0), (1, -2.0), (2, 1.0)):
        matrix[rows, rows + offset] = factor
    return matrix[clip_index[2:] == clip_index[:-2]]


GAZE_PROBE = 1e-3
"""Step of the finite differences by the gaze, radians."""


def landmark_rows(
    objective: FitObjective, parameters: FaceParameters, indices: Int[Tensor, " B"], view: View, shares: bool
) -> dict[str, Rows]:
    """The terms of landmarks, gaps and, for a model with eyes, irises; see ``terms``.

    Args:
        objective: With the observations.
        parameters: The point of linearisation.
        indices: Frames.
        view: Their poses and cameras.
        shares: Whether the shared unknowns are free.
    """
    seen, unit = objective.observations, objective.units[indices]
    confidence, target = seen.confidence[indices], seen.landmarks_2d[indices]
    points, own, shared = linearised_landmarks(objective, parameters, indices, view, shares)
    landmarks, by_own = points[:, :68], own[:, :68]
    by_shared = None if shared is None else shared[:, :68]
    inner = landmark_weights(target)[None] * confidence[:, None]
    rows = {"landmarks": point_rows(landmarks, target, by_own, unit, inner, by_shared)}
    of_gaps = [gaps(values) for values in (landmarks, target, by_own)]
    gap_by_shared = None if by_shared is None else gaps(by_shared)
    rows["gaps"] = point_rows(*of_gaps, unit, confidence[:, None], gap_by_shared)
    if points.shape[1] > 68:
        open_eyes = eye_openness(target) * (confidence * seen.has_irises[indices])[:, None]
        by_shared = None if shared is None else shared[:, 68:]
        rows["irises"] = point_rows(points[:, 68:], seen.irises[indices], own[:, 68:], unit, open_eyes, by_shared)
    return rows


def linearised_landmarks(
    objective: FitObjective, parameters: FaceParameters, indices: Int[Tensor, " B"], view: View, shares: bool
) -> tuple[Float[Tensor, "B n 2"], Float[Tensor, "B n 2 D"], Float[Tensor, "B n 2 G"] | None]:
    """The 68 landmarks (with the detector's offsets) and the pupils in the image, and their derivatives.

    Args:
        objective: With the model.
        parameters: The point of linearisation.
        indices: Frames.
        view: Their poses and cameras.
        shares: Whether to return derivatives by the shared unknowns: shape, focal length and the landmarks' offsets.

    Returns:
        Frame sides; derivatives by the frames' own unknowns (see ``projection``) and by the shared ones, or None.
    """
    model, expression, gaze = objective.landmark_model, parameters.expression[indices], parameters.gaze[indices]

    def points_at(gaze: Float[Tensor, "B 2"]) -> Float[Tensor, "B n 3"]:
        return torch.cat(model(parameters.shape[None], expression, gaze), 1)

    head = points_at(gaze)
    by_gaze = differentiate_by_gaze(points_at, head, gaze)
    head[:, :68] += parameters.offsets
    points = view.image(view.world(head))
    own = image_jacobian(view, head, model.by_expression[None], by_gaze)
    if not shares:
        return points, own, None
    by_shape_and_focal = shared_jacobian(view, head, model.by_shape[None])
    by_offset = own.new_zeros(*own.shape[:3], 68, 3)
    number = torch.arange(68, device=own.device)
    by_offset[:, number, :, number] = point_jacobian(view, head)[:, :68].transpose(0, 1)
    return points, own, torch.cat([by_shape_and_focal, by_offset.flatten(3)], -1)


def differentiate_by_gaze(
    points_at: Callable[[Tensor], Tensor], points: Float[Tensor, "B n 3"], gaze: Float[Tensor, "B 2"]
) -> Float[Tensor, "B n 3 2"]:
    """Derivatives of points by the gaze, by finite differences.

    Args:
        points_at: Computes the points for a gaze.
        points: Those of the current gaze.
        gaze: The current gaze.
    """
    turned = [points_at(gaze + GAZE_PROBE * axis) for axis in torch.eye(2).to(gaze)]
    return torch.stack([(one - points) / GAZE_PROBE for one in turned], -1)


LIGHT_STRIDE = 2
"""Only every second pixel is used, which is enough for 27 numbers."""
RIM = 3
"""Margin around the mask for filters, pixels."""
ALBEDO_TRUST = 0.2
"""Weight of an outlier pixel: its colour may be right and the albedo wrong."""
ALBEDO_TYPICALITY, ALBEDO_SYMMETRY = 0.001, 0.02
"""Weights relative to the pixels of a well seen texel."""


@dataclass(frozen=True)
class FilmedFace:
    """The part of B frames around the face: rendered maps, filmed pixels, and the mask of comparable pixels."""

    maps: SurfaceMaps
    frames: Float[Tensor, "B 3 h w"]
    """In [0, 1], gamma-encoded."""
    mask: Float[Tensor, "B 1 h w"]
    """1 where the face is both rendered and filmed, times the detector's confidence."""


def filmed_face(objective: FitObjective, parameters: FaceParameters, batch: TrackingBatch) -> FilmedFace:
    """Render the maps of a batch's frames and crop them to the face."""
    maps = objective.surface_maps(parameters, batch.indices, batch.frames.shape[-1])
    confidence = objective.observations.confidence[batch.indices]
    mask = maps.covered * (batch.masks > 0.5) * confidence[:, None, None, None]
    rows, columns = bounds(mask)
    return FilmedFace(cropped(maps, rows, columns), batch.frames[:, :, rows, columns], mask[:, :, rows, columns])


def bounds(mask: Float[Tensor, "B 1 H W"]) -> tuple[slice, slice]:
    """The rows and columns of the bounding box of all frames' masks, with a margin."""
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
    # Only by trust: weights of the gamma curve would favour the dark pixels of a mouth over its teeth.
    weight = face.mask * trusted(face.maps.albedo * shading, face.frames, least=ALBEDO_TRUST)
    radiance = srgb_to_linear(face.frames)
    return prior.improve(albedo, face.maps.uvs, radiance, shading, weight, ALBEDO_TYPICALITY, ALBEDO_SYMMETRY)


def with_albedo(face: FilmedFace, albedo: Float[Tensor, "3 R R"]) -> FilmedFace:
    """The same face with another albedo."""
    return replace(face, maps=replace(face.maps, albedo=sample_texture(albedo[None], face.maps.uvs)))


def mean_squared_error(face: FilmedFace, lighting: Float[Tensor, "B 9 3"]) -> Float[Tensor, ""]:
    """Of the gamma-encoded colours, over comparable pixels."""
    squared = (lit(face.maps, lighting) - face.frames).square().mean(1, keepdim=True)
    return (squared * face.mask).sum() / face.mask.sum().clamp(min=1)


def pixel_rows(
    objective: FitObjective,
    parameters: FaceParameters,
    indices: Int[Tensor, " B"],
    view: View,
    face: FilmedFace,
    count: int,
    shares: bool,
) -> Rows:
    """The pixels with the most information on geometry, in three colours each, linearised.

    Args:
        objective: With the surface.
        parameters: The point of linearisation.
        indices: Frames.
        view: Their poses and cameras.
        face: In these frames.
        count: Pixels of a frame.
        shares: Whether the shared unknowns are free.

    Returns:
        Rows whose residuals and derivatives already include the confidence, robust and importance weights.
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
    # A rotation ω of the head changes a normal n by ω × n, so that g · (ω × n) = ω · (n × g).
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
