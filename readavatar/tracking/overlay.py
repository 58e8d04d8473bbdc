"""A fit drawn over its footage, for people to judge."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from readavatar.data.clip_store import ClipStore
from readavatar.morphable import load_morphable_model
from readavatar.morphable.model import MorphableModel
from readavatar.rendering.camera import head_to_world, project, world_to_clip
from readavatar.rendering.rasterize import interpolate, rasterize, silhouette
from readavatar.rendering.shading import linear_to_srgb, shade, vertex_normals
from readavatar.rendering.texture import sample_texture
from readavatar.tracking.model_part import EYEBALLS, FaceSurface
from readavatar.types import TrackedFace

CLAY = 0.55
"""Reflectance of the panel that shows the shape alone."""
_CLAY_LIGHT = (0.65, 0.3, 0.45)
"""Ambient, from above, from the viewer."""
_LANDMARK_COLOUR, _SEEN_COLOUR, _GAZE_COLOUR = (255, 60, 40), (60, 255, 80), (70, 150, 255)
_GAZE_LENGTH = 0.04
"""Metres in front of the eyes."""


@torch.no_grad()
def render_overlay(
    store: ClipStore, face: TrackedFace, index: int, model: MorphableModel | None = None
) -> UInt8[np.ndarray, "H W3 3"]:
    """One frame three times, side by side: as filmed, with the re-rendered face, and with the bare shape.

    On the shape are drawn the fitted landmarks (red), the detector's (green) and the gaze (blue).

    Args:
        store: The clip.
        face: Its fit, or its truth.
        index: Which frame.
        model: The face's morphable model; by default it is loaded.
    """
    model = _loaded(face.morphable_model) if model is None else model
    surface = _surface(model)
    size = store.info.size
    coefficients = face.coefficients.frames(slice(index, index + 1))
    arguments = (
        coefficients.shape_coefficients[None],
        coefficients.expression_coefficients,
        coefficients.gaze,
    )
    head = model(*arguments)
    vertices = head_to_world(surface(*arguments), coefficients.rotation, coefficients.translation)
    fragments = rasterize(world_to_clip(vertices, face.camera), surface.faces, (size, size))
    normals = F.normalize(interpolate(vertex_normals(vertices, surface.faces), surface.faces, fragments), dim=1)
    uvs = interpolate(surface.uvs[None], surface.uv_faces, fragments)
    albedo = sample_texture(face.albedo[None], uvs)
    frame = store.frames(range(index, index + 1))
    covered = silhouette(fragments)
    clay_light = torch.zeros(1, 9, 3)
    clay_light[0, :3] = torch.tensor(_CLAY_LIGHT)[:, None]
    lit = shade(albedo, normals, face.lighting[index : index + 1])
    clay = shade(torch.full_like(albedo, CLAY), normals, clay_light)
    panels = [frame] + [linear_to_srgb(part.clamp(0, 1)) * covered + frame * (1 - covered) for part in (lit, clay)]
    images = [(panel[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy() for panel in panels]
    images[2] = _annotated(images[2], store, face, index, head, model)
    return np.concatenate(images, 1)


def _annotated(
    image: UInt8[np.ndarray, "H W 3"],
    store: ClipStore,
    face: TrackedFace,
    index: int,
    head: Float[Tensor, "1 V 3"],
    model: MorphableModel,
) -> UInt8[np.ndarray, "H W 3"]:
    rotation = face.coefficients.rotation[index : index + 1]
    translation = face.coefficients.translation[index : index + 1]

    def in_image(points: Float[Tensor, "n 3"]) -> list[tuple[float, float]]:
        projected = project(head_to_world(points[None], rotation, translation), face.camera)[0]
        return [tuple(point) for point in projected.tolist()]

    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    radius = max(0.6, store.info.size / 256)
    landmarks = store.landmarks()
    seen = landmarks.landmarks_2d[index].tolist() if landmarks.landmark_confidence[index] > 0 else []
    for points, colour in ((seen, _SEEN_COLOUR), (in_image(model.landmarks_3d(head)[0]), _LANDMARK_COLOUR)):
        reach = radius if colour == _LANDMARK_COLOUR else radius / 2
        for x, y in points:
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    yaw, pitch = face.coefficients.gaze[index]
    direction = torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()])
    for name in EYEBALLS:
        if len(eyeball := model.region(name)):
            pupil = head[0, eyeball][(head[0, eyeball] @ direction).argmax()]
            draw.line(in_image(torch.stack([pupil, pupil + _GAZE_LENGTH * direction])), fill=_GAZE_COLOUR, width=2)
    return np.asarray(picture)


@lru_cache(maxsize=2)
def _loaded(name: str) -> MorphableModel:
    return load_morphable_model(name)


@lru_cache(maxsize=2)
def _surface(model: MorphableModel) -> FaceSurface:
    return FaceSurface(model)
