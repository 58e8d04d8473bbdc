"""Frames for the appearance stage to learn from, before and after their mesh is rasterised.

Where a GPU has a rasteriser, a ``MeshBatch`` travels there and is rasterised by ``appearance_clips.rasterized``;
elsewhere an
``AppearanceBatch`` is made from maps that were rasterised on the CPU and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from readavatar.data.raster.render_inputs import RenderInputs
from readavatar.types import Tensors

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
