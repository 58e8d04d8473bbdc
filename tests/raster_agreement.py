"""What every rasteriser backend must agree on: run by tests/rendering on the CPU and by tests/gpu on a GPU.

Each check takes a backend's name and the device; the reference is the plain backend in double precision on the CPU.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from readavatar.rendering import nvdiffrast_backend, pytorch3d_backend, torch_backend
from readavatar.rendering.camera import world_to_clip
from readavatar.rendering.rasterize import interpolate, rasterize, silhouette
from readavatar.rendering.torch_backend import barycentrics_and_depth
from readavatar.types import default_camera

RESOLUTION = (48, 80)
NEAR_EDGE = 0.1
"""Pixels: rasterisers snap vertices to a grid (of a sixteenth in nvdiffrast's), so that edges differ by about that."""
_OPTIONAL = {"nvdiffrast": nvdiffrast_backend, "pytorch3d": pytorch3d_backend}


def require(backend: str) -> str:
    """The backend's name, if it is installed; else the test is skipped."""
    if backend in _OPTIONAL and not _OPTIONAL[backend].is_installed():
        pytest.skip(f"{backend} is not installed; see {_OPTIONAL[backend].INSTALLATION}")
    return backend


@cache
def self_hiding_scene() -> tuple[Tensor, Tensor]:
    """A rippled sheet seen twice from the side, so that it hides parts of itself: clip vertices and faces."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 20), torch.linspace(-1, 1, 20), indexing="ij")
    sheet = torch.stack([x, y, 0.3 * (6 * x).sin() * (5 * y).cos()], -1).reshape(-1, 3) * 0.1
    here = torch.arange(400).reshape(20, 20)
    upper = torch.stack([here[:-1, :-1], here[:-1, 1:], here[1:, :-1]], -1).reshape(-1, 3)
    lower = torch.stack([here[:-1, 1:], here[1:, 1:], here[1:, :-1]], -1).reshape(-1, 3)
    turned = torch.stack([sheet[:, [0, 1, 2]], sheet[:, [2, 0, 1]] * torch.tensor([1.0, 1.0, 0.5])])
    return world_to_clip(turned - torch.tensor([0.01, 0.02, 0.55]), default_camera(*RESOLUTION)), torch.cat(
        [upper, lower]
    )


@cache
def _judged() -> tuple[Tensor, Tensor]:
    """What the plain backend sees, and the pixels that no edge passes closely: those that see the same if moved."""
    vertices, faces = self_hiding_scene()
    height, width = RESOLUTION
    expected, away = None, True
    for across, down in ((0, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
        moved = vertices.double().clone()
        moved[..., 0] += across * NEAR_EDGE * 2 / width * moved[..., 3]
        moved[..., 1] += down * NEAR_EDGE * 2 / height * moved[..., 3]
        index = torch_backend.visible_faces(moved, faces, RESOLUTION)
        expected = index if expected is None else expected
        away = away & (index == expected)
    return expected, away


def the_same_faces_are_seen_away_from_edges(backend: str, device: str) -> None:
    vertices, faces = self_hiding_scene()
    expected, away = _judged()
    index = rasterize(vertices.to(device), faces.to(device), RESOLUTION, backend).face_index.cpu()
    assert 0.5 < away.float().mean() < 1 and ((expected >= 0) & away).float().mean() > 0.2
    torch.testing.assert_close(index[away], expected[away])
    assert (index == expected).float().mean() > 0.98


def barycentrics_and_depth_agree(backend: str, device: str) -> None:
    vertices, faces = self_hiding_scene()
    expected, away = _judged()
    fragments = rasterize(vertices.to(device), faces.to(device), RESOLUTION, backend)
    barycentrics, depth = barycentrics_and_depth(vertices.double(), faces, expected)
    difference = fragments.barycentrics.cpu() - barycentrics
    assert difference[away].abs().max() < 1e-4
    assert (fragments.depth.cpu() - depth)[away].abs().max() < 1e-5


def interpolated_attributes_are_those_of_the_point_seen(backend: str, device: str) -> None:
    vertices, faces = (part.to(device) for part in self_hiding_scene())
    fragments = rasterize(vertices, faces, RESOLUTION, backend)
    batch, row, column = torch.nonzero(fragments.face_index >= 0, as_tuple=True)
    x, y, z, w = interpolate(vertices, faces, fragments)[batch, :, row, column].unbind(-1)
    height, width = RESOLUTION
    torch.testing.assert_close((x / w + 1) / 2 * width, column + 0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close((1 - y / w) / 2 * height, row + 0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(z / w, fragments.depth[batch, row, column], atol=1e-5, rtol=0)
    constant = interpolate(torch.full((1, vertices.shape[1], 1), 2.0, device=device), faces, fragments)
    torch.testing.assert_close(constant, 2 * silhouette(fragments))


def vertex_gradients_are_the_finite_differences(backend: str, device: str) -> None:
    # No vertex's step of 1e-6 moves an edge over a pixel's centre.
    corners = [[-0.7, -0.8, 0.1, 1.1], [0.87, -0.63, 0.3, 0.8], [-0.1, 0.9, 0.4, 1.3], [-0.6, 0.5, -0.2, 1.0]]
    vertices = torch.tensor([corners], dtype=torch.float64, device=device).requires_grad_()
    colours = torch.tensor([[[1.0, 0.2], [0.1, 0.7], [0.4, 0.5], [0.9, 0.3]]], dtype=torch.float64, device=device)
    faces = torch.tensor([[0, 1, 2], [3, 1, 0]], device=device)

    def render(vertices: Tensor, colours: Tensor) -> tuple[Tensor, ...]:
        fragments = rasterize(vertices, faces, (9, 8), backend)
        return interpolate(colours, faces, fragments), fragments.depth

    assert torch.autograd.gradcheck(render, (vertices, colours.requires_grad_()))


def triangles_across_the_near_plane_are_clipped_not_dropped(backend: str, device: str) -> None:
    # It runs under the camera and behind it; the horizon is at row 20.
    floor = torch.tensor([[[-90.0, -1.0, 50.0], [90.0, -1.0, 50.0], [0.0, -1.0, -900.0]]])
    camera = replace(default_camera(40, 40, focal=20.0), far=1000.0)
    clip, faces = world_to_clip(floor, camera).to(device), torch.tensor([[0, 1, 2]], device=device)
    seen = rasterize(clip, faces, (40, 40), backend).face_index[0].cpu() == 0
    assert seen[22:].all() and not seen[:20].any()


def what_lies_before_the_near_plane_hides_nothing(backend: str, device: str) -> None:
    camera = replace(default_camera(16, 16), near=0.2, far=2.0)
    wall = torch.tensor([[-9.0, -9.0, 0.0], [9.0, -9.0, 0.0], [0.0, 9.0, 0.0]])
    walls = torch.cat([wall - torch.tensor([0.0, 0.0, distance]) for distance in (0.1, 0.5)])[None]
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]], device=device)
    assert (rasterize(world_to_clip(walls, camera).to(device), faces, (16, 16), backend).face_index == 1).all()


def no_faces_give_background(backend: str, device: str) -> None:
    none = torch.zeros(0, 3, dtype=torch.long, device=device)
    assert (rasterize(torch.rand(2, 5, 4, device=device), none, (8, 8), backend).face_index == -1).all()


CHECKS = (
    the_same_faces_are_seen_away_from_edges,
    barycentrics_and_depth_agree,
    interpolated_attributes_are_those_of_the_point_seen,
    vertex_gradients_are_the_finite_differences,
    triangles_across_the_near_plane_are_clipped_not_dropped,
    what_lies_before_the_near_plane_hides_nothing,
    no_faces_give_background,
)

agreement = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
