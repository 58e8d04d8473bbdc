"""Frames for the appearance stage to learn from, before and after their mesh is rasterised.

Where a GPU has a rasteriser, a ``MeshBatch`` travels there and is rasterised by ``rasterized``; elsewhere an
``AppearanceBatch`` is made from maps that were rasterised on the CPU and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from readavatar.data.raster.render_inputs import RenderInputs, RenderMaps, build_paint_mask, build_render_maps
from readavatar.types import FaceCoefficients, Tensors, TrackedFace

if TYPE_CHECKING:
    from readavatar.data.datasets.appearance_clips import AppearanceClip

Batch = TypeVar("Batch", bound=Tensors)


@dataclass(frozen=True)
class AppearanceBatch(Tensors):
    """Frames to learn from."""

    inputs: RenderInputs
    frames: Float[Tensor, "B 3 H W"]
    """The footage, in [0, 1]."""
    is_driven: Bool[Tensor, " B"]
    """Whether speech drives the mesh: the footage then shows how a face looks, but not this expression."""


@dataclass(frozen=True)
class MeshBatch(Tensors):
    """Frames to learn from whose mesh is not rasterised yet."""

    clip: Int[Tensor, " B"]
    """Which clip each frame is of."""
    fitted_expressions: Float[Tensor, "B E"]
    """As the fit has them: the paint mask is where they stand."""
    fitted_rotation: Float[Tensor, "B 3"]
    fitted_translation: Float[Tensor, "B 3"]
    expressions: Float[Tensor, "B E"]
    """Of the mesh that is drawn: fitted, augmented or driven; likewise rotation and translation."""
    rotation: Float[Tensor, "B 3"]
    translation: Float[Tensor, "B 3"]
    gaze: Float[Tensor, "B 2"]
    lighting: Float[Tensor, "B 9 3"]
    speech: Float[Tensor, "B window D"]
    frames: UInt8[Tensor, "B 3 H W"]
    is_driven: Bool[Tensor, " B"]


def joined(batches: Sequence[Batch]) -> Batch:
    """Several batches as one, in order."""
    first = batches[0]
    values = {}
    for name, value in vars(first).items():
        parts = [getattr(batch, name) for batch in batches]
        values[name] = joined(parts) if isinstance(value, Tensors) else torch.cat(parts)
    return replace(first, **values)


@torch.no_grad()
def rasterized(batch: MeshBatch, clips: Sequence[AppearanceClip]) -> AppearanceBatch:
    """Rasterise a batch's meshes and paint masks on the device where it is.

    Args:
        batch: Of frames of ``clips``.
        clips: Their cameras, identities and morphable models are moved to the device.
    """
    device = batch.frames.device
    places, maps = [], []
    for number in batch.clip.unique().tolist():
        chosen = torch.nonzero(batch.clip == number)[:, 0]
        places.append(chosen)
        maps.append(_clip_maps(clips[number], batch, chosen))
    order = torch.cat(places).argsort()
    together = replace(joined(maps), **{key: value[order] for key, value in vars(joined(maps)).items()})
    frames = batch.frames.to(torch.float32) / 255
    inputs = RenderInputs(
        **vars(together),
        context=frames * (1 - together.paint_mask),
        gaze=batch.gaze,
        lighting=batch.lighting,
        speech=batch.speech,
    )
    return AppearanceBatch(inputs, frames, batch.is_driven.to(device))


def _clip_maps(clip: AppearanceClip, batch: MeshBatch, chosen: Int[Tensor, " n"]) -> RenderMaps:
    device, resolution = batch.frames.device, (batch.frames.shape[-2], batch.frames.shape[-1])
    model, whole = clip.model.to(device), clip.face.to(device)

    def face(expressions: Tensor, rotation: Tensor, translation: Tensor) -> TrackedFace:
        shape = whole.coefficients.shape_coefficients
        own = (expressions[chosen], rotation[chosen], translation[chosen], batch.gaze[chosen])
        return replace(whole, coefficients=FaceCoefficients(shape, *own), lighting=batch.lighting[chosen])

    fitted = face(batch.fitted_expressions, batch.fitted_rotation, batch.fitted_translation)
    paint_mask = build_paint_mask(fitted, model, resolution, clip.settings)
    drawn = face(batch.expressions, batch.rotation, batch.translation)
    return build_render_maps(drawn, model, resolution, clip.settings, paint_mask=paint_mask)
