"""The built-in head: a morphable face made by code alone, free of any licence and of any file."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from readavatar.morphable.builtin.albedo import paint_albedo
from readavatar.morphable.builtin.expressions import build_expressions
from readavatar.morphable.builtin.head import build_head
from readavatar.morphable.builtin.identity import IDENTITY_MODES, build_identities
from readavatar.morphable.builtin.landmarks import build_landmarks, build_masks
from readavatar.morphable.expressions import EXPRESSION_NAMES
from readavatar.morphable.model import REGION_NAMES, MorphableData

__all__ = ["IDENTITY_MODES", "build_builtin_head"]

ORIGIN_Z = 12.0
"""The head frame's origin in the authoring frame, millimetres: at the pupils' height, between the jaw's two ends."""
METRES = 1e-3


@lru_cache(maxsize=1)
def build_builtin_head() -> MorphableData:
    """The neutral head, its identities, expressions, landmarks and albedo (about a second; cached).

    The template stands in the head frame with its origin at the pupils' height and between the jaw's ends beside the
    ears. Symmetric to the last bit; the albedo's noise is not.
    """
    head = build_head()
    whole = head.whole
    corners, barycentrics = build_landmarks(head)

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

    return MorphableData(
        name="builtin",
        template=tensor((whole.vertices - [0, 0, ORIGIN_Z]) * METRES),
        shape_basis=tensor(build_identities(head) * METRES),
        expression_basis=tensor(build_expressions(head) * METRES),
        expression_names=EXPRESSION_NAMES,
        expression_bounds=torch.tensor([[0.0, 1.0]]).repeat(len(EXPRESSION_NAMES), 1),
        faces=torch.from_numpy(np.ascontiguousarray(whole.faces, dtype=np.int64)),
        uvs=tensor(whole.uvs),
        uv_faces=torch.from_numpy(np.ascontiguousarray(whole.uv_faces, dtype=np.int64)),
        vertex_regions=torch.tensor([REGION_NAMES.index(region) for region in whole.regions.tolist()]),
        region_names=REGION_NAMES,
        landmark_vertices=torch.from_numpy(np.ascontiguousarray(corners, dtype=np.int64)),
        landmark_barycentrics=tensor(barycentrics),
        albedo=tensor(paint_albedo()),
        vertex_masks={name: torch.from_numpy(mask) for name, mask in build_masks(head).items()},
    )
