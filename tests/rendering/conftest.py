"""Small meshes before a camera."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from readavatar.rendering.camera import world_to_clip
from readavatar.types import default_camera


def _make_sphere(num_rings: int, num_segments: int) -> tuple[Tensor, Tensor]:
    """Vertices of a unit sphere and its faces, counter-clockwise from outside, closed by two poles."""
    polar = torch.linspace(0, math.pi, num_rings + 2)[1:-1, None]
    around = torch.linspace(0, 2 * math.pi, num_segments + 1)[:-1]
    ring = torch.stack(
        [polar.sin() * around.sin(), polar.cos().expand(-1, num_segments), polar.sin() * around.cos()], -1
    )
    poles = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    vertices = torch.cat([ring.reshape(-1, 3), poles])
    here = torch.arange(num_rings * num_segments).reshape(num_rings, num_segments)
    right, top, bottom = here.roll(-1, 1), len(vertices) - 2, len(vertices) - 1
    faces = [
        torch.stack([here[:-1], here[1:], right[:-1]], -1).reshape(-1, 3),
        torch.stack([right[:-1], here[1:], right[1:]], -1).reshape(-1, 3),
        torch.stack([torch.full_like(here[0], top), here[0], right[0]], -1),
        torch.stack([torch.full_like(here[0], bottom), right[-1], here[-1]], -1),
    ]
    return vertices, torch.cat(faces)


@pytest.fixture
def make_sphere() -> Callable[[int, int], tuple[Tensor, Tensor]]:
    """(number of rings, of segments) → vertices and faces."""
    return _make_sphere


@pytest.fixture
def sphere_clip() -> tuple[Tensor, Tensor, tuple[int, int]]:
    """A bumpy sphere seen twice, in an image that is wider than high: clip vertices, faces, resolution."""
    vertices, faces = _make_sphere(12, 18)
    vertices = vertices * (1 + 0.3 * (vertices[:, :1] * 7).sin())
    resolution = (40, 56)
    shifts = torch.tensor([[[0.02, -0.01, -0.6]], [[-0.05, 0.04, -0.45]]])
    return world_to_clip(vertices * 0.07 + shifts, default_camera(*resolution)), faces, resolution


@pytest.fixture
def grid_clip() -> tuple[Tensor, Tensor]:
    """A augmented grid that covers the whole image, each vertex at another distance: clip vertices, faces."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(-1.3, 1.3, 15), torch.linspace(-1.3, 1.3, 17), indexing="ij")
    jitter = 0.06 * torch.rand(2, 15, 17, generator=generator)
    w = 0.5 + torch.rand(15, 17, generator=generator)
    z = 0.5 * w
    vertices = torch.stack([(x + jitter[0]) * w, (y + jitter[1]) * w, z, w], -1).reshape(1, -1, 4)
    here = torch.arange(15 * 17).reshape(15, 17)
    upper = torch.stack([here[:-1, :-1], here[:-1, 1:], here[1:, :-1]], -1).reshape(-1, 3)
    lower = torch.stack([here[:-1, 1:], here[1:, 1:], here[1:, :-1]], -1).reshape(-1, 3)
    return vertices, torch.cat([upper, lower])
