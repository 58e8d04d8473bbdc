"""Visibility by PyTorch3D's rasteriser (Ravi et al. 2020): for GPUs without nvdiffrast; its CPU path is very slow.

Its normalised coordinates have x to the left, y up and the shorter side from −1 to 1; its z is the distance along the
view axis, here w. Its triangles are numbered through the batch.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from jaxtyping import Float, Int
from torch import Tensor

LIBRARY = "PyTorch3D"
INSTALLATION = "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md"


def is_installed() -> bool:
    """Whether it is there, without importing it."""
    return find_spec("pytorch3d") is not None


def visible_faces(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], resolution: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Index of the nearest triangle at each pixel's centre, −1 for none."""
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    height, width = resolution
    x, y, _, w = vertices_clip.float().unbind(-1)
    safe = torch.where(w.abs() < 1e-8, 1e-8, w)
    shorter = min(height, width)
    vertices = torch.stack([-x / safe * (width / shorter), y / safe * (height / shorter), w], -1)
    meshes = Meshes(vertices, faces.expand(len(vertices), -1, -1))
    index, depth, *_ = rasterize_meshes(
        meshes,
        image_size=resolution,
        blur_radius=0.0,
        faces_per_pixel=1,
        bin_size=None if vertices.is_cuda else 0,
        perspective_correct=True,
        z_clip_value=near_and_far(vertices_clip)[0],
    )
    index = torch.where(depth > near_and_far(vertices_clip)[1], -1, index)[..., 0]
    first = torch.arange(len(vertices), device=index.device)[:, None, None] * len(faces)
    return torch.where(index >= 0, index - first, -1)


def near_and_far(vertices_clip: Float[Tensor, "B V 4"]) -> tuple[float, float]:
    """The w of the planes z = −w and z = w: a perspective camera's clip z is an affine function of w."""
    z, w = vertices_clip[..., 2].flatten().double(), vertices_clip[..., 3].flatten().double()
    low, high = w.argmin(), w.argmax()
    if not w[high] - w[low] > 1e-6:  # all at one distance: in between or not, nothing crosses a plane
        return 1e-6, float("inf")
    slope = (z[high] - z[low]) / (w[high] - w[low])
    offset = z[low] - slope * w[low]
    return float(-offset / (slope + 1)), float(offset / (1 - slope)) if slope < 1 else float("inf")
