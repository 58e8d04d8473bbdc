"""Rendered against filmed pixels as rows of normal equations: direct image alignment of a morphable model.

A surface point of albedo a and normal n is seen at p, in the colour c = a · shade(n). As the unknowns change by δ it
moves in the image by u = M δ and its normal turns by N δ, so that its residual becomes
c + a · ∂shade/∂n · N δ − O(p + u) ≈ (c − O(p)) + (a · ∂shade/∂n · N − ∇I · M) δ. With the last term alone (Lucas &
Kanade 1981) shading would be taken for paint, which a turning head carries along. ∇I is the mean of the filmed and the
rendered image's gradient, which makes the step one of second order (Benhimane & Malis 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from readavatar.rendering.rasterize import Fragments
from readavatar.rendering.shading import shade
from readavatar.tracking.lighting import COLOUR_OUTLIER
from readavatar.tracking.objective import SurfaceMaps, lit
from readavatar.types import Camera

COLOUR_ERROR = 0.04
"""Of the gamma-encoded range: 28 dB, what a good fit leaves."""
NUM_SAMPLES = 400
"""A frame's pixels weigh together as much as so many independent ones: neighbours' errors are alike."""
GAMMA_FLOOR = 0.003
"""Linear light below which the gamma curve is straight."""
DEPTH_STEP = 0.004
"""Metres between neighbouring pixels: there an outline passes, which moves with the nearer surface."""
TYPICAL_MOTION, TYPICAL_TURN = 0.003, 0.02
"""Of a point in frame sides and of a normal in radians, between one step and the next: by these a pixel's two ways to
say something are compared."""


@dataclass(frozen=True)
class PixelRows:
    """K pixels of each of B frames that are compared, in three colours."""

    index: Int[Tensor, "B K"]
    """Flat, within the frame."""
    face_index: Int[Tensor, "B K"]
    """Whose motion moves what is seen there."""
    barycentrics: Float[Tensor, "B K 3"]
    by_motion: Float[Tensor, "B K 3 2"]
    """Derivatives of the weighted residuals by the surface's motion in the image (frame sides) …"""
    by_normal: Float[Tensor, "B K 3 3"]
    """… and by its normal, world frame."""
    residuals: Float[Tensor, "B K 3"]
    """Weighted."""


def select_pixels(
    maps: SurfaceMaps,
    lighting: Float[Tensor, "B 9 3"],
    frames: Float[Tensor, "B 3 H W"],
    mask: Float[Tensor, "B 1 H W"],
    importance: Float[Tensor, "B 1 H W"],
    count: int,
) -> PixelRows:
    """Choose the pixels that say most of how the surface should move, and linearise them.

    Args:
        maps: What the pixels see.
        lighting: Of each frame.
        frames: As filmed, gamma-encoded.
        mask: 1 where rendered and filmed pixels can be compared.
        importance: How much a pixel matters beside others: eyes and lips are small.
        count: K; fewer where the image has fewer pixels.
    """
    side = frames.new_tensor([maps.camera.width, maps.camera.height])
    # Beside the face lies what was filmed there, so that its rim is not smoothed into a void.
    rendered, filmed = _smooth(torch.where(maps.covered > 0, lit(maps, lighting), frames)), _smooth(frames)
    inside = -F.max_pool2d(-maps.covered, 3, 1, 1)
    gradient = _gradient(filmed)
    gradient = torch.where(inside[:, :, None] > 0, (gradient + _gradient(rendered)) / 2, gradient)
    by_motion = -gradient * side[:, None, None]
    by_normal = _colour_by_normal(maps, lighting)
    residual = rendered - filmed
    squared = residual.square().mean(1, keepdim=True)
    total = (mask * importance).sum((1, 2, 3), keepdim=True).clamp(min=1)
    weight = mask * importance / (1 + squared / COLOUR_OUTLIER**2) ** 2 * NUM_SAMPLES / (3 * COLOUR_ERROR**2 * total)
    told = (by_motion * TYPICAL_MOTION).square().sum((1, 2)) + (by_normal * TYPICAL_TURN).square().sum((1, 2))
    score = (told * weight[:, 0]).flatten(1)
    chosen = score.topk(min(count, score.shape[1])).indices

    def at_chosen(values: Float[Tensor, "B *c H W"]) -> Float[Tensor, "B K *c"]:
        inner = values.shape[1:-2]
        flat = values.flatten(-2).flatten(1, -2) if inner else values.flatten(1)[:, None]
        picked = flat.gather(2, chosen[:, None].expand(-1, flat.shape[1], -1)).mT
        return picked.unflatten(2, inner) if inner else picked[..., 0]

    scale = at_chosen(weight[:, 0]).sqrt()[..., None]
    nearest = _nearest_around(maps.fragments, maps.camera).gather(1, chosen)
    return PixelRows(
        chosen,
        maps.fragments.face_index.flatten(1).gather(1, nearest).clamp(min=0),
        maps.fragments.barycentrics.flatten(1, 2).gather(1, nearest[..., None].expand(-1, -1, 3)),
        at_chosen(by_motion) * scale[..., None],
        at_chosen(by_normal) * scale[..., None],
        at_chosen(residual) * scale,
    )


def _colour_by_normal(maps: SurfaceMaps, lighting: Float[Tensor, "B 9 3"]) -> Float[Tensor, "B 3 3 H W"]:
    """Derivatives of the gamma-encoded colours by the surface's normal: (colour, axis)."""
    radiance = shade(maps.albedo, maps.normals, lighting).clamp(min=GAMMA_FLOOR)
    slope = maps.albedo * 1.055 / 2.4 * radiance ** (1 / 2.4 - 1)
    x, y, z = maps.normals.unbind(1)
    of = lighting[..., None, None].unbind(1)  # each (B, 3, 1, 1), in the order of ``spherical_harmonics``
    x, y, z = x[:, None], y[:, None], z[:, None]
    by_axis = [
        of[3] + of[4] * y + of[7] * z + 2 * of[8] * x,
        of[1] + of[4] * x + of[5] * z - 2 * of[8] * y,
        of[2] + of[5] * y + 6 * of[6] * z + of[7] * x,
    ]
    return torch.stack(by_axis, 2) * slope[:, :, None]


def _smooth(image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Binomial filter of 3 × 3, which makes gradients hold over a pixel's distance."""
    channels = image.shape[1]
    line = image.new_tensor([0.25, 0.5, 0.25])
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = F.conv2d(padded, line.view(1, 1, 1, 3).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(across, line.view(1, 1, 3, 1).expand(channels, -1, -1, -1), groups=channels)


def _gradient(image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C 2 H W"]:
    """Central differences, a pixel."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    return torch.stack([across, down], 2)


def _nearest_around(fragments: Fragments, camera: Camera) -> Int[Tensor, "B n"]:
    """For each pixel its own flat index, or at an outline that of the neighbour that sees the nearer surface."""
    near, far = camera.near, camera.far
    distance = 2 * near * far / (far + near - fragments.depth.detach() * (far - near))
    closest, index = F.max_pool2d(-distance[:, None], 3, 1, 1, return_indices=True)
    own = torch.arange(distance[0].numel(), device=distance.device).view(1, *distance.shape[1:])
    return torch.where(distance + closest[:, 0] > DEPTH_STEP, index[:, 0], own).flatten(1)
