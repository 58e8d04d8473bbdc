"""Photometric alignment: rendered against filmed pixels, for the light (in closed form) and for the geometry.

Light. A Lambertian surface's radiance is linear in its spherical harmonics (Basri & Jacobs 2003).

Geometry, as rows of normal equations (direct image alignment). A surface point of albedo a and normal n is at p in the
image, with the colour c = a · shade(n). If the unknowns change by δ, the point moves in the image by u = M δ and its
normal by N δ. Its residual becomes
c + a · ∂shade/∂n · N δ − O(p + u) ≈ (c − O(p)) + (a · ∂shade/∂n · N − ∇I · M) δ. Without the term of the normal (Lucas
& Kanade 1981), shading would count as albedo, which moves with the head. ∇I is the mean of the filmed and the rendered
image's gradient, for a step of second order (Benhimane & Malis 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from readavatar.rendering.rasterize import Fragments
from readavatar.rendering.shading import linear_to_srgb, shade, spherical_harmonics, srgb_to_linear
from readavatar.tracking.objective import SurfaceMaps, lit
from readavatar.types import Camera

COLOUR_OUTLIER = 0.15
"""Gamma-encoded difference of an outlier: hair, hands, glasses and highlights differ by more."""
DIRECTIONAL_RIDGE = (1e-6, 1e-2, 1e-2, 1e-2, 3e-2, 3e-2, 3e-2, 3e-2, 3e-2)
"""Weight, relative to the mean pixel, of the prior for light that is equal from all directions, by coefficient. A face
from one side does not determine the second order, and without the prior the light would explain parts of the albedo."""
COLOUR_RIDGE = (1e-2, 3e-2, 3e-2, 3e-2, 1e-1, 1e-1, 1e-1, 1e-1, 1e-1)
"""The same for the prior for white light."""


def solve_lighting(
    albedo: Float[Tensor, "B 3 H W"],
    normals: Float[Tensor, "B 3 H W"],
    frames: Float[Tensor, "B 3 H W"],
    mask: Float[Tensor, "B 1 H W"],
    current: Float[Tensor, "B 9 3"],
) -> Float[Tensor, "B 9 3"]:
    """Weighted ridge regression of frames on albedo × harmonics, with outliers reweighted once.

    Args:
        albedo: Linear light.
        normals: Unit length, world frame.
        frames: Gamma-encoded, in [0, 1].
        mask: Pixels that count.
        current: The light so far, which defines outliers.

    Returns:
        The light that fits best; for a frame without a pixel, the current one.
    """
    linear = srgb_to_linear(frames)
    # Errors are weighted in gamma-encoded units: by the curve's slope, about linear^(-0.58) / 2.
    seen = (linear.mean(1, keepdim=True) + 0.02) ** -1.16
    weight = mask * trusted(shade(albedo, normals, current), frames) * seen
    total = weight.sum((1, 2, 3))
    weight = (weight / total.clamp(min=1e-6)[:, None, None, None]).flatten(2)
    basis = spherical_harmonics(normals).flatten(2)[:, None] * albedo.flatten(2)[:, :, None]
    gram = torch.einsum("bckp,bclp->bckl", basis * weight[:, :, None], basis)
    moment = torch.einsum("bckp,bcp->bck", basis * weight[:, :, None], linear.flatten(2))
    directional, colour = (torch.diag(torch.tensor(ridge)).to(gram) for ridge in (DIRECTIONAL_RIDGE, COLOUR_RIDGE))
    white = torch.linalg.solve(gram.mean(1) + directional, moment.mean(1))
    solved = torch.linalg.solve(gram + colour, moment + (white @ colour)[:, None])
    return torch.where((total > 0)[:, None, None], solved.mT, current)


def trusted(
    rendered: Float[Tensor, "B 3 H W"], frames: Float[Tensor, "B 3 H W"], least: float = 0.0
) -> Float[Tensor, "B 1 H W"]:
    """Trust in each pixel, in [0, 1]: low where hair, hands or glasses cover the face.

    Args:
        rendered: Linear light.
        frames: Gamma-encoded.
        least: Weight of an outlier.
    """
    squared = (linear_to_srgb(rendered.clamp(min=0)) - frames).square().mean(1, keepdim=True)
    return least + (1 - least) / (1 + squared / COLOUR_OUTLIER**2) ** 2


COLOUR_ERROR = 0.04
"""Typical gamma-encoded error of a good fit: 28 dB."""
NUM_SAMPLES = 400
"""All pixels of a frame have the weight of so many independent ones, since errors of neighbours are correlated."""
GAMMA_FLOOR = 0.003
"""Linear light below which the gamma curve is linear."""
DEPTH_STEP = 0.004
"""Metres of depth between neighbouring pixels at an outline, which moves with the nearer surface."""
TYPICAL_MOTION, TYPICAL_TURN = 0.003, 0.02
"""Of a point in frame sides and of a normal in radians, in one step: to compare a pixel's information on both."""


@dataclass(frozen=True)
class PixelRows:
    """K compared pixels in each of B frames, with three colours."""

    index: Int[Tensor, "B K"]
    """Flat, within the frame."""
    face_index: Int[Tensor, "B K"]
    """The triangle that moves with the pixel."""
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
    """Choose the pixels with the most information on the surface's motion, and linearise them.

    Args:
        maps: The surface at each pixel.
        lighting: Of each frame.
        frames: As filmed, gamma-encoded.
        mask: 1 where rendered and filmed pixels can be compared.
        importance: Relative weight of each pixel; high for eyes and lips, which are small.
        count: K; fewer if the image has fewer pixels.
    """
    side = frames.new_tensor([maps.camera.width, maps.camera.height])
    # The background is the filmed one, so that smoothing does not mix the face's edge with zeros.
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
    information = (by_motion * TYPICAL_MOTION).square().sum((1, 2)) + (by_normal * TYPICAL_TURN).square().sum((1, 2))
    score = (information * weight[:, 0]).flatten(1)
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
    """Binomial filter of 3 × 3, so that gradients are valid over a pixel's distance."""
    channels = image.shape[1]
    line = image.new_tensor([0.25, 0.5, 0.25])
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = F.conv2d(padded, line.view(1, 1, 1, 3).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(across, line.view(1, 1, 3, 1).expand(channels, -1, -1, -1), groups=channels)


def _gradient(image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C 2 H W"]:
    """Central differences, per pixel."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    return torch.stack([across, down], 2)


def _nearest_around(fragments: Fragments, camera: Camera) -> Int[Tensor, "B n"]:
    """For each pixel its own flat index, or at an outline that of the neighbour with the nearer surface."""
    near, far = camera.near, camera.far
    distance = 2 * near * far / (far + near - fragments.depth.detach() * (far - near))
    closest, index = F.max_pool2d(-distance[:, None], 3, 1, 1, return_indices=True)
    own = torch.arange(distance[0].numel(), device=distance.device).view(1, *distance.shape[1:])
    return torch.where(distance + closest[:, 0] > DEPTH_STEP, index[:, 0], own).flatten(1)
