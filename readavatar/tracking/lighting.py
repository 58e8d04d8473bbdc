"""The light of each frame in closed form: a Lambertian surface's radiance is linear in its spherical harmonics."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.rendering.shading import linear_to_srgb, shade, spherical_harmonics, srgb_to_linear

COLOUR_OUTLIER = 0.15
"""Hair, hands, glasses and highlights differ by more, of the gamma-encoded range."""
DIRECTIONAL_RIDGE = (1e-6, 1e-2, 1e-2, 1e-2, 3e-2, 3e-2, 3e-2, 3e-2, 3e-2)
"""Weight beside the mean pixel of the prior that light comes from everywhere alike, by coefficient: a face seen from
one side tells little of the second order, and free lights would take shadows and blushes from the albedo."""
COLOUR_RIDGE = (1e-2, 3e-2, 3e-2, 3e-2, 1e-1, 1e-1, 1e-1, 1e-1, 1e-1)
"""Likewise that light is white: what is coloured is mostly the face."""


def solve_lighting(
    albedo: Float[Tensor, "B 3 H W"],
    normals: Float[Tensor, "B 3 H W"],
    frames: Float[Tensor, "B 3 H W"],
    mask: Float[Tensor, "B 1 H W"],
    current: Float[Tensor, "B 9 3"],
) -> Float[Tensor, "B 9 3"]:
    """Weighted ridge regression of frames on albedo × harmonics (Basri & Jacobs 2003), reweighted once by outliers.

    Args:
        albedo: Linear light.
        normals: Unit length, world frame.
        frames: Gamma-encoded, in [0, 1].
        mask: Pixels that count.
        current: The light so far: what is an outlier is judged by it.

    Returns:
        The light that fits best; where a frame shows no pixel, the current one.
    """
    linear = srgb_to_linear(frames)
    # Errors matter as they are seen: by the gamma curve's slope, about linear^(-0.58) / 2.
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
    """How far each pixel is what it should be, in [0, 1]: hair, hands and glasses are not.

    Args:
        rendered: Linear light.
        frames: Gamma-encoded.
        least: What is left of an outlier's weight.
    """
    squared = (linear_to_srgb(rendered.clamp(min=0)) - frames).square().mean(1, keepdim=True)
    return least + (1 - least) / (1 + squared / COLOUR_OUTLIER**2) ** 2
