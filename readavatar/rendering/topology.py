"""What a mesh's faces alone say: which triangle lies across each edge, and how far their indices reach.

Meshes keep their faces from frame to frame, so what is found is remembered as long as the tensor lives and stays as it
is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Found = TypeVar("Found")
_neighbours, _ranges = WeakTensorKeyDictionary(), WeakTensorKeyDictionary()


@dataclass(frozen=True)
class Neighbours:
    """Edge i of a triangle is the one opposite its corner i."""

    face: Int[Tensor, "F 3"]
    """The triangle across each edge; −1 at a boundary."""
    winding: Int[Tensor, "F 3"]
    """1 where that triangle is wound the same way round, −1 where it is the other way."""


def find_neighbours(faces: Int[Tensor, "F 3"]) -> Neighbours:
    """The triangle across each edge; where more than two share one, they pair up in their order."""
    return _remembered(_neighbours, faces, _find)


def index_range(faces: Int[Tensor, "F 3"]) -> tuple[int, int]:
    """The least and the greatest index; (0, −1) without faces."""
    return _remembered(_ranges, faces, lambda each: tuple(map(int, each.aminmax())) if len(each) else (0, -1))


def _remembered(memory: WeakTensorKeyDictionary, faces: Int[Tensor, "F 3"], find: Callable[[Tensor], Found]) -> Found:
    version, found = memory.get(faces, (None, None))
    if version != faces._version:
        found = find(faces)
        memory[faces] = (faces._version, found)
    return found


def _find(faces: Int[Tensor, "F 3"]) -> Neighbours:
    start, end = faces.roll(-1, 1).flatten().long(), faces.roll(-2, 1).flatten().long()
    key = torch.minimum(start, end) * (faces.max() + 1 if len(faces) else 1) + torch.maximum(start, end)
    key, order = key.sort(stable=True)
    same = key[1:] == key[:-1]
    # Of a run of equal edges the first pairs with the second, the third with the fourth.
    position = torch.arange(len(key), device=faces.device)
    run_start = torch.cat([torch.ones_like(same[:1]), ~same]) if len(key) else same
    rank = position - torch.where(run_start, position, 0).cummax(0).values if len(key) else position
    first = torch.nonzero(same & (rank[:-1] % 2 == 0))[:, 0]
    one, other = order[first], order[first + 1]
    face = torch.full_like(start, -1)
    face[one], face[other] = other // 3, one // 3
    winding = torch.ones_like(start)
    reversed_pair = start[one] == start[other]
    winding[one[reversed_pair]] = -1
    winding[other[reversed_pair]] = -1
    return Neighbours(face.reshape(-1, 3), winding.reshape(-1, 3))
