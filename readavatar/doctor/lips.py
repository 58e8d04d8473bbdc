"""Curves of a face's landmarks over time: lips, lids, size. Lengths are in inter-ocular distances."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

EYE_CORNERS = (36, 45)
"""iBUG's outer corners of the right and the left eye, about 90 mm apart in an adult (Farkas 1994)."""
EYE_CORNERS_MILLIMETRES = 90.0
_INNER_LIPS = ((61, 67), (62, 66), (63, 65))
_LIP_CORNERS = (48, 54)
_EYES = (36, 42)
_OPEN_QUANTILE = 0.8
"""Of the lids' opening: how far a person's eyes are usually open, whatever the share of the time they are closed."""


def interocular(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """Distance of the outer corners of the eyes, pixels."""
    return (landmarks[:, EYE_CORNERS[0]] - landmarks[:, EYE_CORNERS[1]]).norm(dim=-1)


def lip_opening(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """Mean gap between the inner lips."""
    gaps = [(landmarks[:, upper] - landmarks[:, lower]).norm(dim=-1) for upper, lower in _INNER_LIPS]
    return torch.stack(gaps).mean(0) / interocular(landmarks).clamp(min=1e-6)


def lip_width(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """From corner to corner of the mouth."""
    left, right = _LIP_CORNERS
    return (landmarks[:, left] - landmarks[:, right]).norm(dim=-1) / interocular(landmarks).clamp(min=1e-6)


def lid_opening(landmarks: Float[Tensor, "T 68 2"], seen: Bool[Tensor, " T"]) -> Float[Tensor, " T"]:
    """Height over width of the eyes (Soukupová & Čech 2016, eq. 1), 1 where they are as open as usual."""
    ratios = []
    for first in _EYES:
        eye = landmarks[:, first : first + 6]
        height = (eye[:, 1] - eye[:, 5]).norm(dim=-1) + (eye[:, 2] - eye[:, 4]).norm(dim=-1)
        ratios.append(height / (2 * (eye[:, 0] - eye[:, 3]).norm(dim=-1)).clamp(min=1e-6))
    ratio = torch.stack(ratios).mean(0)
    usual = ratio[seen].quantile(_OPEN_QUANTILE) if bool(seen.any()) else ratio.new_tensor(1.0)
    return ratio / usual.clamp(min=1e-6)


def fill_unseen(landmarks: Float[Tensor, "T L 2"], seen: Bool[Tensor, " T"]) -> Float[Tensor, "T L 2"]:
    """Landmarks on a line between the neighbours where there is no face; unchanged where there is none at all."""
    known = torch.nonzero(seen)[:, 0]
    if len(known) in (0, len(seen)):
        return landmarks
    frames = torch.arange(len(seen))
    after = torch.searchsorted(known, frames)
    left, right = known[(after - 1).clamp(min=0)], known[after.clamp(max=len(known) - 1)]
    share = ((frames - left) / (right - left).clamp(min=1)).clamp(0, 1)[:, None, None].to(landmarks)
    return torch.where(seen[:, None, None], landmarks, landmarks[left].lerp(landmarks[right], share))


def runs(flags: Bool[Tensor, " T"]) -> list[tuple[int, int]]:
    """Stretches [first, last) in which ``flags`` holds."""
    edges = torch.nn.functional.pad(flags.int(), (1, 1)).diff()
    starts, ends = torch.nonzero(edges == 1)[:, 0].tolist(), torch.nonzero(edges == -1)[:, 0].tolist()
    return list(zip(starts, ends, strict=True))
