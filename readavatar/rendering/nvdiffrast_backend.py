"""Visibility by nvdiffrast's CUDA rasteriser (Laine et al. 2020).

Its images are NHWC with row 0 at the bottom; its triangles are int32 and numbered from 1, with 0 for the background.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from jaxtyping import Float, Int
from torch import Tensor

LIBRARY = "nvdiffrast (0.3.3 or later)"
INSTALLATION = "https://nvlabs.github.io/nvdiffrast/#installation"


def is_installed() -> bool:
    """Whether it is there, without importing it (which needs CUDA's libraries)."""
    return find_spec("nvdiffrast") is not None


def visible_faces(
    vertices_clip: Float[Tensor, "B V 4"], faces: Int[Tensor, "F 3"], resolution: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Index of the nearest triangle at each pixel's centre, −1 for none."""
    import nvdiffrast.torch as nvdiffrast

    pixels, _ = nvdiffrast.rasterize(
        _context(vertices_clip.device),
        vertices_clip.float().contiguous(),
        faces.int().contiguous(),
        resolution=list(resolution),
        grad_db=False,
    )
    return pixels[..., 3].flip(1).long() - 1


@cache
def _context(device: torch.device):
    import nvdiffrast.torch as nvdiffrast

    return nvdiffrast.RasterizeCudaContext(device=device)
