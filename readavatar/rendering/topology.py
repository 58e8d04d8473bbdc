"""Which triangle lies across each edge."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_remembered: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


@dataclass(frozen=True)
class Neighbours:
    """Edge i of a triangle is the one opposite its corner i."""

    face: Int[Tensor, "F 3"]
    """The triangle across each edge; −1 at a boundary."""
    winding: Int[Tensor, "F 3"]
    """1 where that triangle is wound the same way round, −1 where it is the other way."""


def find_neighbours(faces: Int[Tensor, "F 3"]) -> Neighbours:
    """The triangle across each edge; where more than two share one, they pair up in their order.

    Remembered as long as the tensor lives and stays as it is.
    """
    version, neighbours = _remembered.get(faces, (None, None))
    if version != faces._version:
        neighbours = _find(faces)
        _remembered[faces] = (faces._version, neighbours)
    return neighbours


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
